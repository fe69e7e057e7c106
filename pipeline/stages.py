"""Stages: retrieval, ranking and the cold answer put together; the one way from users to lists."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np

from dataset.candidates import Candidates, order_by
from dataset.features import FeatureTables
from dataset.interactions import SeenItems
from dataset.vocabulary import Numbers
from ranking.base import Ranker, Scores
from retrieval.base import Embeddings, Retriever, Towers
from retrieval.dense import blocks
from retrieval.popularity import Popularity

Stage: TypeAlias = Literal["final", "retrieval"]
COLD = "cold"
COLD_DEPTH = 500  # popular items that the towers may put in another order; shorter lists begin alike


@dataclass(frozen=True)
class Stages:
    """Everything that answers, in training form or in serving form."""

    features: FeatureTables
    towers: Towers  # of the first source
    vectors: Embeddings  # [n_items + 1, dim] of its items
    retriever: Retriever
    popularity: Popularity
    cold_weight: float  # of the towers in the order for cold users
    ranker: Ranker | None  # None: the gate closed, or the preset has no second stage
    n_candidates: int

    def lists(
        self, users: Numbers, *, n: int, stage: Stage, exclude: SeenItems, blocked: Numbers, only: Numbers | None = None
    ) -> Candidates:
        """At most `n` items for each of `users`, in final order.

        The known are answered by both stages; the cold by popularity in their groups, with a word from the towers.

        Args:
            users: user numbers, each at most once; 0 and users without a history are cold.
            exclude: items not to come back, by user.
            blocked: items that nobody gets.
            only: where given, the items to choose from.
        """
        is_cold = self.features.history.seen_items.count(users) == 0
        known, cold = np.flatnonzero(~is_cold), np.flatnonzero(is_cold)
        if not len(cold):
            return self._known_lists(users, n, stage, exclude, blocked, only)
        if not len(known):
            return self._cold_lists(users, n, exclude, blocked, only)
        parts = [
            self._known_lists(users[known], n, stage, exclude, blocked, only),
            self._cold_lists(users[cold], n, exclude, blocked, only),
        ]
        return _interleave(users, [known, cold], parts)

    def _known_lists(
        self, users: Numbers, n: int, stage: Stage, exclude: SeenItems, blocked: Numbers, only: Numbers | None
    ) -> Candidates:
        top_k = max(self.n_candidates, n) + len(blocked) if only is None else len(self.features.history.items)
        candidates = self.retriever.retrieve(users, self.features, top_k=top_k, exclude=exclude, only=only)
        candidates = _without(candidates, blocked)
        if stage == "retrieval" or self.ranker is None or not len(candidates):
            return _sort(candidates, candidates.score, n)
        return _sort(candidates, self.ranker.score(candidates, self.features), n)

    def _cold_lists(
        self, users: Numbers, n: int, exclude: SeenItems, blocked: Numbers, only: Numbers | None
    ) -> Candidates:
        depth = max(n + len(blocked), COLD_DEPTH)
        answer = self.popularity.retrieve(users, self.features, top_k=depth, exclude=exclude, only=only)
        answer = _without(answer, blocked)
        score = answer.score
        if self.cold_weight and self.popularity.tells_users_apart:
            score = (score + self.cold_weight * self._tower_scores(answer)).astype(np.float32)
        return replace(_sort(answer, score, n), origins=(COLD,))

    def _tower_scores(self, candidates: Candidates) -> Scores:
        """[n_rows] what the towers of the first source say of each row."""
        queries = self.towers.encode_queries(candidates.users, self.features)
        scores = np.empty(len(candidates), np.float32)
        for rows in blocks(len(candidates), queries.shape[1]):
            of_user, of_item = candidates.row_user[rows], candidates.item_num[rows]
            scores[rows] = np.einsum("ij,ij->i", queries[of_user], self.vectors[of_item])
        return scores


def _without(candidates: Candidates, blocked: Numbers) -> Candidates:
    return candidates.select(~np.isin(candidates.item_num, blocked)) if len(blocked) else candidates


def _sort(candidates: Candidates, score: Scores, n: int) -> Candidates:
    """The final lists; what the sources thought of each row has served its purpose."""
    return replace(order_by(candidates, score, top_k=n), source_score=None, source_rank=None)


def _interleave(users: Numbers, places: Sequence[np.ndarray], parts: Sequence[Candidates]) -> Candidates:
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
