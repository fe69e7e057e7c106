"""How near a candidate is to what the user watched last: by who watched both, and by what was watched next."""

import numpy as np
import scipy  # its parts load when they are used

from belfry.dataset.features import FeatureTables
from belfry.dataset.similarity import bm25_neighbours, cosine_neighbours, sequential_rules
from belfry.ranking.features.config import PairFeaturesConfig
from belfry.ranking.features.neighbours.table import NeighbourTable, Weighting

_SIMILAR, _NEXT = "similarity to what was watched", "watched after one another"
_OF_SOURCES = 200  # neighbours that sources keep: one table is computed for both, of which the ranker reads a part


class Cosine(NeighbourTable):
    """s_hc = n_hc / (sqrt(n_h n_c) + shrink), n being counts of users who watched an item, or both."""

    name = "cosine"
    about = _SIMILAR
    weightings = (Weighting("recency", half_life=5),)

    @staticmethod
    def similarities(features: FeatureTables, config: PairFeaturesConfig) -> "scipy.sparse.csr_matrix[np.float32]":
        """The nearest of each item alone."""
        return cosine_neighbours(features.history.matrix, n_neighbours=config.n_neighbours, shrink=config.shrink)


class Bm25(NeighbourTable):
    """s_hc of `belfry.dataset.similarity.bm25_neighbours`: who watched both, what few watch weighing more."""

    name = "bm25"
    about = _SIMILAR
    weightings = (Weighting("recency", half_life=2), Weighting("uniform"))

    @staticmethod
    def similarities(features: FeatureTables, config: PairFeaturesConfig) -> "scipy.sparse.csr_matrix[np.float32]":
        """The nearest of each item alone."""
        return bm25_neighbours(features.history, n_neighbours=max(_OF_SOURCES, config.n_neighbours))


class Rules(NeighbourTable):
    """s_hc of `belfry.dataset.similarity.sequential_rules`: how often c was watched soon after h, or soon before.

    Of the whole history under several half-lives, and of the second and third newest item alone.
    """

    name = "rules"
    about = _NEXT
    weightings = (
        Weighting("half_life_0.5", half_life=0.5),
        Weighting("half_life_2", half_life=2),
        Weighting("half_life_20", half_life=20),
        Weighting("second_newest", age=1),
        Weighting("third_newest", age=2),
    )

    @staticmethod
    def can_fit(features: FeatureTables, config: PairFeaturesConfig) -> bool:
        """Whether the events are in order."""
        return features.history.is_ordered

    @staticmethod
    def similarities(features: FeatureTables, config: PairFeaturesConfig) -> "scipy.sparse.csr_matrix[np.float32]":
        """The strongest of each item alone."""
        return sequential_rules(
            features.history,
            n_steps=config.rule_steps,
            backward=config.rule_backward,
            n_neighbours=max(_OF_SOURCES, config.n_neighbours),
        )


class Next(NeighbourTable):
    """The same of pairs that directly follow one another, forwards alone, for the newest item."""

    name = "next"
    about = _NEXT
    weightings = (Weighting("newest", age=0),)

    @staticmethod
    def can_fit(features: FeatureTables, config: PairFeaturesConfig) -> bool:
        """Whether the events are in order."""
        return features.history.is_ordered

    @staticmethod
    def n_recent(config: PairFeaturesConfig) -> int:
        """The newest event alone."""
        return 1

    @staticmethod
    def similarities(features: FeatureTables, config: PairFeaturesConfig) -> "scipy.sparse.csr_matrix[np.float32]":
        """The strongest of each item alone."""
        return sequential_rules(features.history, n_steps=1, backward=0, n_neighbours=config.n_neighbours)
