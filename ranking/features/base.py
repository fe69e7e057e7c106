"""FeatureGroup: pair features that are computed together; and what a group is handed and says of its columns."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from belfry.dataset.arrays import Mask, Positions
from belfry.dataset.candidates import Candidates
from belfry.dataset.concurrency.cached import cached_property
from belfry.dataset.features import FeatureTables
from belfry.dataset.vocabulary import ItemNums
from belfry.layers.saved.array_check import ArrayForms, check_arrays
from belfry.ranking.base import Matrix
from belfry.ranking.features.config import PairFeaturesConfig
from belfry.ranking.features.history import UserHistories

_USERS_PER_PRODUCT = 32  # the factors of their candidates, 3 MB at 200 of them, stay in the cache

Arrays: TypeAlias = dict[str, npt.NDArray[Any]]
Values: TypeAlias = npt.NDArray[np.floating]  # [n_rows] of one column


class Column(NamedTuple):
    """What a group says of one of its columns."""

    name: str
    about: str  # what it tells, in words for people; columns about the same are explained as one
    has_place: bool = False  # whether its standard score within the list becomes a column too


@dataclass(frozen=True)
class PairRequest:
    """Candidates of some users and what these users did: all that a group computes from.

    Where `values` [n_users] belong to the users, `values[request.row_user]` belong to the rows.
    """

    candidates: Candidates
    features: FeatureTables
    histories: UserHistories  # of `candidates.users`

    @classmethod
    def blocks(
        cls, candidates: Candidates, features: FeatureTables, config: PairFeaturesConfig, *, n_users: int
    ) -> "Iterator[tuple[slice, PairRequest]]":
        """The rows and the request of each block of at most `n_users` users."""
        starts = candidates.starts
        for first in range(0, len(candidates.users), n_users):
            users = candidates.users[first : first + n_users]
            rows = slice(int(starts[first]), int(starts[first + len(users)]))
            own = candidates
            if len(users) < len(candidates.users):
                own = candidates.select(rows)
                own = replace(own, users=users, row_user=own.row_user - first)
            yield rows, cls(own, features, UserHistories.of(users, features, config))

    @property
    def items(self) -> ItemNums:
        """[n_rows]"""
        return self.candidates.item_num

    @property
    def row_user(self) -> Positions:
        """[n_rows] position of the user of each row."""
        return self.candidates.row_user

    @cached_property
    def row_of_event(self) -> Positions:
        """[n_events] the row of what was watched, where the user may get it again; else -1."""
        return self.rows_at(self.histories.event_user, self.histories.item_num)

    @cached_property
    def item_table(self) -> ItemNums:
        """[n_users, longest] `items`, a row for each user, padded behind with 0."""
        lengths = self.candidates.lengths
        longest = int(lengths.max(initial=0))
        if len(self.items) == len(lengths) * longest:
            return self.items.reshape(len(lengths), longest)
        table = np.zeros((len(lengths), longest), np.int32)
        table[self._present] = self.items
        return table

    def places_at(self, user: Positions, items: ItemNums) -> npt.NDArray[np.int32]:
        """[n_pairs] where a user's candidate stands in their list, from 0; -1 for items that are none of theirs.

        Args:
            user: [n_pairs] or [1] positions.
        """
        if len(self.candidates.users) == 1:
            return self._column_of[items] - np.int32(1)
        cells = user * self._place_at.shape[1] + self._column_of[items]
        places: npt.NDArray[np.int32] = self._place_at.ravel()[cells]
        return places

    def rows_at(self, user: Positions, items: ItemNums) -> Positions:
        """[n_pairs] the row of a user's candidate, by position of the user [n_pairs]; -1 as in `places_at`."""
        place = self.places_at(user, items)
        return np.where(place >= 0, self.candidates.starts[user] + place, -1)

    def rows_of(self, table: Matrix) -> Matrix:
        """[..., n_rows] the values that belong to rows of `table` [..., n_users, longest], laid out as `item_table`."""
        if table.shape[-2] * table.shape[-1] == len(self.items):
            return table.reshape(*table.shape[:-2], len(self.items))
        return table[..., self._present]

    def products(self, queries: Matrix, factors: Matrix) -> Matrix:
        """[n_queries, n_rows] products of each user's queries with the factors of their candidates.

        Args:
            queries: [n_queries, n_users, n_factors].
            factors: [n_items + 1, n_factors].
        """
        items = self.item_table
        products = np.empty((len(items), len(queries), items.shape[1]), np.float32)
        for first in range(0, len(items), _USERS_PER_PRODUCT):
            users = slice(first, first + _USERS_PER_PRODUCT)
            read = queries[:, users].transpose(1, 0, 2)
            np.matmul(read, factors[items[users]].transpose(0, 2, 1), out=products[users])
        return self.rows_of(products.transpose(1, 0, 2))

    @cached_property
    def _column_of(self) -> npt.NDArray[np.int32]:
        """[n_items + 1] a number of each item that is anybody's candidate, from 1 (of one user by place); else 0."""
        column = np.zeros(len(self.features.history.items) + 1, np.int32)
        if len(self.candidates.users) == 1:
            column[self.items] = np.arange(1, len(self.items) + 1, dtype=np.int32)
            return column
        column[self.items] = 1
        listed = column.nonzero()[0]
        column[listed] = np.arange(1, len(listed) + 1, dtype=np.int32)
        return column

    @cached_property
    def _place_at(self) -> npt.NDArray[np.int32]:
        """[n_users, n_listed + 1] as `places_at`, by `_column_of`."""
        columns = self._column_of[self.items]
        places = np.full((len(self.candidates.users), int(columns.max(initial=0)) + 1), -1, np.int32)
        places[self.row_user, columns] = np.arange(len(self.items)) - self.candidates.starts[self.row_user]
        return places

    @cached_property
    def _present(self) -> Mask:
        """[n_users, longest] which cells of `item_table` are rows."""
        lengths = self.candidates.lengths
        return np.arange(int(lengths.max(initial=0))) < lengths[:, np.newaxis]


