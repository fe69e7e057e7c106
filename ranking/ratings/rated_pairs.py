"""What rating rankers learn from: rated pairs, and the side inputs of users and items."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.sparse.linalg import svds

from belfry.dataset import columns
from belfry.dataset.errors import DivergenceError, InputError
from belfry.dataset.features import FeatureColumns, FeatureTables
from belfry.dataset.interactions import Interactions
from belfry.dataset.vocabulary import ItemNums, Numbers, UserNums

Table: TypeAlias = npt.NDArray[np.float64]

ROWS_PER_BLOCK = 1 << 16  # pairs that are scored at once
_EPSILON = 1e-6  # share of the largest singular value; below it directions are rounding noise


@dataclass(frozen=True)
class RatedPairs:
    """Each known pair with a rating once, ordered by user, then item; of several ratings the newest counts."""

    user_num: UserNums  # [n_pairs]
    item_num: ItemNums  # [n_pairs]
    rating: npt.NDArray[np.float64]  # [n_pairs], on the scale of the data
    centre: float  # mean rating
    spread: float  # standard deviation of the ratings, 0 where all are equal
    lowest: float
    highest: float

    @classmethod
    def of(cls, history: Interactions) -> "RatedPairs":
        assert history.rating is not None  # `check_ratings` saw to it
        rows = history.rated_rows
        rating = history.rating[rows].astype(np.float64)
        lowest, highest = float(rating.min()), float(rating.max())
        spread = float(rating.std()) if highest > lowest else 0.0
        return cls(
            history.user_num[rows], history.item_num[rows], rating, float(rating.mean()), spread, lowest, highest
        )

    def __len__(self) -> int:
        return len(self.rating)

    @property
    def standard(self) -> npt.NDArray[np.float64]:
        """[n_pairs] ratings of mean 0 and variance 1; all 0 if they are equal."""
        return (self.rating - self.centre) / (self.spread or 1)


def check_ratings(history: Interactions, name: str) -> None:
    """Refuse a history without ratings; `name` of the ranker, for the message.

    Raises:
        InputError: names the column.
    """
    if not len(history.rated_rows):
        raise InputError(
            f"{name}: needs a column {columns.RATING!r} with ratings in the interactions; bring it, or take a ranker "
            "that learns from watches"
        )


@dataclass(frozen=True)
class SideInputs:
    """What is known of users and items beside ratings; row i belongs to number i; row 0, the unknown's, is zero."""

    users: tuple[Table, Table]  # features [n_users + 1, n_features], watches [n_users + 1, n_vectors + 1]
    items: tuple[Table, Table]

    @classmethod
    def of(cls, features: FeatureTables, *, max_categories: int, n_vectors: int, seed: int) -> "SideInputs":
        """Side inputs from the features and from the watches of `features.history`.

        Args:
            max_categories: feature columns with more categories are left out.
            n_vectors: leading singular vectors of the watch table to use.

        Raises:
            DivergenceError: a feature is not finite; the message names it.
        """
        history = features.history
        vectors = _watch_vectors(history.matrix, n_vectors, seed)
        counts = (np.diff(history.matrix.indptr), history.item_counts)
        users, items = (
            (_feature_table(known, len(vector), max_categories), np.hstack([vector, _log_standard(count)]))
            for known, vector, count in zip((features.users, features.items), vectors, counts, strict=True)
        )
        return cls(users, items)


def _feature_table(known: FeatureColumns, n_rows: int, max_categories: int) -> Table:
    """[n_rows, n_features] as `FeatureColumns.matrix`, without columns of too many categories."""
    for name, values in known.numeric.items():
        if not np.isfinite(values).all():
            raise DivergenceError(f"ratings: feature {name!r} is not finite in some rows")

    def few(named: dict[str, Numbers]) -> dict[str, Numbers]:
        return {name: values for name, values in named.items() if known.sizes[name] <= max_categories + 1}

    kept = FeatureColumns(few(known.categorical), known.numeric, few(known.multi_valued), known.sizes)
    table = kept.matrix.toarray().astype(np.float64)
    return table if len(table) else np.zeros((n_rows, 0))


def _log_standard(counts: npt.NDArray[np.int64]) -> Table:
    """[n_rows, 1] log counts, standardised over positive counts; row 0 is 0.

    A count of 0 is raised to the least positive one: nothing is learned below that.
    """
    positive = counts[counts > 0]
    logs = np.log(np.maximum(counts, positive.min()).astype(np.float64))
    standard = (logs - np.log(positive).mean()) / (np.log(positive).std() or 1)
    standard[0] = 0
    return np.asarray(standard[:, np.newaxis])


def _watch_vectors(matrix: "sp.csr_matrix[np.float32]", n_vectors: int, seed: int) -> tuple[Table, Table]:
    """[n_users + 1, n] and [n_items + 1, n] rows of U S and V S, scaled to a root mean square length of 1.

    U S V^T is the truncated SVD of the table whose watches are (watches of the user * watches of the item)^-0.25, so
    that neither the busy nor the popular fill the leading vectors. n <= n_vectors; fewer if the rank is lower.
    """
    counts = [np.maximum(matrix.getnnz(axis=axis), 1) for axis in (1, 0)]
    scaled = sp.diags_array(counts[0] ** -0.25) @ matrix.astype(np.float64) @ sp.diags_array(counts[1] ** -0.25)
    n_vectors = min(n_vectors, min(scaled.shape) - 1)
    start = np.random.default_rng(seed).normal(size=min(scaled.shape))
    left, values, right = svds(scaled, k=n_vectors, v0=start)
    kept = values > _EPSILON * values.max()
    strength = values[kept] / np.sqrt((values[kept] ** 2).sum())
    return tuple(side[:, kept] * strength * np.sqrt(len(side)) for side in (left, right.T))
