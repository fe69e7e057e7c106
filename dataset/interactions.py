"""Interactions: the checked, numbered table of events. SeenItems: what a user must not get again."""

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import scipy  # its parts load when they are used

from belfry.dataset import columns
from belfry.dataset.concurrency.cached import cached_property
from belfry.dataset.encoding.context import CLOCK, ContextColumn
from belfry.dataset.vocabulary import ItemNums, UserNums, Vocabulary

Mask: TypeAlias = npt.NDArray[np.bool_]
Positions: TypeAlias = npt.NDArray[np.int64]
Times: TypeAlias = npt.NDArray[np.int64]  # UTC seconds

_KEY_STRIDE = 1 << 32  # item numbers are int32


def stretches(starts: Positions, counts: Positions) -> Positions:
    """[sum(counts)] for each i the `counts[i]` numbers `starts[i], starts[i] + 1, ...`, one stretch after another."""
    numbers: Positions = np.arange(counts.sum()) + (starts - counts.cumsum() + counts).repeat(counts)
    return numbers


def differs_from_row_before(*keys: npt.NDArray[np.generic]) -> Mask:
    """[n_rows] whether any of `keys` [n_rows] differs from that of the row before; true for the first row."""
    differs = np.ones(len(keys[0]), np.bool_)
    differs[1:] = False
    for key in keys:
        differs[1:] |= key[1:] != key[:-1]
    return differs


def damped(totals: npt.NDArray[np.number]) -> npt.NDArray[np.float32]:
    """[n] 1 + log(w) for w >= 1, and w below: how much watches of one pair count that weigh w altogether."""
    totals = np.minimum(totals, np.finfo(np.float32).max).astype(np.float32)  # sums of huge weights
    return np.where(totals > 1, 1 + np.log(np.maximum(totals, 1)), totals).astype(np.float32)


