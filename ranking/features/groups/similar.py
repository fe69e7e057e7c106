"""How near a candidate is to what the user watched last: by who watched both, and by what was watched next."""

import numpy as np
import scipy  # its parts load when they are used

from belfry.dataset.features import FeatureTables
from belfry.dataset.similarity import cosine_neighbours, followers
from belfry.ranking.features.config import PairFeaturesConfig
from belfry.ranking.features.neighbours import NeighbourGroup


class Cosine(NeighbourGroup):
    """s_hc = n_hc / (sqrt(n_h n_c) + shrink), n being counts of users who watched an item, or both."""

    name = "cosine"
    about = "similarity to what was watched"

    @staticmethod
    def similarities(features: FeatureTables, config: PairFeaturesConfig) -> "scipy.sparse.csr_matrix[np.float32]":
        """The nearest of each item alone."""
        return cosine_neighbours(features.history.matrix, n_neighbours=config.n_neighbours, shrink=config.shrink)


class Followers(NeighbourGroup):
    """s_hc of `belfry.dataset.similarity.followers`: how often c was watched soon after h."""

    name = "followers"
    about = "watched after one another"

    @staticmethod
    def similarities(features: FeatureTables, config: PairFeaturesConfig) -> "scipy.sparse.csr_matrix[np.float32]":
        """All pairs that occur."""
        return followers(features.history, n_steps=config.next_steps)
