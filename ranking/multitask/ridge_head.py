"""RidgeHead: what a task has learned, as arrays, and how it predicts. NumPy alone: training and answering share it.

A prediction is what an item gets from anybody, a share of the affinity that the watch history shows for it and of how
often its categories are in there, and the product of the item's item_factors with the user's user_factors for them.
The user_factors is a posterior mean: the watch history says what to expect of the user, the user's own labels correct it, and
each correction is a ridge regression of a few numbers. So a user without labels has a user_factors too, and nothing of a user
but their history is known by heart.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from belfry.dataset.features import FeatureTables
from belfry.dataset.vocabulary import ItemNums, UserNums
from belfry.ranking.multitask.category_lifts import CategoryLifts
from belfry.ranking.multitask.config import TaskKind
from belfry.ranking.multitask.label_batches import LabelRows

Matrix: TypeAlias = npt.NDArray[np.float32]


@dataclass(frozen=True)
class RidgeHead:
    """One task in its serving form. Labels and predictions are standardised inside: `centre` and `scale` undo that."""

    base: Matrix  # [n_items + 1] what an item gets from anybody, but for its count
    item_factors: Matrix  # [n_items + 1, n_factors + 1], the first 1
    embeddings: Matrix  # [n_items + 1, query_size] the product with a query is the affinity
    counts: Matrix  # [n_items + 1] users who watched the item
    count_slope: Matrix  # []
    affinity_slope: Matrix  # []
    lift_slopes: Matrix  # [n_columns] of what `CategoryLifts` says
    query_slopes: Matrix  # [query_size, n_factors + 1] what the watch history says of the user_factors
    feature_slopes: Matrix  # [n_user_features, n_factors + 1]
    activity_slopes: Matrix  # [n_factors + 1] of the log of the length of the history
    prior: Matrix  # [n_factors + 1] the user_factors of nobody in particular
    precision: Matrix  # [n_factors + 1] of the prior, in labels
    levels: Matrix  # [n_levels] values that labels take, rising; regression: the lowest and the highest
    centre: Matrix  # []
    scale: Matrix  # []
    thresholds: Matrix  # [n_levels - 1] under ordinal and binary
    steepness: Matrix  # [] under ordinal and binary

    def user_factors(
        self,
        queries: Matrix,
        users: UserNums,
        features: FeatureTables,
        lifts: CategoryLifts,
        observed: LabelRows,
        task: int,
    ) -> Matrix:
        """[n_users, n_factors + 1 + query_size] for the item_factors of an item, and for its embedding.

        Args:
            queries: [n_users, query_size] of the watch histories.
            lifts: of the same histories.
            observed: the labels of these users, this task's being number `task`.
        """
        user_factors = self.prior + queries @ self.query_slopes
        length = np.diff(features.history.by_user.starts)[users] * (users > 0)
        user_factors += np.outer(log_count(length), self.activity_slopes)
        if features.users.matrix.shape[1]:
            user_factors += features.users.matrix[users] @ self.feature_slopes
        for row in np.flatnonzero(observed.is_there[task].any(axis=1)):
            there = observed.is_there[task, row]
            items = observed.item_num[row, there]
            item_factors = self.item_factors[items]
            labels = (observed.values[task, row, there] - self.centre) / self.scale
            rest = labels - self._base_of(items, self.counts[items] - 1) - item_factors @ user_factors[row]
            rest -= self.affinity_slope * (self.embeddings[items] @ queries[row])
            rest -= lifts(np.full(len(items), row), items, are_watched=True) @ self.lift_slopes
            user_factors[row] += np.linalg.solve(
                item_factors.T @ item_factors + np.diag(self.precision), item_factors.T @ rest
            )
        return np.concatenate([user_factors, self.affinity_slope * queries], axis=1).astype(np.float32)

    def predict(self, user_factors: Matrix, lifts: Matrix, items: ItemNums, kind: TaskKind) -> Matrix:
        """[n_rows] the expected label, inside the range of the labels learned from.

        Args:
            user_factors: [n_rows, n_factors + 1 + query_size]
            lifts: [n_rows, n_columns]
            items: [n_rows]
        """
        of_items = np.concatenate([self.item_factors[items], self.embeddings[items]], axis=1)
        latent = self._base_of(items, self.counts[items]) + lifts @ self.lift_slopes
        latent += np.einsum("ij,ij->i", of_items, user_factors)
        if kind == "regression":
            return np.asarray(np.clip(self.centre + self.scale * latent, *self.levels), np.float32)
        above = 1 / (1 + np.exp(-self.steepness * (latent[:, np.newaxis] - self.thresholds)))  # [n_rows, n_levels - 1]
        return np.asarray(self.levels[0] + above @ np.diff(self.levels), np.float32)

    def _base_of(self, items: ItemNums, counts: Matrix) -> Matrix:
        return np.asarray(self.base[items] + self.count_slope * log_count(counts), np.float32)

    def arrays(self) -> dict[str, Matrix]:
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def of(cls, arrays: Mapping[str, Matrix]) -> "RidgeHead":
        return cls(**{field.name: arrays[field.name] for field in fields(cls)})


def log_count(counts: npt.ArrayLike) -> Matrix:
    """log(1 + count), brought near the spread of a standardised column."""
    return (np.log1p(np.maximum(counts, 0)) - 3).astype(np.float32) / np.float32(1.5)
