"""TwoStage: retrieval, ranking and the answer for cold users put together; the one way from users to lists."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np

from belfry.dataset import columns
from belfry.dataset.arrays import Mask, Positions, dot_products
from belfry.dataset.candidates import Candidates, order_by
from belfry.dataset.concurrency.cached import cached_property
from belfry.dataset.encoding.context import ContextNumbers
from belfry.dataset.features import FeatureTables
from belfry.dataset.history.seen_items import SeenItems
from belfry.dataset.vocabulary import ItemNums, UserNums
from belfry.pipeline.serving.expected_ratings import ExpectedRatings
from belfry.pipeline.serving.results import COLD, UNRANKED
from belfry.pipeline.serving.rules.retrieve import retrieve_allowed
from belfry.ranking.base import ListScorer, Ranker, Scores
from belfry.ranking.context.model import ContextModel, LogOdds, moved
from belfry.ranking.features.pair_features import PairFeatures
from belfry.ranking.lists import Lists
from belfry.retrieval.base import Embeddings, Retriever, Towers
from belfry.retrieval.popularity import EPSILON, Popularity

Stage: TypeAlias = Literal["final", "retrieval"]
COLD_DEPTH = 500  # popular items that the towers may put in another order; so lists of up to 500 begin alike


@dataclass(frozen=True)
class Limits:
    """What may be in a list."""

    n: int  # items, at most
    exclude: SeenItems  # items not to come back, by user
    blocked: ItemNums  # items that nobody gets
    only: ItemNums | None = None  # where given, the items to choose from
    allowed: Mask | None = None  # [n_items + 1] in the place of both, where many are allowed and many are not
    context: ContextNumbers | None = None  # in which lists are asked for: [n_users], or [1] for all

    def of_users(self, users: Mask | Positions) -> "Limits":
        """For some of the users, in whose context they are asked for."""
        if self.context is None:
            return self
        of_some = {name: numbers if len(numbers) == 1 else numbers[users] for name, numbers in self.context.items()}
        return replace(self, context=of_some)


@runtime_checkable
class DescribingRanker(ListScorer, Protocol):
    """A ranker that reads features of pairs, and can show what it read."""

    pair_features: PairFeatures

    def describe(self, candidates: Candidates, features: FeatureTables) -> Lists:
        """What it scores by `score_lists`: the same as `score` of the candidates."""


@dataclass(frozen=True)
class Described:
    """Candidates as a ranker saw them."""

    ranker: DescribingRanker
    lists: Lists


@dataclass(frozen=True)
class KnownTrace:
    """How the lists of users with a history came about."""

    candidates: Candidates  # in retrieval's order
    described: Described | None  # the ranked rows; None where no ranker reads features of them
    context: LogOdds | None = None  # [n_ranked rows] what the context added to each; None where it adds nothing


@dataclass(frozen=True)
class ColdTrace:
    """How the lists of cold users came about."""

    popular: Candidates  # by popularity in the users' groups
    tower_scores: Scores | None  # [n_popular] what the towers added to each score; None where they add nothing
    context: Scores | None = None  # [n_popular] likewise the context


@dataclass(frozen=True)
class Trace:
    """Lists and how they came about: enough to explain them without asking any model to retrieve or describe again."""

    lists: Candidates
    known: KnownTrace | None  # None where no user has a history
    cold: ColdTrace | None  # None where every user has one


@dataclass(frozen=True)
class TwoStage:
    """Everything that answers, in training form or in serving form."""

    features: FeatureTables
    towers: Towers  # of the first source
    vectors: Embeddings  # [n_items + 1, dim] of its items
    retriever: Retriever
    popularity: Popularity
    cold_weight: float  # of the towers in the order for cold users
    ranker: Ranker | None  # gives probabilities; None: the gate closed, or the preset has no second stage
    n_candidates: int
    ratings: ExpectedRatings | None = None  # where a model expects them; training has no use for it
    context: ContextModel | None = None  # how a context moves what the ranker orders; None: not at all
    in_run: UserNums | None = None  # [n_users + 1] of these tables: number in the run, 0 of the new; None: the same

    def lists(
        self,
        users: UserNums,
        stage: Stage,
        *,
        n: int,
        exclude: SeenItems,
        blocked: ItemNums,
        only: ItemNums | None = None,
    ) -> Candidates:
        """At most `n` items for each of `users`, in final order.

        Users with a history are answered by both stages: the ranker orders the first `n_candidates` that retrieval
        brings. Items behind those follow in retrieval's order, with origin "unranked" and the score -rank, which is
        below every probability. Cold users are answered by popularity in their groups and by the towers.

        Args:
            users: user numbers, each at most once; 0 and users without a history are cold.
            n: as `exclude`, `blocked` and `only` in `Limits`.
        """
        return self.trace(users, stage, Limits(n, exclude, blocked, only)).lists

    def trace(self, users: UserNums, stage: Stage, limits: Limits) -> Trace:
        """`lists`, and how they came about."""
        is_cold = self.features.history.seen_items.count(users) == 0
        if not is_cold.any():
            lists, known = self._trace_known(users, stage, limits)
            return Trace(lists, known, None)
        if is_cold.all():
            lists, cold = self._trace_cold(users, limits)
            return Trace(lists, None, cold)
        of_known, known = self._trace_known(users[~is_cold], stage, limits.of_users(~is_cold))
        of_cold, cold = self._trace_cold(users[is_cold], limits.of_users(is_cold))
        places = [np.flatnonzero(~is_cold), np.flatnonzero(is_cold)]
        return Trace(_interleave(users, places, [of_known, of_cold]), known, cold)

    def _trace_known(self, users: UserNums, stage: Stage, limits: Limits) -> tuple[Candidates, KnownTrace]:
        candidates, n_ranked = self._candidates(users, limits)
        if stage == "retrieval" or self.ranker is None or not len(candidates):
            return _sort(candidates, candidates.score, limits.n), KnownTrace(candidates, None)
        is_ranked = np.asarray(candidates.rank <= n_ranked)
        all_ranked = bool(is_ranked.all())
        ranked = candidates if all_ranked else candidates.select(is_ranked)
        score, described = self._rank(self.ranker, ranked)
        added = self._added_by_context(ranked, limits)
        score = score if added is None else moved(score, added)
        if not all_ranked:
            scores, score = score, -candidates.rank.astype(np.float32)
            score[is_ranked] = scores
        lists = _sort(_mark_unranked(candidates, is_ranked), score, limits.n)
        return lists, KnownTrace(candidates, described, added)

    def _candidates(self, users: UserNums, limits: Limits) -> tuple[Candidates, int]:
        """What retrieval brings of what may be listed, and up to which rank the ranker learned to order it."""
        n_ranked, top_k = self.n_candidates, max(self.n_candidates, limits.n)
        if limits.allowed is None:
            n_blocked = len(limits.blocked)
            n_ranked += n_blocked
            top_k = top_k + n_blocked if limits.only is None else len(self.features.history.items)
        return self._retrieve(self.retriever, users, limits, top_k), n_ranked

    def _retrieve(self, retriever: Retriever, users: UserNums, limits: Limits, top_k: int) -> Candidates:
        """Of what may be listed: `top_k` where `allowed` says what that is, else without the blocked among them."""
        exclude, blocked = limits.exclude, limits.blocked
        if limits.allowed is not None:
            return retrieve_allowed(
                retriever, users, self.features, top_k=top_k, exclude=exclude, allowed=limits.allowed
            )
        found = retriever.retrieve(users, self.features, top_k=top_k, exclude=exclude, only=limits.only)
        return found.select(~np.isin(found.item_num, blocked)) if len(blocked) else found

    def _rank(self, ranker: Ranker, candidates: Candidates) -> tuple[Scores, Described | None]:
        """[n_rows] the ranker's scores, and the features that it read, where it reads any."""
        describing = self._describing_ranker
        if describing is None:
            known = candidates if self.in_run is None else replace(candidates, users=self.in_run[candidates.users])
            return ranker.score(known, self.features), None
        lists = describing.describe(candidates, self.features)
        if self.in_run is not None:
            lists = replace(lists, users=self.in_run[lists.users])
        return describing.score_lists(lists), Described(describing, lists)

    def _added_by_context(self, ranked: Candidates, limits: Limits) -> LogOdds | None:
        """[n_rows] to the log-odds of what was ranked."""
        if self.context is None or (asked := _in_context(self.context, ranked, limits)) is None:
            return None
        return self.context.added(asked, ranked.users, ranked.row_user, ranked.item_num, self.features.history)

    def expected_ratings(self, lists: Candidates) -> Scores | None:
        """[n_rows] on the scale of the data; None where no model of the run expects ratings."""
        if self.ratings is None:
            return None
        return self.ratings.of(lists, self.features, self._numbers_in_run(lists.users))

    def told_ratings(self, lists: Candidates) -> dict[str, Scores]:
        """Expected ratings and, where their model knows any, standard deviations: [n_rows] by name of the column."""
        if self.ratings is None:
            return {}
        in_run = self._numbers_in_run(lists.users)
        told = {columns.EXPECTED_RATING: self.ratings.of(lists, self.features, in_run)}
        deviations = self.ratings.deviations(lists, self.features, in_run)
        return told if deviations is None else told | {columns.RATING_DEVIATION: deviations}

    def _numbers_in_run(self, users: UserNums) -> UserNums:
        return users if self.in_run is None else self.in_run[users]

    @cached_property
    def _describing_ranker(self) -> DescribingRanker | None:
        """The ranker, where it reads features of pairs; kept, since to look for a protocol takes as long as a sort."""
        return self.ranker if isinstance(self.ranker, DescribingRanker) else None

    def _trace_cold(self, users: UserNums, limits: Limits) -> tuple[Candidates, ColdTrace]:
        popular = self._retrieve(self.popularity, users, limits, max(limits.n + len(limits.blocked), COLD_DEPTH))
        added = self._tower_scores(popular)
        in_context = self._popular_in_context(popular, limits)
        score = popular.score
        if added is not None or in_context is not None:
            logs = score if self.popularity.tells_users_apart else np.log(score + EPSILON)
            score = sum((part for part in (added, in_context) if part is not None), logs).astype(np.float32)
        lists = replace(_sort(popular, score, limits.n), origins=(COLD,))
        return lists, ColdTrace(popular, added, in_context)

    def _popular_in_context(self, popular: Candidates, limits: Limits) -> Scores | None:
        """[n_rows] what the context adds to the logarithm of the watches."""
        if self.context is None or (asked := _in_context(self.context, popular, limits)) is None:
            return None
        return self.context.popular(asked, popular.row_user, popular.item_num)

    def _tower_scores(self, popular: Candidates) -> Scores | None:
        """[n_rows] what the towers of the first source add to the score of each row; None where they add nothing."""
        if not self.cold_weight or not (self.popularity.tells_users_apart or self.features.users.content.vectors):
            return None
        queries = self.towers.encode_queries(popular.users, self.features)
        return self.cold_weight * dot_products(queries, popular.row_user, self.vectors, popular.item_num)