class FeatureGroup(ABC):
    """A group of pair features, made of what `fit` kept of one history.

    A new group is a subclass in a file of its own and a row in `GROUPS` of `belfry.ranking.features.pair_features`.
    The same code computes it in training and in answering, so it may use NumPy and SciPy alone.
    """

    name: ClassVar[str]  # in the files of a run; no "/"

    def __init__(self, arrays: Arrays) -> None:
        """`arrays` are those that `fit` gave.

        Raises:
            ArtifactError: they are of another form.
        """
        self.arrays = arrays
        self.lengths = check_arrays(f"pair features: {self.name}", arrays, self.forms(arrays))

    @staticmethod
    def forms(arrays: Arrays) -> ArrayForms:
        """What the arrays that `fit` gives are; `n_items` and `categories of ...` are those of the run."""
        return {}

    @staticmethod
    def can_fit(features: FeatureTables, config: PairFeaturesConfig) -> bool:
        """Whether the data has what the group needs; where not, the group is left out."""
        return True

    @staticmethod
    def fit(features: FeatureTables, config: PairFeaturesConfig) -> Arrays:
        """What the group keeps of `features.history`, by name."""
        return {}

    @abstractmethod
    def columns(self, features: FeatureTables, sources: tuple[str, ...]) -> Sequence[Column]:
        """The columns that `compute` gives, in order; `sources` are those of the candidates."""

    @abstractmethod
    def compute(self, request: PairRequest) -> Sequence[Values] | Matrix:
        """The values of each column, [n_rows] of any float type, rows as in `request.candidates`.

        A row may depend on the other rows of its list, and on nothing of other lists.
        """

    def item_weights(self, watched: ItemNums, items: ItemNums) -> Matrix | None:
        """[n_items, n_watched] what each watched item adds to a column of each item; None where nothing adds up so.

        Args:
            watched: rising, each item once.
            items: [n_items].
        """
        return None
