"""NeighbourGroup: columns that sum over the watched items among a candidate's nearest neighbours."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import scipy.sparse as sp

from belfry.dataset.features import FeatureTables
from belfry.ranking.base import Matrix
from belfry.ranking.features.base import Arrays, Column, FeatureGroup, PairRequest
from belfry.ranking.features.history import RATED, weightings

_NEIGHBOUR, _WEIGHT = "neighbour", "weight"  # names of the arrays


def neighbour_arrays(matrix: "sp.csr_matrix[np.float32]") -> Arrays:
    """Two dense tables [n_items + 1, most neighbours] of the entries in each row of a matrix, padded with 0.

    Args:
        matrix: [n_items + 1, n_items + 1], row i holding the neighbours of item i and how near they are.
    """
    width = max(int(np.diff(matrix.indptr).max(initial=0)), 1)
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    slots = np.arange(matrix.nnz) - matrix.indptr[rows]
    neighbours, weights = (np.zeros((matrix.shape[0], width), kind) for kind in (np.int32, np.float32))
    neighbours[rows, slots], weights[rows, slots] = matrix.indices, matrix.data
    return {_NEIGHBOUR: neighbours, _WEIGHT: weights}


class NeighbourGroup(FeatureGroup):
    """Sums over the events h of a history whose items are among the neighbours N(c) of a candidate c.

    With the weight s_ch of a neighbour, and w_h of an event for each weighting of the history:

    - `<name>_<weighting>` = sum over h in N(c) of w_h s_ch
    - `<name>_nearest` = max over h in N(c) of s_ch
    """

    about: ClassVar[str]

    def columns(self, features: FeatureTables, sources: tuple[str, ...]) -> Sequence[Column]:
        """One for each weighting, and the nearest."""
        sums = (Column(f"{self.name}_{kind}", self.about, has_place=kind != RATED) for kind in weightings(features))
        return (*sums, Column(f"{self.name}_nearest", self.about))

    def compute(self, request: PairRequest) -> Matrix:
        """[n_weightings + 1, n_rows]"""
        neighbours, weights = self.arrays[_NEIGHBOUR], self.arrays[_WEIGHT]
        histories = request.histories
        n_weightings = len(histories.weights)
        columns = np.zeros((n_weightings + 1, len(request.items)), np.float32)
        for rows, events in request.lists():
            items, watched = request.items[rows], histories.item_num[events]
            weight_of = np.zeros((n_weightings, len(neighbours)), np.float32)
            weight_of[:, watched] = histories.weights[:, events]
            is_watched = np.zeros(len(neighbours), np.bool_)
            is_watched[watched] = True
            is_watched[0] = False
            near = neighbours[items]  # [n_items, n_neighbours]
            row, slot = np.nonzero(is_watched[near])
            found, nearness = near[row, slot], weights[items[row], slot]
            for place in range(n_weightings):
                columns[place, rows] = np.bincount(row, nearness * weight_of[place, found], len(items))
            np.maximum.at(columns[-1, rows], row, nearness)
        return columns
