"""NeighbourGroup: columns that sum over the history's events whose neighbours a candidate is among."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy  # its parts load when they are used

from belfry.dataset.arrays import stretches
from belfry.dataset.errors import ArtifactError
from belfry.dataset.features import FeatureTables
from belfry.dataset.similarity import largest_of_rows
from belfry.ranking.base import Matrix
from belfry.ranking.features.base import Arrays, Column, FeatureGroup, PairRequest
from belfry.ranking.features.config import PairFeaturesConfig

_START, _NEIGHBOUR, _WEIGHT, _RECENT = "start", "neighbour", "weight", "n_recent"  # names of the arrays


class Weighting(NamedTuple):
    """How much the event of an age counts, age being the number of newer events of the history."""

    name: str
    half_life: float | None = None  # 0.5^(age / half_life)
    age: int | None = None  # 1 at this age, 0 at others; with neither, 1 at all

    def of(self, ages: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """[n_events]"""
        if self.age is not None:
            return np.asarray(ages == self.age, np.float32)
        decay = 1.0 if self.half_life is None else 0.5 ** (1 / self.half_life)
        weights: npt.NDArray[np.float32] = (decay ** np.arange(ages.max(initial=0) + 1)).astype(np.float32)[ages]
        return weights


class NeighbourGroup(FeatureGroup):
    """`<name>_<weighting>` of candidate c = sum over the history's newest events h of w_h s_hc, for each weighting w.

    The `recent_history` newest are read. s_hc is 0 where c is not among the `n_neighbours` candidates of the largest
    s_hc.
    """

    about: ClassVar[str]
    weightings: ClassVar[tuple[Weighting, ...]]

    def __init__(self, arrays: Arrays) -> None:
        """Raises ArtifactError: the rows of neighbours lead out of the arrays or of the items."""
        super().__init__(arrays)
        start, neighbour, weight = (arrays[name] for name in (_START, _NEIGHBOUR, _WEIGHT))
        are_rows = (
            start.ndim == neighbour.ndim == 1 and len(start) > 1 and start.dtype.kind == neighbour.dtype.kind == "i"
        )
        if not are_rows or start[0] != 0 or start[-1] != len(neighbour) or (np.diff(start) < 0).any():
            raise ArtifactError(f"pair features: {self.name} holds no rows of neighbours; train again")
        is_outside = len(neighbour) and not 0 <= neighbour.min() <= neighbour.max() < len(start) - 1
        if weight.shape != neighbour.shape or is_outside:
            raise ArtifactError(f"pair features: {self.name} names items that there are not; train again")

    @staticmethod
    @abstractmethod
    def similarities(features: FeatureTables, config: PairFeaturesConfig) -> "scipy.sparse.csr_matrix[np.float32]":
        """[n_items + 1 watched, n_items + 1 candidates] all s_hc, none below 0."""

    @staticmethod
    def n_neighbours(config: PairFeaturesConfig) -> int:
        """Kept for each watched item."""
        return config.n_neighbours

    @staticmethod
    def n_recent(config: PairFeaturesConfig) -> int:
        """Newest events of a history that are read."""
        return config.recent_history

    @classmethod
    def fit(cls, features: FeatureTables, config: PairFeaturesConfig) -> Arrays:
        """The neighbours of watched item i, and their weights, are `start[i] : start[i + 1]` of two arrays."""
        matrix = largest_of_rows(cls.similarities(features, config), cls.n_neighbours(config))
        return {
            _START: matrix.indptr.astype(np.int64),
            _NEIGHBOUR: matrix.indices.astype(np.int32),
            _WEIGHT: matrix.data.astype(np.float32),
            _RECENT: np.array(cls.n_recent(config)),
        }

    def columns(self, features: FeatureTables, sources: tuple[str, ...]) -> Sequence[Column]:
        """One for each weighting."""
        return [Column(f"{self.name}_{weighting.name}", self.about, has_place=True) for weighting in self.weightings]

    def compute(self, request: PairRequest) -> Sequence[Matrix]:
        """See above."""
        events, row, weight = self._pairs(request)
        ages, columns = request.histories.ages[events], np.zeros((len(self.weightings), len(request.items)), np.float32)
        for column, weighting in zip(columns, self.weightings, strict=True):
            column[:] = np.bincount(row, weight * weighting.of(ages), len(column))
        return list(columns)

    def _pairs(self, request: PairRequest) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32], Matrix]:
        """Of each pair of a read event and a neighbour that is a candidate: the event, the row, and s_hc."""
        histories, starts = request.histories, self.arrays[_START]
        read = (histories.ages < int(self.arrays[_RECENT])).nonzero()[0]
        watched = histories.item_num[read]
        counts = starts[watched + 1] - starts[watched]
        places = stretches(starts[watched], counts)
        event = read.repeat(counts)
        row = request.rows_at(histories.event_user[event], self.arrays[_NEIGHBOUR][places])
        kept = (row >= 0).nonzero()[0]
        return event[kept], row[kept], self.arrays[_WEIGHT][places[kept]]
