"""How well a candidate fits a user's history in the space of the largest singular vectors of who watched what."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.sparse.linalg import svds

from belfry.dataset.features import FeatureTables
from belfry.ranking.base import Matrix
from belfry.ranking.features.base import Arrays, Column, FeatureGroup, PairRequest
from belfry.ranking.features.config import PairFeaturesConfig
from belfry.ranking.features.history import UNIFORM, weightings

_EPSILON = 1e-6  # of the largest singular value: the direction of a smaller one is rounding, another on every machine


class Svd(FeatureGroup):
    """`svd_<f>` of candidate c = V[c] . sum over the history's events h of w_h V[h], V the first f singular vectors.

    Weights w are uniform. A size needs more users and more items than factors. Source: Cremonesi et al., Performance
    of recommender algorithms on top-N recommendation tasks, RecSys 2010 (PureSVD).
    """

    name = "svd"

    @staticmethod
    def fit(features: FeatureTables, config: PairFeaturesConfig) -> Arrays:
        """V of each size, [n_items + 1, n_factors]."""
        matrix = features.history.matrix
        sizes = [size for size in config.svd_sizes if size < min(matrix.shape) - 1]
        return {str(size): _item_factors(matrix, size) for size in sizes}

    def columns(self, features: FeatureTables, sources: tuple[str, ...]) -> Sequence[Column]:
        """One for each size."""
        return [Column(f"svd_{size}", "similarity to what was watched", has_place=True) for size in self.arrays]

    def compute(self, request: PairRequest) -> Matrix:
        """[n_sizes, n_rows]"""
        histories = request.histories
        uniform = histories.weights[weightings(request.features).index(UNIFORM)]
        columns = np.empty((len(self.arrays), len(request.items)), np.float32)
        for place, factors in enumerate(self.arrays.values()):
            for rows, events in request.lists():
                user_factors = uniform[events] @ factors[histories.item_num[events]]  # [n_factors]
                columns[place, rows] = factors[request.items[rows]] @ user_factors
        return columns


def _item_factors(matrix: "sp.csr_matrix[np.float32]", n_factors: int) -> npt.NDArray[np.float32]:
    """[n_items + 1, n_factors] right singular vectors."""
    start = np.ones(min(matrix.shape)) / np.sqrt(min(matrix.shape))  # the same every time
    _, values, vectors = svds(matrix.astype(np.float64), k=n_factors, v0=start)
    vectors[values <= _EPSILON * values.max()] = 0
    return np.ascontiguousarray(vectors.T, np.float32)
