"""Interactions: the checked, numbered table of events. SeenItems: what a user must not get again."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import scipy.sparse as sp

from dataset import columns
from dataset.vocabulary import Numbers, Vocabulary

Mask: TypeAlias = npt.NDArray[np.bool_]
Positions: TypeAlias = npt.NDArray[np.int64]

_KEY_STRIDE = 1 << 32  # item numbers are int32


@dataclass(frozen=True)
class UserRows:
    """Rows of a table grouped by user: those of user u are `order[starts[u] : starts[u + 1]]`."""

    starts: Positions  # [n_users + 2]
    order: Positions  # [n_rows], positions in the table

    def of(self, user_num: int) -> Positions:
        return self.order[self.starts[user_num] : self.starts[user_num + 1]]


@dataclass(frozen=True)
class Interactions:
    """Events as parallel arrays, in the order of the source; a row is a watch.

    Repeated (user, item) pairs are kept: they are events. `seen_items` and `matrix` count each pair once.
    """

    users: Vocabulary
    items: Vocabulary
    user_num: Numbers  # [n_events]
    item_num: Numbers  # [n_events]
    timestamp_s: npt.NDArray[np.int64] | None = None  # [n_events], UTC
    rating: npt.NDArray[np.float32] | None = None  # [n_events], NaN = watched and not rated
    weight: npt.NDArray[np.float32] | None = None  # [n_events], how much a watch counts as a target; none: all 1
    shown: "SeenItems | None" = None  # pairs that were shown and not watched; those watched elsewhere may be among them

    @classmethod
    def from_table(
        cls, table: pa.Table, *, users: Vocabulary | None = None, items: Vocabulary | None = None
    ) -> "Interactions":
        """Number a table that `dataset.validation.check` has passed; vocabularies are made where none is given."""
        users = Vocabulary(table[columns.USER_ID]) if users is None else users
        items = Vocabulary(table[columns.ITEM_ID]) if items is None else items
        names = table.column_names
        rating = timestamp_s = None
        if columns.TIMESTAMP_S in names:
            timestamp_s = table[columns.TIMESTAMP_S].to_numpy().astype(np.int64)
        if columns.RATING in names:
            rating = table[columns.RATING].to_numpy(zero_copy_only=False).astype(np.float32)
        return cls(
            users,
            items,
            users.numbers(table[columns.USER_ID]),
            items.numbers(table[columns.ITEM_ID]),
            timestamp_s,
            rating,
        )

    def to_table(self) -> pa.Table:
        """The same events with the caller's ids."""
        data = {
            columns.USER_ID: self.users.take(self.user_num),
            columns.ITEM_ID: self.items.take(self.item_num),
        }
        if self.rating is not None:
            data[columns.RATING] = pa.array(self.rating, from_pandas=True)
        if self.timestamp_s is not None:
            data[columns.TIMESTAMP_S] = pa.array(self.timestamp_s)
        return pa.table(data)

    def __len__(self) -> int:
        return len(self.user_num)

    def select(self, rows: Mask | Positions) -> "Interactions":
        """The events in `rows` (a mask or positions), with the same vocabularies."""
        return replace(
            self,
            user_num=self.user_num[rows],
            item_num=self.item_num[rows],
            timestamp_s=None if self.timestamp_s is None else self.timestamp_s[rows],
            rating=None if self.rating is None else self.rating[rows],
            weight=None if self.weight is None else self.weight[rows],
        )

    @cached_property
    def by_user(self) -> UserRows:
        """Rows grouped by user, each user's oldest first; ties (and tables without times) keep the source's order."""
        keys = (self.user_num,) if self.timestamp_s is None else (self.timestamp_s, self.user_num)
        order = np.lexsort(keys)
        starts = np.searchsorted(self.user_num[order], np.arange(len(self.users) + 2))
        return UserRows(starts.astype(np.int64), order.astype(np.int64))

    @cached_property
    def matrix(self) -> "sp.csr_matrix[np.float32]":
        """[n_users + 1, n_items + 1] float32, 1 where the pair occurs; row and column 0 are the unknown's, empty."""
        known = (self.user_num > 0) & (self.item_num > 0)
        pairs = (self.user_num[known], self.item_num[known])
        shape = (len(self.users) + 1, len(self.items) + 1)
        matrix = sp.csr_matrix((np.ones(len(pairs[0]), np.float32), pairs), shape=shape)
        matrix.sum_duplicates()
        matrix.data[:] = 1
        return matrix

    @cached_property
    def item_counts(self) -> npt.NDArray[np.int64]:
        """[n_items + 1] users who watched each item."""
        return np.asarray(self.matrix.getnnz(axis=0), dtype=np.int64)

    @cached_property
    def seen_items(self) -> "SeenItems":
        return SeenItems(self.matrix.indptr.astype(np.int64), self.matrix.indices.astype(np.int32))


@dataclass(frozen=True)
class SeenItems:
    """Items each user has watched, as compressed rows."""

    starts: Positions  # [n_users + 2]
    item_num: Numbers  # [n_pairs], rising within a user

    @classmethod
    def nothing(cls, n_users: int) -> "SeenItems":
        return cls(np.zeros(n_users + 2, np.int64), np.zeros(0, np.int32))

    def of(self, user_num: int) -> Numbers:
        """Rising numbers of the items that this user has watched."""
        return self.item_num[self.starts[user_num] : self.starts[user_num + 1]]

    def count(self, users: Numbers) -> npt.NDArray[np.int64]:
        """[n_users] items each has watched."""
        return self.starts[users + 1] - self.starts[users]

    def rows_of(self, users: Numbers) -> tuple[Positions, Numbers]:
        """Seen pairs of many users: position in `users`, item number; both [n_pairs]."""
        counts = self.count(users)
        rows = np.repeat(np.arange(len(users)), counts)
        offsets = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        return rows, self.item_num[np.repeat(self.starts[users], counts) + offsets]

    def contains(self, user_num: Numbers, item_num: Numbers) -> Mask:
        """Whether each (user, item) pair is one of these; both of one shape, which the answer has too."""
        wanted = user_num.astype(np.int64) * _KEY_STRIDE + item_num
        return np.asarray(self._keys[np.searchsorted(self._keys[:-1], wanted)] == wanted)

    @cached_property
    def _keys(self) -> Positions:
        """[n_pairs + 1] each pair as one rising number, and -1, which no pair is."""
        owners = np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))
        return np.append(owners * _KEY_STRIDE + self.item_num, -1)
