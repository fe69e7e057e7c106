"""SeenItems: what a user must not get again."""

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from belfry.dataset import columns
from belfry.dataset.arrays import Mask, Positions, Times, blocks, differs_from_row_before, stretches
from belfry.dataset.concurrency.cached import cached_property
from belfry.dataset.vocabulary import ItemNums, UserNums, Vocabulary

_KEY_STRIDE = np.int64(1 << 32)  # item numbers are int32
_ITEMS_OF_A_TABLE = 1 << 14  # up to which a row for all items is faster to fill and ask than a search among the user's


def pair_keys(user_num: npt.NDArray[np.integer], item_num: ItemNums) -> Positions:
    """Each pair of a user, or of what else has numbers, and an item as one number; they rise by user, then by item."""
    return user_num * _KEY_STRIDE + item_num


@dataclass(frozen=True)
class SeenItems:
    """Items that each user has watched, got as impressions, or disliked, as compressed rows.

    Each pair stands once, but in impressions, where it stands as often as it was shown.
    """

    starts: Positions  # [n_users + 2]
    item_num: ItemNums  # [n_pairs], rising within a user
    time_s: Times | None = None  # [n_pairs] UTC, of each impression, or when a pair was first disliked
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
    def of_pairs(cls, user_num: UserNums, item_num: ItemNums, n_users: int) -> "SeenItems":
        """Each pair once."""
        keys = np.sort(pair_keys(user_num, item_num))
        return cls._of_keys(keys[differs_from_row_before(keys)], n_users)

    @classmethod
    def _of_keys(cls, keys: Positions, n_users: int) -> "SeenItems":
        """By rising keys, each once."""
        return cls(keys.searchsorted(np.arange(n_users + 2) * _KEY_STRIDE), (keys % _KEY_STRIDE).astype(np.int32))

    @classmethod
    def from_table(cls, table: pa.Table, users: Vocabulary, items: Vocabulary, *, once: bool = True) -> "SeenItems":
        """The pairs of a checked table, with times where there are times; unknown ids are left out.

        Args:
            once: each pair once, with its first time, or as often as it is there.
        """
        user_num, item_num = users.numbers(table[columns.USER_ID]), items.numbers(table[columns.ITEM_ID])
        has_times = columns.TIMESTAMP_S in table.column_names
        times = table[columns.TIMESTAMP_S].to_numpy() if has_times else np.zeros(len(table), np.int64)
        order = np.lexsort((times, item_num, user_num))
        order = order[(user_num[order] > 0) & (item_num[order] > 0)]
        order = order[differs_from_row_before(user_num[order], item_num[order])] if once else order
        starts = np.searchsorted(user_num[order], np.arange(len(users) + 2)).astype(np.int64)
        return cls(starts, item_num[order], times[order].astype(np.int64) if has_times else None)

    def to_table(self, users: Vocabulary, items: Vocabulary) -> pa.Table:
        """The pairs with the caller's ids and, where there are any, times."""
        data = {columns.USER_ID: users.take(self.user_num), columns.ITEM_ID: items.take(self.item_num)}
        return pa.table(data if self.time_s is None else {**data, columns.TIMESTAMP_S: pa.array(self.time_s)})

    @cached_property
    def user_num(self) -> UserNums:
        """[n_pairs] the user of each pair; never falling."""
        return np.repeat(np.arange(len(self.starts) - 1, dtype=np.int32), np.diff(self.starts))

    def before(self, cut_s: int | Times) -> "SeenItems":
        """The pairs first seen before a time: one for all, or one per user [n_users + 1]; all pairs without times."""
        if self.time_s is None:
            return self
        return self.select(self.time_s < np.broadcast_to(cut_s, len(self.starts) - 1)[self.user_num])

    @property
    def distinct(self) -> "SeenItems":
        """Each pair once, with its first time."""
        return self.select(differs_from_row_before(self.user_num, self.item_num))

    def followed_by(self, others: "SeenItems") -> "SeenItems":
        """These, and those of `others` that are none of them: of another time, or, without times, of another pair."""
        has_times = self.time_s is not None and others.time_s is not None
        others = others if has_times else others.without(self)
        user_num = np.concatenate([self.user_num, others.user_num])
        item_num = np.concatenate([self.item_num, others.item_num])
        times = np.concatenate([self.time_s, others.time_s]) if has_times else np.arange(len(user_num))
        order = np.lexsort((times, item_num, user_num))
        order = order[differs_from_row_before(user_num[order], item_num[order], times[order])]
        starts = np.searchsorted(user_num[order], np.arange(len(self.starts))).astype(np.int64)
        return SeenItems(starts, item_num[order], times[order] if has_times else None)

    def joined(self, others: "SeenItems") -> "SeenItems":
        """The pairs of both, each once, without times."""
        keys = [pair_keys(pairs.user_num, pairs.item_num) for pairs in (self, others)]
        return SeenItems._of_keys(np.union1d(*keys), len(self.starts) - 2)

    def without(self, others: "SeenItems") -> "SeenItems":
        """The pairs that are not among `others`."""
        return self.select(~others.contains(self.user_num, self.item_num))

    def select(self, kept: Mask) -> "SeenItems":
        """The pairs in a mask [n_pairs]."""
        starts = np.append(0, np.cumsum(kept))[self.starts].astype(np.int64)
        return SeenItems(starts, self.item_num[kept], None if self.time_s is None else self.time_s[kept])

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
        """[n_users, n_items + 1] whether each item is one of each user's."""
        table = np.zeros((len(users), n_items + 1), np.bool_)
        for row, user in zip(table, users.tolist(), strict=True):
            row[self.of(user)] = True
        return table

    def of_users_contain(self, users: UserNums, starts: Positions, item_num: ItemNums, n_items: int) -> Mask:
        """[n_rows] whether each item is one of the user's to whom the row belongs.

        Args:
            starts: [n_users + 1]: rows of user i are `starts[i] : starts[i + 1]`.
            item_num: [n_rows], up to `n_items`.
        """
        found = np.zeros(len(item_num), np.bool_)
        if len(users) == 1 or n_items > _ITEMS_OF_A_TABLE:
            for user, (first, past) in zip(users.tolist(), pairwise(starts.tolist()), strict=True):
                found[first:past] = self.of_user_contain(user, item_num[first:past])
            return found
        for block in blocks(len(users), n_items + 1):
            rows = slice(starts[block.start], starts[block.stop])
            place = np.arange(block.stop - block.start).repeat(np.diff(starts[block.start : block.stop + 1]))
            found[rows] = self.table(users[block], n_items)[place, item_num[rows]]
        return found

    def of_user_contain(self, user_num: int, item_num: ItemNums) -> Mask:
        """[n] whether each item is one of this user's: the fastest to ask for one, however large the catalogue."""
        own = self.of(user_num)
        if not len(own):
            return np.zeros(len(item_num), np.bool_)
        found: Mask = own[np.minimum(own.searchsorted(item_num), len(own) - 1)] == item_num
        return found

    def contains(self, user_num: UserNums, item_num: ItemNums) -> Mask:
        """Whether each (user, item) pair is one of these; arguments and result have one shape."""
        return self.positions(user_num, item_num) >= 0

    def positions(self, user_num: UserNums, item_num: ItemNums) -> Positions:
        """Where each (user, item) pair stands in `self.item_num`, else -1; arguments and result have one shape."""
        users, place = np.unique(user_num, return_inverse=True)
        starts, counts = self.starts[users], self.starts[users + 1] - self.starts[users]
        row = np.repeat(np.arange(len(users)), counts)
        keys = pair_keys(row, self.item_num[stretches(starts, counts)])  # of all users they would take much memory
        keys = np.append(keys, -1)  # which no pair is
        wanted = pair_keys(place, item_num)
        found = np.searchsorted(keys[:-1], wanted)
        moved = starts - counts.cumsum() + counts  # from a place in `keys` to that in `self.item_num`
        return np.where(keys[found] == wanted, found + moved[place], -1)
