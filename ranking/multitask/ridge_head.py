"""RidgeHead: what a task has learned, as arrays, and how it predicts. NumPy alone: training and answering share it.

The prediction for user u and item i, standardised, is

    y_ui = base_i + count_slope log_count(n_i) + affinity_slope (e_i . q_u) + lifts_ui . lift_slopes + x_i . f_u

with item factors x_i, whose first component is 1, and user factors f_u, whose first is the user's bias. n_i counts the
item's watchers, q_u is the query of the watch history, e_i the item's embedding, and lifts come from `CategoryLifts`.
The user factors are a posterior mean,

    m_u = prior + query_slopes^T q_u + feature_slopes^T features_u + activity_slopes log_count(length of the history)
    f_u = m_u + (X^T X + L)^-1 X^T r

where the rows of X are the x_i of the items that u has labelled, r = label - prediction with f_u = m_u (the user's own
watch taken out of n_i and lifts), and L = diag(precision). So a user without labels has factors too, m_u, and no weight
belongs to a single user.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from belfry.dataset.features import FeatureTables
from belfry.dataset.vocabulary import ItemNums, UserNums
from belfry.layers.saved.array_check import ArrayForm, ArrayForms, numbers, positive
from belfry.ranking.lists import Matrix
from belfry.ranking.multitask.category_lifts import CategoryLifts
from belfry.ranking.multitask.config import TaskKind
from belfry.ranking.multitask.label_batches import LabelRows

_FORMS: ArrayForms = {
    "base": numbers("n_items + 1"),
    "item_factors": numbers("n_items + 1", "n_factors + 1"),
    "embeddings": numbers("n_items + 1", "query_size"),
    "counts": ArrayForm("f", ("n_items + 1",), 0),
    "count_slope": numbers(),
    "affinity_slope": numbers(),
    "lift_slopes": numbers("n_columns"),
    "query_slopes": numbers("query_size", "n_factors + 1"),
    "feature_slopes": numbers("n_user_features", "n_factors + 1"),
    "activity_slopes": numbers("n_factors + 1"),
    "prior": numbers("n_factors + 1"),
    "precision": positive("n_factors + 1"),
    "centre": numbers(),
    "scale": positive(),
    "steepness": numbers(),
}


@dataclass(frozen=True)
class RidgeHead:
    """One task in its serving form; the module says what the arrays mean. label = centre + scale * y_ui."""

    base: Matrix  # [n_items + 1]
    item_factors: Matrix  # X, [n_items + 1, n_factors + 1], the first column 1
    embeddings: Matrix  # e, [n_items + 1, query_size]
    counts: Matrix  # [n_items + 1] users who watched the item
    count_slope: Matrix  # []
    affinity_slope: Matrix  # []
    lift_slopes: Matrix  # [n_columns]
    query_slopes: Matrix  # [query_size, n_factors + 1]
    feature_slopes: Matrix  # [n_user_features, n_factors + 1]
    activity_slopes: Matrix  # [n_factors + 1]
    prior: Matrix  # [n_factors + 1]
    precision: Matrix  # [n_factors + 1] of f_u around m_u; in units of labels
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
        """[n_users, n_factors + 1 + query_size] [f_u, affinity_slope q_u], to be multiplied with [x_i, e_i].

        Args:
            queries: q, [n_users, query_size].
            lifts: of the histories of the same users.
            observed: the labels of these users; those of this task are number `task`.
        """
        user_factors = self.prior + queries @ self.query_slopes
        length = np.diff(features.history.by_user.starts)[users] * (users > 0)
        user_factors += np.outer(log_count(length), self.activity_slopes)
        if features.users.matrix.shape[1]:
            user_factors += features.users.matrix[users] @ self.feature_slopes
        for row in np.flatnonzero(observed.is_labelled[task].any(axis=1)):
            is_labelled = observed.is_labelled[task, row]
            items = observed.item_num[row, is_labelled]
            item_factors = self.item_factors[items]
            labels = (observed.values[task, row, is_labelled] - self.centre) / self.scale
            residual = labels - self._base_of(items, self.counts[items] - 1) - item_factors @ user_factors[row]
            residual -= self.affinity_slope * (self.embeddings[items] @ queries[row])
            residual -= lifts(np.full(len(items), row), items, are_watched=True) @ self.lift_slopes
            user_factors[row] += np.linalg.solve(
                item_factors.T @ item_factors + np.diag(self.precision), item_factors.T @ residual
            )
        return np.concatenate([user_factors, self.affinity_slope * queries], axis=1).astype(np.float32)

    def predict(self, user_factors: Matrix, lifts: Matrix, items: ItemNums, kind: TaskKind) -> Matrix:
        """[n_rows] the expected label, inside the range of the labels learned from.

        Of an ordinal or binary task: levels_0 + sum over k of (levels_k+1 - levels_k) sigmoid(steepness (y -
        thresholds_k)), where the sigmoid is the probability of a label above level k.

        Args:
            user_factors: [n_rows, n_factors + 1 + query_size] as `user_factors` gives them.
            lifts: [n_rows, n_columns]
            items: [n_rows]
        """
        latent = self._latent(user_factors, lifts, items)
        if kind == "regression":
            return np.asarray(np.clip(self.centre + self.scale * latent, *self.levels), np.float32)
        return np.asarray(self.levels[0] + self._above(latent) @ np.diff(self.levels), np.float32)

    def deviation(self, user_factors: Matrix, lifts: Matrix, items: ItemNums, kind: TaskKind) -> Matrix:
        """[n_rows] the standard deviation of the label under the probabilities of its levels; NaN of a regression.

        Args:
            user_factors, lifts, items: as in `predict`.
        """
        if kind == "regression":
            return np.full(len(items), np.nan, np.float32)
        above = self._above(self._latent(user_factors, lifts, items)).astype(np.float64)
        none, every = np.zeros((len(items), 1)), np.ones((len(items), 1))
        share = -np.diff(np.concatenate([every, np.minimum.accumulate(above, axis=1), none], axis=1), axis=1)
        mean = share @ self.levels
        return np.asarray(np.sqrt(np.maximum(share @ self.levels**2 - mean**2, 0)), np.float32)

    def _above(self, latent: Matrix) -> Matrix:
        """[n_rows, n_levels - 1] the probability of a label above each level."""
        return np.asarray(1 / (1 + np.exp(-self.steepness * (latent[:, np.newaxis] - self.thresholds))))

    def _latent(self, user_factors: Matrix, lifts: Matrix, items: ItemNums) -> Matrix:
        of_items = np.concatenate([self.item_factors[items], self.embeddings[items]], axis=1)
        latent = self._base_of(items, self.counts[items]) + lifts @ self.lift_slopes
        latent += np.einsum("ij,ij->i", of_items, user_factors)
        return np.asarray(latent)

    def _base_of(self, items: ItemNums, counts: Matrix) -> Matrix:
        return np.asarray(self.base[items] + self.count_slope * log_count(counts), np.float32)

    def arrays(self) -> dict[str, Matrix]:
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @staticmethod
    def forms(kind: TaskKind) -> ArrayForms:
        """What `arrays` gives for a task."""
        n_levels, n_thresholds = (2, 0) if kind == "regression" else ("n_thresholds + 1", "n_thresholds")
        return {**_FORMS, "levels": numbers(n_levels), "thresholds": numbers(n_thresholds)}

    @classmethod
    def of(cls, arrays: Mapping[str, Matrix]) -> "RidgeHead":
        return cls(**{field.name: arrays[field.name] for field in fields(cls)})


def log_count(counts: npt.ArrayLike) -> Matrix:
    """(log(1 + count) - 3) / 1.5, which is about standardised for usual counts."""
    return (np.log1p(np.maximum(counts, 0)) - 3).astype(np.float32) / np.float32(1.5)