def relative_weights(weights: npt.NDArray[np.float32], counts: npt.NDArray[np.integer]) -> npt.NDArray[np.float32]:
    """[n] each weight over the mean of its group; groups stand one after another, `counts` [n_groups] long."""
    filled = counts[counts > 0]
    if not len(filled):
        return weights
    means = np.add.reduceat(weights, np.cumsum(filled) - filled, dtype=np.float64) / filled
    relative: npt.NDArray[np.float32] = (weights / np.repeat(means, filled)).astype(np.float32)
    return relative


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
    user_num: UserNums  # [n_events]
    item_num: ItemNums  # [n_events]
    timestamp_s: Times | None = None  # [n_events], UTC
    rating: npt.NDArray[np.float32] | None = None  # [n_events], NaN = watched and not rated
    weight: npt.NDArray[np.float32] | None = None  # [n_events], above 0, how much a watch counts; none: all 1
    impressions: "SeenItems | None" = None  # pairs of events that only showed an item; some may be watched too
    # Name of a further column -> [n_events], NaN = no label.
    labels: Mapping[str, npt.NDArray[np.float32]] = field(default_factory=dict)
    rows_in_order: bool = False  # each user's rows stand oldest first, whatever the times
    dislikes: "SeenItems | None" = (
        None  # pairs of events that say that the user did not like it; some may be watched too
    )
    context: Mapping[str, ContextColumn] = field(default_factory=dict)  # what was known when each event happened

    @classmethod
    def from_table(
        cls,
        table: pa.Table,
        *,
        users: Vocabulary | None = None,
        items: Vocabulary | None = None,
        impressions: pa.Table | None = None,
        dislikes: pa.Table | None = None,
        labels: Iterable[str] = (),
        context: Mapping[str, ContextColumn] | None = None,
    ) -> "Interactions":
        """Number a table that `belfry.dataset.validation.check.check` has passed.

        A column of ratings that are all missing counts as none. A part of the events, as `select` gives it, keeps its
        ratings even so: all parts of one table are then described by the same features. Rows of a table with a column
        `belfry.dataset.columns.ORDER` stand in order.

        Args:
            table: watches; `belfry.dataset.event_weights.part_events` parts them from the other events.
            users, items: made from the ids of `table` where not given.
            impressions, dislikes: ids, and times where there are any.
            labels: names of further columns to learn from.
            context: of the rows of `table`.
        """
        users = Vocabulary(table[columns.USER_ID]) if users is None else users
        items = Vocabulary(table[columns.ITEM_ID]) if items is None else items
        names = table.column_names
        rating = timestamp_s = weight = None
        if columns.TIMESTAMP_S in names:
            timestamp_s = table[columns.TIMESTAMP_S].to_numpy().astype(np.int64, copy=False)
        if columns.RATING in names:
            rating = table[columns.RATING].to_numpy(zero_copy_only=False).astype(np.float32)
            rating = rating if np.isfinite(rating).any() else None
        if columns.WEIGHT in names:
            weight = table[columns.WEIGHT].to_numpy().astype(np.float32)
        return cls(
            users,
            items,
            users.numbers(table[columns.USER_ID]),
            items.numbers(table[columns.ITEM_ID]),
            timestamp_s,
            rating,
            None if weight is None or (weight == 1).all() else weight,
            _pairs_of(impressions, users, items),
            {name: table[name].to_numpy(zero_copy_only=False).astype(np.float32) for name in labels},
            columns.ORDER in names,
            _pairs_of(dislikes, users, items),
            context or {},
        )

    def to_table(self) -> pa.Table:
        """The watches with the caller's ids, without the impressions."""
        data = {columns.USER_ID: self.users.take(self.user_num), columns.ITEM_ID: self.items.take(self.item_num)}
        optional = {columns.RATING: self.rating, columns.TIMESTAMP_S: self.timestamp_s, columns.WEIGHT: self.weight}
        more = {name: values for name, values in optional.items() if values is not None} | dict(self.labels)
        data |= {name: pa.array(values, from_pandas=True) for name, values in more.items()}
        return pa.table(data | {name: one.to_arrow() for name, one in self.context.items() if name not in CLOCK})

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
            labels={name: values[rows] for name, values in self.labels.items()},
            context={name: column.select(rows) for name, column in self.context.items()},
        )

    def without_items(self, items: ItemNums) -> "Interactions":
        """The same without all events, impressions and dislikes of some items."""
        left = self.select(~np.isin(self.item_num, items))
        return left._narrowed(lambda pairs: pairs.select(~np.isin(pairs.item_num, items)))

    def known_before(self, cut_s: "int | Times") -> "Interactions":
        """The same watches, and only the impressions and dislikes before a time: for all, or per user [n_users + 1]."""
        return self._narrowed(lambda pairs: pairs.before(cut_s))

    def known_without(self, later: "Interactions") -> "Interactions":
        """The same watches, and the impressions and dislikes but for pairs watched in `later`, which they give away."""
        return self._narrowed(lambda pairs: pairs.without(later.seen_items))

    def _narrowed(self, narrow: Callable[["SeenItems"], "SeenItems"]) -> "Interactions":
        if self.negatives is None:
            return self
        narrowed = [None if pairs is None else narrow(pairs) for pairs in (self.impressions, self.dislikes)]
        return replace(self, impressions=narrowed[0], dislikes=narrowed[1])

    @property
    def is_ordered(self) -> bool:
        """Whether it is known which of a user's events came before which: by times, or by the order of the rows."""
        return self.rows_in_order or self.timestamp_s is not None

    @cached_property
    def by_user(self) -> UserRows:
        """Rows grouped by user, each user's oldest first; ties (and what is not ordered) keep the source's order."""
        times = None if self.rows_in_order else self.timestamp_s
        keys = (self.user_num,) if times is None else (times, self.user_num)
        order = np.lexsort(keys)
        starts = np.searchsorted(self.user_num[order], np.arange(len(self.users) + 2))
        return UserRows(starts.astype(np.int64), order.astype(np.int64))

    @cached_property
    def matrix(self) -> "scipy.sparse.csr_matrix[np.float32]":
        """[n_users + 1, n_items + 1] float32, 1 where the pair occurs; row and column 0 are the unknown's, empty."""
        seen = self.seen_items
        cells = (np.ones(len(seen.item_num), np.float32), seen.item_num, seen.starts)
        return scipy.sparse.csr_matrix(cells, shape=(len(self.users) + 1, len(self.items) + 1))

    @cached_property
    def computed(self) -> dict[Hashable, object]:
        """What was computed of this history and may be asked for again, see `similarity.once_for_a_history`."""
        return {}

    @cached_property
    def weighted_matrix(self) -> "scipy.sparse.csr_matrix[np.float32]":
        """`matrix` with `damped(w)` for a pair whose watches weigh w altogether.

        Repeated watches count as well as the column of weights does, so w is a number of plays, visits or purchases.
        """
        known = (self.user_num > 0) & (self.item_num > 0)
        weight = np.ones(len(self), np.float32) if self.weight is None else self.weight
        cells = (weight[known], (self.user_num[known], self.item_num[known]))
        totals = scipy.sparse.csr_matrix(cells, shape=self.matrix.shape)
        totals.data = damped(totals.data)
        return totals

    @cached_property
    def relative_matrix(self) -> "scipy.sparse.csr_matrix[np.float32]":
        """`weighted_matrix` with each user's row divided by its mean: `matrix` where all watches count alike.

        So one heavy user says no more than another, and what is tuned on watches that weigh 1 fits any weights.
        """
        if self._counts_alike:
            return self.matrix
        relative = self.weighted_matrix.copy()
        counts = np.diff(relative.indptr)
        relative.data = relative_weights(relative.data, counts)
        return relative

    @cached_property
    def pair_weights(self) -> npt.NDArray[np.float32]:
        """[n_pairs] the cells of `relative_matrix`, as the pairs stand in `seen_items`."""
        if self._counts_alike:  # then no library of sparse matrices is loaded
            return np.ones(len(self.seen_items.item_num), np.float32)
        return np.asarray(self.relative_matrix.data, np.float32)

    @property
    def _counts_alike(self) -> bool:
        """Whether there are no weights, and no pair occurs again."""
        return self.weight is None and len(self.seen_items.item_num) == len(self)

    @cached_property
    def damped_weight(self) -> npt.NDArray[np.float32] | None:
        """[n_events] `damped` weights, of each event alone; none: all 1."""
        return None if self.weight is None else damped(self.weight)

    @cached_property
    def rated_rows(self) -> Positions:
        """[n_pairs] rows of known pairs with a rating, by user, then item; of several ratings of a pair the newest."""
        if self.rating is None:
            return np.zeros(0, np.int64)
        is_rated = (self.user_num > 0) & (self.item_num > 0) & np.isfinite(self.rating)
        newest_first = self.by_user.order[::-1]
        newest_first = newest_first[is_rated[newest_first]]
        pairs = self.user_num[newest_first].astype(np.int64) * _KEY_STRIDE + self.item_num[newest_first]
        return newest_first[np.unique(pairs, return_index=True)[1]]

    @cached_property
    def item_counts(self) -> npt.NDArray[np.int64]:
        """[n_items + 1] users who watched each item."""
        return np.bincount(self.seen_items.item_num, minlength=len(self.items) + 1)

    @cached_property
    def seen_or_disliked(self) -> "SeenItems":
        """What no list of a user may hold."""
        return self.seen_items if self.dislikes is None else self.seen_items.joined(self.dislikes)

    @cached_property
    def negatives(self) -> "SeenItems | None":
        """Pairs that models may learn from as negatives, where they are not watched: impressions and dislikes."""
        if self.impressions is None or self.dislikes is None:
            return self.dislikes if self.impressions is None else self.impressions
        return self.impressions.joined(self.dislikes)

    @cached_property
    def seen_items(self) -> "SeenItems":
        known = (self.user_num > 0) & (self.item_num > 0)
        pairs = np.sort(self.user_num[known].astype(np.int64) * _KEY_STRIDE + self.item_num[known])
        pairs = pairs[differs_from_row_before(pairs)]
        starts = pairs.searchsorted(np.arange(len(self.users) + 2) * _KEY_STRIDE)
        return SeenItems(starts, (pairs % _KEY_STRIDE).astype(np.int32))


