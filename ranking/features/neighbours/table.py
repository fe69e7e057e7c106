"""NeighbourTable: for each watched item the candidates nearest to it; and how the events of a history are weighted."""

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy  # its parts load when they are used

from belfry.dataset.features import FeatureTables
from belfry.ranking.features.config import PairFeaturesConfig


class Weighting(NamedTuple):
    """How much the event of an age counts, age being the number of newer events of the history."""

    name: str
    half_life: float | None = None  # 0.5^(age / half_life)
    age: int | None = None  # 1 at this age, 0 at others; with neither, 1 at all

    def of(self, n_ages: int) -> npt.NDArray[np.float32]:
        """[n_ages] of the ages 0, 1, ..."""
        ages = np.arange(n_ages)
        if self.age is not None:
            return np.asarray(ages == self.age, np.float32)
        decay = 1.0 if self.half_life is None else 0.5 ** (1 / self.half_life)
        return np.asarray(decay**ages, np.float32)


class NeighbourTable(ABC):
    """What one table of neighbours holds, and which columns are read of it: see `Neighbours`.

    A new table is a subclass and a row in `TABLES` of `belfry.ranking.features.neighbours.group`.
    """

    name: ClassVar[str]
    about: ClassVar[str]
    weightings: ClassVar[tuple[Weighting, ...]]

    @staticmethod
    def can_fit(features: FeatureTables, config: PairFeaturesConfig) -> bool:
        """Whether the data has what the table needs; where not, it is left out."""
        return True

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
