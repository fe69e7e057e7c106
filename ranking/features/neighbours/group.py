"""Neighbours: columns that sum over the history's events whose neighbours a candidate is among."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from belfry.dataset.arrays import Positions, stretches
from belfry.dataset.errors import ArtifactError
from belfry.dataset.features import FeatureTables
from belfry.dataset.similarity import largest_of_rows
from belfry.layers.saved.array_check import ArrayForms, counts, numbers, texts
from belfry.ranking.base import Matrix
from belfry.ranking.features.base import Arrays, Column, FeatureGroup, PairRequest
from belfry.ranking.features.config import PairFeaturesConfig
from belfry.ranking.features.neighbours.sessions import SessionCooccurrence
from belfry.ranking.features.neighbours.similar import Bm25, Cosine, Next, Rules
from belfry.ranking.features.neighbours.table import NeighbourTable

TABLES: tuple[type[NeighbourTable], ...] = (Cosine, Bm25, Rules, Next, SessionCooccurrence)  # as their columns stand
_TABLES, _START, _NEIGHBOUR, _WEIGHT, _RECENT = "tables", "start", "neighbour", "weight", "n_recent"  # names of arrays
_CELLS_PER_STEP = 1 << 18  # of what is read of some users times their candidates: 1 MB, which stays in the cache


class Neighbours(FeatureGroup):
    """`<table>_<weighting>` of candidate c = sum over the history's newest events h of w_h s_hc, for each weighting w.

    s_hc is 0 where c is not among the candidates that the table keeps for h. All tables are read at once, since a look
    into each apart costs one user as much as what is found there.
    """

    name = "neighbours"

    def __init__(self, arrays: Arrays) -> None:
        """Raises ArtifactError: the rows of neighbours lead out of the arrays or of the items."""
        super().__init__(arrays)
        start, neighbour = arrays[_START], arrays[_NEIGHBOUR]
        self._tables = [table for table in TABLES if table.name in arrays[_TABLES].tolist()]
        n_tables, n_starts = len(self._tables), len(start) - 1
        are_rows = n_tables == len(arrays[_TABLES]) and n_tables and n_starts % n_tables == 0 < n_starts
        if not are_rows or start[0] != 0 or start[-1] != len(neighbour) or (np.diff(start) < 0).any():
            raise ArtifactError(f"pair features: {self.name} holds no rows of neighbours; train again")
        self._n_numbers = n_starts // n_tables
        self.lengths["n_items"] = self._n_numbers - 1
        if len(neighbour) and neighbour.max() >= self._n_numbers:
            raise ArtifactError(f"pair features: {self.name} names items that there are not; train again")
        n_columns = [len(table.weightings) for table in self._tables]
        self._reads = np.repeat(np.eye(n_tables, dtype=np.float32), n_columns, axis=0)  # [n_columns, n_tables] 1 or 0
        self._weights_of_ages = np.zeros((len(self._reads), 0), np.float32)

    @staticmethod
    def forms(arrays: Arrays) -> ArrayForms:
        """See `fit`."""
        return {
            _TABLES: texts("n_tables"),
            _START: counts("n_rows + 1"),
            _NEIGHBOUR: counts("n_pairs"),
            _WEIGHT: numbers("n_pairs"),
            _RECENT: counts("n_tables"),
        }

    @staticmethod
    def fit(features: FeatureTables, config: PairFeaturesConfig) -> Arrays:
        """All tables, one behind the other.

        `tables`: their names; `n_recent`: [n_tables] newest events that are read; the neighbours of watched item i in
        table t and their weights are `start[r] : start[r + 1]` of two arrays, r = t (n_items + 1) + i.
        """
        starts, neighbours, weights = [np.zeros(1, np.int64)], np.zeros(0, np.int32), np.zeros(0, np.float32)
        tables = [table for table in TABLES if table.can_fit(features, config)]
        for table in tables:
            matrix = largest_of_rows(table.similarities(features, config), table.n_neighbours(config))
            n_stored = len(neighbours)
            starts.append(matrix.indptr[1:].astype(np.int64) + n_stored)
            for stored, more in ((neighbours, matrix.indices), (weights, matrix.data)):
                stored.resize(n_stored + matrix.nnz, refcheck=False)  # a long array grows without a copy
                stored[n_stored:] = more
        return {
            _TABLES: np.array([table.name for table in tables]),
            _START: np.concatenate(starts),
            _NEIGHBOUR: neighbours,
            _WEIGHT: weights,
            _RECENT: np.array([table.n_recent(config) for table in tables]),
        }

    def columns(self, features: FeatureTables, sources: tuple[str, ...]) -> Sequence[Column]:
        """One for each weighting of each table."""
        return [
            Column(f"{table.name}_{weighting.name}", table.about, has_place=True)
            for table in self._tables
            for weighting in table.weightings
        ]

    def compute(self, request: PairRequest) -> Matrix:
        """[n_columns, n_rows]"""
        lengths = request.histories.lengths
        n_read = np.minimum(lengths[:, np.newaxis], self.arrays[_RECENT])  # [n_users, n_tables]
        longest = int(request.candidates.lengths.max(initial=1))
        n_users = max(1, _CELLS_PER_STEP // (longest * max(1, int(n_read.sum(axis=1).max(initial=0)))))
        columns = np.empty((len(self._reads), len(request.items)), np.float32)
        for first in range(0, len(lengths), n_users):
            users = np.arange(first, min(first + n_users, len(lengths)))
            self._fill(columns, request, users, n_read[users], longest)
        return columns

    def _fill(self, columns: Matrix, request: PairRequest, users: Positions, n_read: Positions, longest: int) -> None:
        """The columns of some users: `n_read` [n_users, n_tables] newest events of each, lists of up to `longest`."""
        histories, starts = request.histories, request.candidates.starts
        counts, of_user = n_read.ravel(), n_read.sum(axis=1)
        table = np.tile(np.arange(n_read.shape[1]), len(users)).repeat(counts)  # [n_reads] by user, then by table
        event = stretches(histories.starts[users + 1].repeat(n_read.shape[1]) - counts, counts)
        weights = self._reads[:, table] * self._of_ages(int(counts.max(initial=0)))[:, histories.ages[event]]
        said = np.zeros((len(event), 1 + longest), np.float32)
        user = users.repeat(of_user) if len(users) > 1 else users
        self._look_up(said, request, user, table * self._n_numbers + histories.item_num[event])
        past = 0
        for place, count in zip(users.tolist(), of_user.tolist(), strict=True):
            rows, own = slice(starts[place], starts[place + 1]), slice(past, past + count)
            np.matmul(weights[:, own], said[own, 1 : 1 + rows.stop - rows.start], out=columns[:, rows])
            past += count

    def _look_up(self, said: Matrix, request: PairRequest, user: Positions, table_row: Positions) -> None:
        """Fill `said` [n_reads, 1 + longest] with s_hc of the candidates c of `user` [n_reads] or [1], in their order.

        Column 0 takes what is none of them: cheaper than to leave it out.
        """
        start = self.arrays[_START]
        first = start[table_row]
        counts = start[table_row + 1] - first
        stored = stretches(first, counts)
        neighbours = self.arrays[_NEIGHBOUR].take(stored)
        place = request.places_at(user.repeat(counts) if len(user) > 1 else user, neighbours)
        cells = np.arange(1, said.size, said.shape[1]).repeat(counts) + place
        said.ravel()[cells] = self.arrays[_WEIGHT].take(stored)

    def _of_ages(self, n_ages: int) -> npt.NDArray[np.float32]:
        """[n_columns, at least n_ages] weight of the event of each age, in whatever table; kept from call to call."""
        found = self._weights_of_ages
        if found.shape[1] < n_ages:
            weightings = [weighting for table in self._tables for weighting in table.weightings]
            found = self._weights_of_ages = np.stack([weighting.of(n_ages) for weighting in weightings])
        return found
