"""How alike a user's vectors (embeddings of a profile) are to those of the users who watched a candidate."""

from collections.abc import Sequence

import numpy as np

from belfry.dataset.features import FeatureTables
from belfry.layers.saved.array_check import ArrayForms, numbers
from belfry.ranking.base import Matrix
from belfry.ranking.features.base import Arrays, Column, FeatureGroup, PairRequest, Values
from belfry.ranking.features.config import PairFeaturesConfig
from belfry.ranking.features.groups.vectors import at_unit_length


class UserVectors(FeatureGroup):
    """For each column of users' vectors, at unit length v_u:

    `user_vector.<column>` = v_u . (sum over the watchers w of item i of (v_w - m)) / (n_i + s), m the mean of all users
    with a vector, n_i the watches of i, s the `segment_smoothing`. It is 0 for a user without a vector.
    """

    name = "user_vectors"

    @staticmethod
    def forms(arrays: Arrays) -> ArrayForms:
        """See `fit`."""
        return {name: numbers("n_items + 1", f"dimensions of users' {name}") for name in arrays}

    @staticmethod
    def can_fit(features: FeatureTables, config: PairFeaturesConfig) -> bool:
        """Whether users have vectors."""
        return bool(features.users.vectors)

    @staticmethod
    def fit(features: FeatureTables, config: PairFeaturesConfig) -> Arrays:
        """Of each column, what v_u is multiplied with: [n_items + 1, dim]."""
        history = features.history
        divisor = (history.item_counts + config.segment_smoothing)[:, np.newaxis]
        return {
            name: np.asarray(history.matrix.T @ _centred(values) / divisor, np.float32)
            for name, values in features.users.vectors.items()
        }

    def columns(self, features: FeatureTables, sources: tuple[str, ...]) -> Sequence[Column]:
        """One for each column."""
        return [Column(f"user_vector.{name}", f"users alike in {name}") for name in self.arrays]

    def compute(self, request: PairRequest) -> Sequence[Values]:
        """See above."""
        vectors, users = request.features.users.vectors, request.candidates.users
        return [
            request.products(at_unit_length(vectors[name][users])[np.newaxis], watchers)[0]
            for name, watchers in self.arrays.items()
        ]


def _centred(vectors: Matrix) -> Matrix:
    """[n_users + 1, dim] at unit length, less the mean; 0 where a user has none."""
    has_one = vectors.any(axis=1, keepdims=True)
    mean = at_unit_length(vectors).sum(axis=0) / max(1, np.count_nonzero(has_one))
    return np.asarray(np.where(has_one, at_unit_length(vectors) - mean, 0), np.float32)
