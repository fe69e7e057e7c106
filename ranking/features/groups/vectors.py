"""How alike a candidate's vectors (embeddings of text, images) are to those of what the user watched."""

from collections.abc import Sequence

import numpy as np

from belfry.dataset.features import FeatureTables
from belfry.layers.saved.array_check import ArrayForms, numbers
from belfry.ranking.features.base import Arrays, Column, FeatureGroup, PairRequest, Values
from belfry.ranking.features.config import PairFeaturesConfig
from belfry.ranking.features.history import WEIGHTINGS

_EPSILON = 1e-9  # far below the length of any sum but that of nothing


class Vectors(FeatureGroup):
    """`vector.<column>.<weighting>` = cosine of the candidate's vector and the weighted sum of the history's.

    Vectors have unit length in the sum. An item without a vector, or a history without any, has 0.
    """

    name = "vectors"

    @staticmethod
    def forms(arrays: Arrays) -> ArrayForms:
        """See `fit`."""
        return {name: numbers("n_items + 1", f"dimensions of items' {name}") for name in arrays}

    @staticmethod
    def can_fit(features: FeatureTables, config: PairFeaturesConfig) -> bool:
        """Whether items have vectors."""
        return bool(features.items.vectors)

    @staticmethod
    def fit(features: FeatureTables, config: PairFeaturesConfig) -> Arrays:
        """Each column's vectors at unit length, [n_items + 1, dim]."""
        return {name: at_unit_length(values) for name, values in features.items.vectors.items()}

    def columns(self, features: FeatureTables, sources: tuple[str, ...]) -> Sequence[Column]:
        """Two for each column."""
        return [Column(f"vector.{name}.{kind}", name) for name in self.arrays for kind in WEIGHTINGS]

    def compute(self, request: PairRequest) -> Sequence[Values]:
        """See above."""
        columns: list[Values] = []
        for vectors in self.arrays.values():
            profiles = request.histories.sums(vectors, request.histories.weights)
            columns += [*request.products(at_unit_length(profiles), vectors)]
        return columns


def at_unit_length(vectors: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(length, _EPSILON), np.float32)
