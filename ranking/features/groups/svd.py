"""How well a candidate fits a user's history in the space of the largest singular vectors of who watched what."""

from collections.abc import Sequence

import numpy as np

from belfry.dataset.features import FeatureTables
from belfry.dataset.similarity import singular_vectors
from belfry.ranking.base import Matrix
from belfry.ranking.features.base import Arrays, Column, FeatureGroup, PairRequest
from belfry.ranking.features.config import PairFeaturesConfig
from belfry.ranking.features.history import UNIFORM, WEIGHTINGS

_ROUNDING = 1e-6


class Svd(FeatureGroup):
    """`svd_<f>` of candidate c = sum over the history's events h of w_h V[h] . V[c], V the first f singular vectors.

    Weights w are uniform. Data that have fewer vectors give those that they have, so all parts of one history have the
    same columns. Source: Cremonesi et al., Performance of recommender algorithms on top-N recommendation tasks, RecSys
    2010 (PureSVD).
    """

    name = "svd"

    @staticmethod
    def fit(features: FeatureTables, config: PairFeaturesConfig) -> Arrays:
        """V, [n_items + 1, n_factors], and the sizes f."""
        size, is_shared = max(config.svd_sizes, default=1), len(features.history.items) > config.ease_max_items
        _, factors = singular_vectors(features.history, max(size, config.ease_rank) if is_shared else size)
        return {"factors": np.ascontiguousarray(factors[:, :size]), "sizes": np.array(config.svd_sizes, np.int64)}

    def columns(self, features: FeatureTables, sources: tuple[str, ...]) -> Sequence[Column]:
        """One for each size."""
        return [
            Column(f"svd_{size}", "similarity to what was watched", has_place=True) for size in self.arrays["sizes"]
        ]

    def compute(self, request: PairRequest) -> Matrix:
        """[n_sizes, n_rows]"""
        histories, factors = request.histories, self.arrays["factors"]
        uniform = histories.weights[[WEIGHTINGS.index(UNIFORM)]]
        is_read = np.arange(factors.shape[1]) < self.arrays["sizes"][:, np.newaxis]  # [n_sizes, n_factors]
        scores = request.products(histories.sums(factors, uniform) * is_read[:, np.newaxis], factors)
        # As many vectors as there are items give every history back, and others 0 but for what a block rounds.
        scores[np.abs(scores) < _ROUNDING] = 0
        return scores
