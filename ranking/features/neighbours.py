"""NeighbourGroup: columns that sum over the history's events whose neighbours a candidate is among."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import scipy  # its parts load when they are used

from belfry.dataset.features import FeatureTables
from belfry.dataset.similarity import largest_of_rows
from belfry.ranking.base import Matrix
from belfry.ranking.features.base import Arrays, Column, FeatureGroup, PairRequest
from belfry.ranking.features.config import PairFeaturesConfig
from belfry.ranking.features.history import RECENCY, WEIGHTINGS

_NEIGHBOUR, _WEIGHT = "neighbour", "weight"  # names of the arrays


class NeighbourGroup(FeatureGroup):
    """`<name>_<weighting>` of candidate c = sum over the history's events h of w_h s_hc, for each of `weightings`.

    s_hc is 0 where c is not among the `n_neighbours` candidates of the largest s_hc.
    """

    about: ClassVar[str]
    weightings: ClassVar[tuple[str, ...]] = (RECENCY,)

    @staticmethod
    @abstractmethod
    def similarities(features: FeatureTables, config: PairFeaturesConfig) -> "scipy.sparse.csr_matrix[np.float32]":
        """[n_items + 1 watched, n_items + 1 candidates] all s_hc, none below 0."""

    @staticmethod
    def n_neighbours(config: PairFeaturesConfig) -> int:
        """Kept for each watched item."""
        return config.n_neighbours

    @classmethod
    def fit(cls, features: FeatureTables, config: PairFeaturesConfig) -> Arrays:
        """Two dense tables [n_items + 1, most neighbours]: the neighbours of each watched item, and their weights.

        Padded with 0.
        """
        matrix = largest_of_rows(cls.similarities(features, config), cls.n_neighbours(config))
        lengths = np.diff(matrix.indptr)
        is_there = np.arange(max(int(lengths.max(initial=0)), 1)) < lengths[:, np.newaxis]
        neighbours, weights = (np.zeros(is_there.shape, kind) for kind in (np.int32, np.float32))
        neighbours[is_there], weights[is_there] = matrix.indices, matrix.data
        return {_NEIGHBOUR: neighbours, _WEIGHT: weights}

    def __init__(self, arrays: Arrays) -> None:
        super().__init__(arrays)
        # As wide as the sums are made in, so that no block of users has to be converted.
        self._neighbours, self._weights = arrays[_NEIGHBOUR].astype(np.int64), arrays[_WEIGHT].astype(np.float64)

    def columns(self, features: FeatureTables, sources: tuple[str, ...]) -> Sequence[Column]:
        """One for each weighting."""
        return [Column(f"{self.name}_{kind}", self.about, has_place=True) for kind in self.weightings]

    def compute(self, request: PairRequest) -> Sequence[Matrix]:
        """See above."""
        histories, n_numbers = request.histories, len(self._neighbours)
        n_cells = len(request.candidates.users) * n_numbers
        asked = request.row_user * n_numbers + request.items
        columns = []
        for kind in self.weightings:
            of_event = histories.weights[WEIGHTINGS.index(kind)]
            used = np.flatnonzero(of_event)
            watched = histories.item_num[used]
            cells = self._neighbours.take(watched, axis=0)
            cells += (histories.event_user[used] * n_numbers)[:, np.newaxis]
            added = self._weights.take(watched, axis=0)
            added *= of_event[used, np.newaxis]
            columns.append(np.bincount(cells.ravel(), added.ravel(), n_cells)[asked])
        return columns