@dataclass(frozen=True)
class SeenItems:
    """Items that each user has watched, got as impressions, or disliked, as compressed rows."""

    starts: Positions  # [n_users + 2]
    item_num: ItemNums  # [n_pairs], rising within a user
    first_s: Times | None = None  # [n_pairs], UTC, the first time of each pair; kept for impressions and dislikes
    was: ClassVar[str] = "seen"  # of an item that is among these, in messages
    was_not: ClassVar[str] = "not seen"

    @property
    def remaining(self) -> "SeenItems | None":
        """Where these stand for all but a few items of each user, the few that are left; else None."""
        return None

    @classmethod
    def nothing(cls, n_users: int) -> "SeenItems":
        return cls(np.zeros(n_users + 2, np.int64), np.zeros(0, np.int32))

    @classmethod
    def from_table(cls, table: pa.Table, users: Vocabulary, items: Vocabulary) -> "SeenItems":
        """Each pair of a checked table once, with its first time where there are times; unknown ids are left out."""
        user_num, item_num = users.numbers(table[columns.USER_ID]), items.numbers(table[columns.ITEM_ID])
        has_times = columns.TIMESTAMP_S in table.column_names
        times = table[columns.TIMESTAMP_S].to_numpy() if has_times else np.zeros(len(table), np.int64)
        order = np.lexsort((times, item_num, user_num))
        order = order[(user_num[order] > 0) & (item_num[order] > 0)]
        order = order[differs_from_row_before(user_num[order], item_num[order])]
        starts = np.searchsorted(user_num[order], np.arange(len(users) + 2)).astype(np.int64)
        return cls(starts, item_num[order], times[order].astype(np.int64) if has_times else None)

    def to_table(self, users: Vocabulary, items: Vocabulary) -> pa.Table:
        """The pairs with the caller's ids and, where there are any, times."""
        data = {columns.USER_ID: users.take(self.user_num), columns.ITEM_ID: items.take(self.item_num)}
        return pa.table(data if self.first_s is None else {**data, columns.TIMESTAMP_S: pa.array(self.first_s)})

    @cached_property
    def user_num(self) -> UserNums:
        """[n_pairs] the user of each pair; never falling."""
        return np.repeat(np.arange(len(self.starts) - 1, dtype=np.int32), np.diff(self.starts))

    def before(self, cut_s: int | Times) -> "SeenItems":
        """The pairs first seen before a time: one for all, or one per user [n_users + 1]; all pairs without times."""
        if self.first_s is None:
            return self
        return self.select(self.first_s < np.broadcast_to(cut_s, len(self.starts) - 1)[self.user_num])

    def joined(self, others: "SeenItems") -> "SeenItems":
        """The pairs of both, without times."""
        pairs = np.union1d(self._keys[:-1], others._keys[:-1])
        starts = pairs.searchsorted(np.arange(len(self.starts)) * _KEY_STRIDE)
        return SeenItems(starts, (pairs % _KEY_STRIDE).astype(np.int32))

    def without(self, others: "SeenItems") -> "SeenItems":
        """The pairs that are not among `others`."""
        return self.select(~others.contains(self.user_num, self.item_num))

    def select(self, kept: Mask) -> "SeenItems":
        """The pairs in a mask [n_pairs]."""
        starts = np.append(0, np.cumsum(kept))[self.starts].astype(np.int64)
        return SeenItems(starts, self.item_num[kept], None if self.first_s is None else self.first_s[kept])

    def of(self, user_num: int) -> ItemNums:
        """Rising numbers of the items that this user has watched."""
        return self.item_num[self.starts[user_num] : self.starts[user_num + 1]]

    def count(self, users: UserNums) -> npt.NDArray[np.int64]:
        """[n_users] number of items of each."""
        return self.starts[users + 1] - self.starts[users]

    def rows_of(self, users: UserNums) -> tuple[Positions, ItemNums]:
        """The pairs of many users: position in `users`, and item number; both [n_pairs]."""
        counts = self.count(users)
        return np.repeat(np.arange(len(users)), counts), self.item_num[stretches(self.starts[users], counts)]

    def table(self, users: UserNums, n_items: int) -> Mask:
        """[n_users, n_items + 1] whether each of `users` has seen each item: the fastest to ask, for a few users."""
        table = np.zeros((len(users), n_items + 1), np.bool_)
        for row, user in zip(table, users.tolist(), strict=True):
            row[self.of(user)] = True
        return table

    def contains(self, user_num: UserNums, item_num: ItemNums) -> Mask:
        """Whether each (user, item) pair is one of these; arguments and result have one shape."""
        return self.positions(user_num, item_num) >= 0

    def positions(self, user_num: UserNums, item_num: ItemNums) -> Positions:
        """Where each (user, item) pair stands in `self.item_num`, else -1; arguments and result have one shape."""
        wanted = user_num.astype(np.int64) * _KEY_STRIDE + item_num
        found = np.searchsorted(self._keys[:-1], wanted)
        return np.where(self._keys[found] == wanted, found, -1)

    @cached_property
    def _keys(self) -> Positions:
        """[n_pairs + 1] each pair as one rising number, and -1, which no pair is."""
        return np.append(self.user_num.astype(np.int64) * _KEY_STRIDE + self.item_num, -1)


def _pairs_of(table: pa.Table | None, users: Vocabulary, items: Vocabulary) -> SeenItems | None:
    return SeenItems.from_table(table, users, items) if table is not None and len(table) else None
