"""PairFeatures: everything the ranker reads about a user and a candidate, computed with NumPy alone.

The same code runs in training and in answering, so the two cannot drift apart. Columns come in groups; a group whose
data is missing (no times, no ratings, no features) is left out when fitted; `columns` names what there is.
"""

from math import isqrt
from typing import NamedTuple

import numpy as np

from belfry.dataset.arrays import Positions
from belfry.dataset.candidates import Candidates
from belfry.dataset.features import FeatureTables
from belfry.layers.saved.array_check import check_lengths
from belfry.ranking.base import LabelRanker, Matrix
from belfry.ranking.features.base import Arrays, Column, FeatureGroup, PairRequest
from belfry.ranking.features.config import PairFeaturesConfig
from belfry.ranking.features.expected_labels import ExpectedLabels
from belfry.ranking.features.groups.categories import Categories
from belfry.ranking.features.groups.numeric import NumericColumns
from belfry.ranking.features.groups.passed_over import PassedOver
from belfry.ranking.features.groups.popularity import Popularity
from belfry.ranking.features.groups.ratings import Ratings
from belfry.ranking.features.groups.repeats import Repeats
from belfry.ranking.features.groups.retrieval_scores import RetrievalScores
from belfry.ranking.features.groups.segments import Segments
from belfry.ranking.features.groups.singular_vectors import EaseByRating, SingularVectors
from belfry.ranking.features.groups.times import WatchTimes
from belfry.ranking.features.groups.user_vectors import UserVectors
from belfry.ranking.features.groups.vectors import Vectors
from belfry.ranking.features.list_places import standard_scores
from belfry.ranking.features.neighbours.group import Neighbours

# In the order of their columns. Rankers are initialised and sampled by it: another order is another ranker.
GROUPS: tuple[type[FeatureGroup], ...] = (
    RetrievalScores,
    SingularVectors,
    EaseByRating,
    Neighbours,
    Popularity,
    WatchTimes,
    Ratings,
    Segments,
    NumericColumns,
    Categories,
    Repeats,
    Vectors,
    UserVectors,
    PassedOver,
)
_FITTED = "groups"  # name of the array that holds the names of the fitted groups
_USERS_PER_BLOCK = 128  # with 200 candidates each, a column of a block takes 100 KB
_CELLS_PER_BLOCK = 1 << 23  # of users times items that any of them may get: longer lists make smaller blocks


class _Layout(NamedTuple):
    """What columns there are, for tables and sources."""

    features: FeatureTables
    sources: tuple[str, ...]
    columns: tuple[Column, ...]
    names: tuple[str, ...]
    placed: Positions  # of the columns whose standard score within the list becomes a column too


class PairFeatures:
    """Statistics of one history, and the matrix of features they give for any candidates."""

    def __init__(self, config: PairFeaturesConfig, arrays: Arrays, labels: LabelRanker | None = None) -> None:
        """Made by `fit`, or of the `arrays` that an earlier one gave."""
        self.config = config
        self.arrays = arrays
        own: dict[str, Arrays] = {name: {} for name in arrays[_FITTED].tolist()}
        for key, array in arrays.items():
            if key != _FITTED:
                group, _, name = key.partition("/")
                own[group][name] = array
        of_history = [group(own[group.name]) for group in GROUPS if group.name in own]
        self.groups = (*of_history, ExpectedLabels(labels)) if labels else tuple(of_history)
        self._layout: _Layout | None = None

    @classmethod
    def fit(
        cls, features: FeatureTables, config: PairFeaturesConfig, labels: LabelRanker | None = None
    ) -> "PairFeatures":
        """Item statistics of `features.history`; nothing later is looked at.

        Args:
            labels: fitted on the same history; what it expects becomes columns too.
        """
        fitted = {group.name: group.fit(features, config) for group in GROUPS if group.can_fit(features, config)}
        named = {f"{group}/{name}": array for group, arrays in fitted.items() for name, array in arrays.items()}
        return cls(config, {_FITTED: np.array(list(fitted)), **named}, labels)

    def matrix(self, candidates: Candidates, features: FeatureTables) -> Matrix:
        """[n_rows, n_columns] float32, rows as in `candidates`, columns as in `columns`.

        `features` belong to the history that this was fitted on. A list is described as a whole, so a user's rows give
        other values when some of them are left out.
        """
        matrix = np.empty((len(candidates), len(self.columns(features, candidates.sources))), np.float32)
        longest = max(1, int(candidates.lengths.max(initial=0)))
        n_users = max(1, min(_USERS_PER_BLOCK, isqrt(_CELLS_PER_BLOCK // longest)))
        for rows, request in PairRequest.blocks(candidates, features, self.config, n_users=n_users):
            if rows.start < rows.stop:
                self._compute(request, matrix[rows])
        return matrix

    def columns(self, features: FeatureTables, sources: tuple[str, ...] = ()) -> tuple[Column, ...]:
        """The columns of `matrix`: those of the groups, then standard scores within the list.

        Args:
            features: as handed to `matrix`.
            sources: of the candidates.
        """
        return self._layout_of(features, sources).columns

    def names(self, features: FeatureTables, sources: tuple[str, ...] = ()) -> tuple[str, ...]:
        """Names of the columns of `matrix`, in order; `sources` are those of the candidates."""
        return self._layout_of(features, sources).names

    def _layout_of(self, features: FeatureTables, sources: tuple[str, ...]) -> "_Layout":
        """Kept until other tables are asked about: to name the columns takes as long as to compute some of them."""
        layout = self._layout
        if layout is None or layout.features is not features or layout.sources != sources:
            self._check_fits(features)
            own = [column for group in self.groups for column in group.columns(features, sources)]
            placed = [place for place, column in enumerate(own) if column.has_place]
            columns = (*own, *(Column(f"standard_{own[place].name}", own[place].about) for place in placed))
            names = tuple(column.name for column in columns)
            self._layout = layout = _Layout(features, sources, columns, names, np.array(placed, np.int64))
        return layout

    def _check_fits(self, features: FeatureTables) -> None:
        """Raises ArtifactError: a group is of other items or categories."""
        known = {"n_items": len(features.history.items)}
        for whose, table in (("users'", features.users), ("items'", features.items)):
            known |= {f"categories of {whose} {name}": size for name, size in table.sizes.items()}
            known |= {f"dimensions of {whose} {name}": values.shape[1] for name, values in table.vectors.items()}
        for group in self.groups:
            check_lengths(f"pair features: {group.name}", group.lengths, known)

    def _compute(self, request: PairRequest, into: Matrix) -> None:
        """Fill `into` [n_rows, n_columns] with one block."""
        columns = np.empty(into.T.shape, np.float32)  # filled a column at a time, so turned over once at the end
        placed = self._layout_of(request.features, request.candidates.sources).placed
        own = columns[: len(columns) - len(placed)]
        computed = (values for group in self.groups for values in group.compute(request))
        for column, values in zip(own, computed, strict=True):
            column[:] = values
        columns[len(own) :] = standard_scores(columns[placed], request.candidates.starts)
        into[:] = columns.T