def _in_context(model: ContextModel, lists: Candidates, limits: Limits) -> ContextNumbers | None:
    """[n_users] by each column that counts; None where no list is asked for in a context that does."""
    if not limits.context:
        return None
    found = {name: np.broadcast_to(limits.context[name], len(lists.users)) for name in model.columns}
    return found if any(numbers.any() for numbers in found.values()) else None


def _mark_unranked(candidates: Candidates, is_ranked: Mask) -> Candidates:
    """The same rows; those that are not ranked have the origin `UNRANKED`."""
    if is_ranked.all():
        return candidates
    origin = np.where(is_ranked, candidates.origin, len(candidates.origins)).astype(np.int8)
    return replace(candidates, origin=origin, origins=(*candidates.origins, UNRANKED))


def _sort(candidates: Candidates, score: Scores, n: int) -> Candidates:
    """The final lists; what the sources thought of each row has served its purpose."""
    return order_by(replace(candidates, source_score=None, source_rank=None), score, top_k=n)


def _interleave(users: UserNums, places: Sequence[np.ndarray], parts: Sequence[Candidates]) -> Candidates:
    """Lists of groups of users as the lists of `users`; `places[i]` are the positions of group i in `users`."""
    origins = tuple(dict.fromkeys(origin for part in parts for origin in part.origins))
    row_user = np.concatenate([place[part.row_user] for place, part in zip(places, parts, strict=True)])
    origin = np.concatenate(
        [np.array([origins.index(name) for name in part.origins], np.int8)[part.origin] for part in parts]
    )
    order = np.argsort(row_user, kind="stable")
    return Candidates(
        users=users,
        row_user=row_user[order],
        item_num=np.concatenate([part.item_num for part in parts])[order],
        score=np.concatenate([part.score for part in parts])[order],
        rank=np.concatenate([part.rank for part in parts])[order],
        origin=origin[order],
        origins=origins,
    )
