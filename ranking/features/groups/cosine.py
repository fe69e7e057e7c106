"""How near a candidate is to what the user watched, by the cosine of who watched both."""

import numpy as np

from belfry.dataset.features import FeatureTables
from belfry.dataset.similarity import cosine_neighbours
from belfry.dataset.vocabulary import ItemNums
from belfry.ranking.base import Matrix
from belfry.ranking.features.base import Arrays
from belfry.ranking.features.config import PairFeaturesConfig
from belfry.ranking.features.neighbours import NeighbourGroup, neighbour_arrays


class Cosine(NeighbourGroup):
    """The weight of two items is n_both / (sqrt(n_one n_other) + shrink), n being counts of users who watched them."""

    name = "cosine"
    about = "similarity to what was watched"

    @staticmethod
    def fit(features: FeatureTables, config: PairFeaturesConfig) -> Arrays:
        """The `n_neighbours` nearest of each item."""
        matrix = features.history.matrix
        return neighbour_arrays(cosine_neighbours(matrix, n_neighbours=config.n_neighbours, shrink=config.shrink))

    def item_weights(self, watched: ItemNums, items: ItemNums) -> Matrix:
        """[n_items, n_watched] the cosines, 0 where a watched item is not among an item's nearest."""
        neighbours = self.arrays["neighbour"][items]  # [n_items, n_neighbours]
        rows, slots = np.nonzero(np.isin(neighbours, watched))
        cosines = np.zeros((len(items), len(watched)), np.float32)
        cosines[rows, np.searchsorted(watched, neighbours[rows, slots])] = self.arrays["weight"][items[rows], slots]
        return cosines
