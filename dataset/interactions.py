"""Interactions: the checked, numbered table of events."""

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import scipy  # its parts load when they are used

from belfry.dataset import columns
from belfry.dataset.arrays import Mask, Positions, Times, blocks, stretches
from belfry.dataset.concurrency.cached import cached_property
from belfry.dataset.encoding.context import CLOCK, ContextColumn
from belfry.dataset.history.seen_items import SeenItems, pair_keys
from belfry.dataset.vocabulary import ItemNums, UserNums, Vocabulary


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
    moved: Positions | None  # [n_rows], positions in the table; None where its rows stand grouped, as in a run

    @property
    def order(self) -> Positions:
        """[n_rows], positions in the table."""
        return np.arange(self.starts[-1]) if self.moved is None else self.moved

    def at(self, places: Positions) -> Positions:
        """`order[places]`, which need not be made for that."""
        return places if self.moved is None else self.moved[places]

    def of(self, user_num: int) -> Positions:
        return self.at(np.arange(*self.starts[user_num : user_num + 2]))

    def newest(self, users: UserNums, max_length: int | None = None) -> tuple[Positions, Positions]:
        """The last `max_length` rows of each of `users`, one user's after another's; and [n_users] how many these are.

        All of them without `max_length`, and none of user 0, the unknown one.
        """
        stops = self.starts[users + 1]
        counts = np.where(users > 0, stops - self.starts[users], 0)
        counts = counts if max_length is None else np.minimum(counts, max_length)
        return self.at(stretches(stops - counts, counts)), counts


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
    impressions: "SeenItems | None" = None  # events that only showed an item, each time; some may be watched too
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
            _pairs_of(impressions, users, items, once=False),
            {name: table[name].to_numpy(zero_copy_only=False).astype(np.float32) for name in labels},
            columns.ORDER in names,
            _pairs_of(dislikes, users, items, once=True),
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

    def knowing(self, seen: "SeenItems") -> "Interactions":
        """The same history, whose `seen_items` are these: nobody need find them out again."""
        self.__dict__["seen_items"] = seen  # as `cached_property` keeps it
        return self

    def without_items(self, items: ItemNums) -> "Interactions":
        """The same without all events, impressions and dislikes of some items."""
        left = self.select(~np.isin(self.item_num, items))
        return left._narrowed(lambda pairs: pairs.select(~np.isin(pairs.item_num, items)))

    def of_users(self, users: UserNums) -> "Interactions":
        """The events of some users."""
        return self.select(np.isin(self.user_num, users))

    def without_users(self, users: UserNums) -> "Interactions":
        """The same without all events, impressions and dislikes of some users."""
        left = self.select(~np.isin(self.user_num, users))
        return left._narrowed(lambda pairs: pairs.select(~np.isin(pairs.user_num, users)))

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
        moved = None if _are_sorted(*keys[::-1]) else np.lexsort(keys).astype(np.int64)
        user_num = self.user_num if moved is None else self.user_num[moved]
        every_user = np.arange(len(self.users) + 2, dtype=np.int32)  # of another type, all rows would be converted
        return UserRows(np.searchsorted(user_num, every_user).astype(np.int64), moved)

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
        if self._counts_alike:
            return self.matrix
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
        pairs = pair_keys(self.user_num[newest_first], self.item_num[newest_first])
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
            return self.dislikes if self.impressions is None else self.impressions.distinct
        return self.impressions.joined(self.dislikes)

    @cached_property
    def seen_items(self) -> "SeenItems":
        known = (self.user_num > 0) & (self.item_num > 0)
        return SeenItems.of_pairs(self.user_num[known], self.item_num[known], len(self.users))


def _pairs_of(table: pa.Table | None, users: Vocabulary, items: Vocabulary, *, once: bool) -> SeenItems | None:
    return SeenItems.from_table(table, users, items, once=once) if table is not None and len(table) else None


def _are_sorted(*keys: npt.NDArray[np.integer]) -> bool:
    """Whether rows rise by the first of `keys` [n_rows], equal ones by the second, and so on."""
    for rows in blocks(len(keys[0]), 1):
        is_equal: Mask | bool = True
        for key in keys:
            before, after = key[max(rows.start - 1, 0) : rows.stop - 1], key[max(rows.start, 1) : rows.stop]
            if (is_equal & (after < before)).any():
                return False
            is_equal = is_equal & (after == before)
    return True
