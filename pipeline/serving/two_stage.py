"""Stages: retrieval, ranking and the cold answer put together; the one way from users to lists."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, TypedDict, Unpack

import numpy as np

from belfry.dataset.candidates import Candidates, order_by
from belfry.dataset.features import FeatureTables
from belfry.dataset.interactions import Mask, SeenItems
from belfry.dataset.vocabulary import ItemNums, UserNums
from belfry.ranking.base import Ranker, Scores
from belfry.retrieval.base import Embeddings, Retriever, Towers
from belfry.retrieval.dense import blocks
from belfry.retrieval.popularity import Popularity

Stage: TypeAlias = Literal["final", "retrieval"]
COLD = "cold"
COLD_DEPTH = 500  # popular items that the towers may put in another order; shorter lists begin alike


class Limits(TypedDict):
    """What may be in a list."""

    n: int  # items, at most
    exclude: SeenItems  # items not to come back, by user
    blocked: ItemNums  # items that nobody gets
    only: ItemNums | None  # where given, the items to choose from


@dataclass(frozen=True)
class Stages:
    """Everything that answers, in training form or in serving form."""

    features: FeatureTables
    towers: Towers  # of the first source
    vectors: Embeddings  # [n_items + 1, dim] of its items
    retriever: Retriever
    popularity: Popularity
    cold_weight: float  # of the towers in the order for cold users
    ranker: Ranker | None  # gives probabilities; None: the gate closed, or the preset has no second stage
    n_candidates: int

    def lists(
        self,
        users: UserNums,
        *,
        n: int,
        stage: Stage,
        exclude: SeenItems,
        blocked: ItemNums,
        only: ItemNums | None = None,
    ) -> Candidates:
        """At most `n` items for each of `users`, in final order.

        The known are answered by both stages, and behind the first `n_candidates` by retrieval alone; the cold by
        popularity in their groups, with a word from the towers.

        Args:
            users: user numbers, each at most once; 0 and users without a history are cold.
            n, exclude, blocked, only: see `Limits`.
        """
        limits = Limits(n=n, exclude=exclude, blocked=blocked, only=only)
        is_cold = self.features.history.seen_items.count(users) == 0
        known, cold = np.flatnonzero(~is_cold), np.flatnonzero(is_cold)
        if not len(cold):
            return self._known_lists(users, stage, limits)
        if not len(known):
            return self._cold_lists(users, limits)
        parts = [self._known_lists(users[known], stage, limits), self._cold_lists(users[cold], limits)]
        return _interleave(users, [known, cold], parts)

    def candidates(self, users: UserNums, **limits: Unpack[Limits]) -> Candidates:
        """What lists of users with a history are made of, in retrieval's order."""
        blocked, only = limits["blocked"], limits["only"]
        n_items = len(self.features.history.items)
        top_k = max(self.n_candidates, limits["n"]) + len(blocked) if only is None else n_items
        found = self.retriever.retrieve(users, self.features, top_k=top_k, exclude=limits["exclude"], only=only)
        return _without(found, blocked)

    def is_ranked(self, candidates: Candidates, **limits: Unpack[Limits]) -> Mask:
        """[n_rows] whether the ranker is handed a row of `candidates`: the depth that it has learned to order."""
        return np.asarray(candidates.rank <= self.n_candidates + len(limits["blocked"]))

    def popular(self, users: UserNums, **limits: Unpack[Limits]) -> Candidates:
        """What lists of cold users are made of, by popularity in their groups."""
        depth = max(limits["n"] + len(limits["blocked"]), COLD_DEPTH)
        found = self.popularity.retrieve(
            users, self.features, top_k=depth, exclude=limits["exclude"], only=limits["only"]
        )
        return _without(found, limits["blocked"])

    def tower_scores(self, popular: Candidates) -> Scores | None:
        """[n_rows] what the towers of the first source add to the score of each row; None where they have no word."""
        if not self.cold_weight or not self.popularity.tells_users_apart:
            return None
        queries = self.towers.encode_queries(popular.users, self.features)
        scores = np.empty(len(popular), np.float32)
        for rows in blocks(len(popular), queries.shape[1]):
            of_user, of_item = popular.row_user[rows], popular.item_num[rows]
            scores[rows] = np.einsum("ij,ij->i", queries[of_user], self.vectors[of_item])
        return self.cold_weight * scores

    def _known_lists(self, users: UserNums, stage: Stage, limits: Limits) -> Candidates:
        candidates = self.candidates(users, **limits)
        if stage == "retrieval" or self.ranker is None or not len(candidates):
            return _sort(candidates, candidates.score, limits["n"])
        is_ranked = self.is_ranked(candidates, **limits)
        ranked = candidates.select(is_ranked)
        score = np.empty(len(candidates), np.float32)
        score[is_ranked] = self.ranker.score(ranked, self.features)
        if not is_ranked.all():  # the rest follows in retrieval's order
            lowest = np.full(len(users), np.inf, np.float32)
            np.minimum.at(lowest, ranked.row_user, score[is_ranked])
            rest = ~is_ranked
            score[rest] = lowest[candidates.row_user[rest]] * self.n_candidates / candidates.rank[rest]
        return _sort(candidates, score, limits["n"])

    def _cold_lists(self, users: UserNums, limits: Limits) -> Candidates:
        popular = self.popular(users, **limits)
        word = self.tower_scores(popular)
        score = popular.score if word is None else (popular.score + word).astype(np.float32)
        return replace(_sort(popular, score, limits["n"]), origins=(COLD,))


def _without(candidates: Candidates, blocked: ItemNums) -> Candidates:
    return candidates.select(~np.isin(candidates.item_num, blocked)) if len(blocked) else candidates


def _sort(candidates: Candidates, score: Scores, n: int) -> Candidates:
    """The final lists; what the sources thought of each row has served its purpose."""
    return replace(order_by(candidates, score, top_k=n), source_score=None, source_rank=None)


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
