"""FeatureTables: what models may know of users and items, computed from one history and nothing later."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from dataset.interactions import Interactions

FloatColumn: TypeAlias = npt.NDArray[np.float32]


@dataclass(frozen=True)
class FeatureColumns:
    """Features of users (or items), row i belonging to number i; row 0 is the unknown's.

    A category 0 means unknown or missing; numeric columns are standardised, a missing value is 0, the mean.
    """

    categorical: dict[str, npt.NDArray[np.int32]]  # name -> [n + 1] category numbers
    numeric: dict[str, FloatColumn]  # name -> [n + 1]
    multi_valued: dict[str, npt.NDArray[np.int32]]  # name -> [n + 1, n_values], padded with 0
    sizes: dict[str, int]  # name -> rows that an embedding of a categorical or multi-valued column needs


@dataclass(frozen=True)
class FeatureTables:
    """One history and the features beside it: all that a model sees of the world at one moment."""

    history: Interactions
    users: FeatureColumns
    items: FeatureColumns
