"""Histories as weighted bags of items (order only in the weights), as padded windows of events in order, and as the
items that a user has had, how often and when."""

from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import scipy  # its parts load when they are used

from belfry.dataset.errors import InputError
from belfry.dataset.interactions import (
    Interactions,
    Mask,
    Positions,
    SeenItems,
    Times,
    damped,
    differs_from_row_before,
    relative_weights,
    stretches,
)
from belfry.dataset.vocabulary import ItemNums, UserNums

Weights: TypeAlias = npt.NDArray[np.float32]
# What lists hold: no seen item; seen ones too; seen ones alone.
Repeats: TypeAlias = Literal["exclude", "allow", "only"]
KINDS_OF_REPEATS: tuple[Repeats, ...] = ("exclude", "allow", "only")
REPEATS_OF_TABLE = "belfry.repeats"  # in the metadata of a table of lists: the kind that it was made as

_EPSILON = 1e-9  # far below the norm of any history that is not empty


@dataclass(frozen=True)
class HistoryBags:
    """Items of many histories, those of one history together, with two weights for each entry.

    The weights of a history have unit length: their squares add up to 1.
    """

    row: Positions  # [n_entries] which history; never falling
    item_num: ItemNums  # [n_entries], oldest first within a history
    uniform: Weights  # [n_entries] 1 / sqrt(length)
    recency: Weights  # [n_entries] 0.5^(age / half_life), scaled to unit length; see `recency_weights`


@dataclass(frozen=True)
class HistoryWindows:
    """Consecutive events of histories, oldest first, each ending in the last column; padded in front."""

    item_num: ItemNums  # [n_windows, length], 0 where padded
    time_s: Times  # [n_windows, length] UTC, 0 where padded and in a history without times


def uniform_weights(counts: Positions) -> Weights:
    """[sum(counts)] float32: 1 / sqrt(n) for every entry of a history of length n."""
    return np.repeat(1 / np.sqrt(np.maximum(counts, 1)), counts).astype(np.float32)


def recency_weights(counts: Positions, half_life: float) -> Weights:
    """[sum(counts)] float32: 0.5^(age / half_life) / norm, where norm gives each history unit length.

    The age of an event is how many events of its history are newer.
    """
    age = np.repeat(np.cumsum(counts), counts) - np.arange(counts.sum()) - 1
    powers = (0.5 ** (1 / half_life)) ** np.arange(counts.max(initial=0))
    weights: Weights = (powers[age] / np.repeat(_recency_norms(counts, half_life), counts)).astype(np.float32)
    return weights


def _recency_norms(counts: Positions, half_life: float) -> npt.NDArray[np.float64]:
    """[n_histories] what gives each history of `recency_weights` unit length; 0 for an empty one."""
    decay = 0.5 ** (1 / half_life)
    norms: npt.NDArray[np.float64] = np.sqrt((1 - decay ** (2 * counts)) / (1 - decay**2))
    return norms


def make_bags(items: ItemNums, counts: Positions, *, half_life: float) -> HistoryBags:
    """Bags of histories in `items` one after another, each oldest first; `counts` [n_histories] are their lengths."""
    return HistoryBags(
        row=np.repeat(np.arange(len(counts)), counts),
        item_num=items,
        uniform=uniform_weights(counts),
        recency=recency_weights(counts, half_life),
    )


def history_bags(history: Interactions, users: UserNums, *, half_life: float, max_length: int) -> HistoryBags:
    """Bags of the newest `max_length` events of each of `users`; empty for an unknown user."""
    by_user = history.by_user
    stops = by_user.starts[users + 1]
    counts = np.where(users > 0, np.minimum(stops - by_user.starts[users], max_length), 0)
    return make_bags(history.item_num[by_user.order[stretches(stops - counts, counts)]], counts, half_life=half_life)


def weighted_bag(history: Interactions, user_num: int) -> tuple[ItemNums, Weights]:
    """Items of a user, each once, and how much each counts: their row of `Interactions.weighted_matrix`."""
    rows = history.by_user.of(user_num) if user_num else np.zeros(0, np.int64)
    items, item_of_row = np.unique(history.item_num[rows], return_inverse=True)
    weight = None if history.weight is None else history.weight[rows]
    return items, damped(np.bincount(item_of_row, weight, len(items)))


def relative_bag(history: Interactions, user_num: int) -> tuple[ItemNums, Weights]:
    """The same of `Interactions.relative_matrix`."""
    items, weights = weighted_bag(history, user_num)
    return items, relative_weights(weights, np.array([len(items)]))


def recency_bag(history: Interactions, user_num: int, *, half_life: float, max_length: int) -> tuple[ItemNums, Weights]:
    """Items of a user, each once, and how much each counts by recency: their row of `recency_matrix`, to the bit."""
    bags = history_bags(history, np.array([user_num], np.int32), half_life=half_life, max_length=max_length)
    items, of_entry = np.unique(bags.item_num, return_inverse=True)
    weights = np.zeros(len(items), np.float32)
    np.add.at(weights, of_entry, bags.recency)
    return items, weights


def recency_matrix(
    history: Interactions, users: UserNums, *, half_life: float, max_length: int
) -> "scipy.sparse.csr_matrix[np.float32]":
    """[n_users, n_items + 1] the weights by recency of the newest `max_length` events, see `HistoryBags`."""
    bags = history_bags(history, users, half_life=half_life, max_length=max_length)
    shape = (len(users), len(history.items) + 1)
    return scipy.sparse.csr_matrix((bags.recency, (bags.row, bags.item_num)), shape=shape)


def padded_bags(
    history: Interactions, users: UserNums, *, half_life: float, max_length: int
) -> dict[str, npt.NDArray[np.int32] | Weights]:
    """The bags of `users` as exported query towers read them: `history`, `uniform`, `recency`, each [n_users, length].

    `length` is that of the longest history, at least 1; padding is 0.
    """
    by_user = history.by_user
    stops = by_user.starts[users + 1]
    counts = np.minimum(stops - by_user.starts[users], max_length) * (users > 0)
    length = max(int(counts.max(initial=0)), 1)
    age = counts[:, None] - 1 - np.arange(length)
    is_event = age >= 0
    items = np.zeros(age.shape, np.int32)
    items[is_event] = history.item_num[by_user.order[(stops[:, None] - 1 - age)[is_event]]]
    decay, norms = 0.5 ** (1 / half_life), np.maximum(_recency_norms(counts, half_life), _EPSILON)
    recency = np.where(is_event, (decay ** np.arange(length))[age] / norms[:, None], 0).astype(np.float32)
    uniform = (is_event * (1 / np.sqrt(np.maximum(counts, 1)))[:, None]).astype(np.float32)
    return {"history": items, "uniform": uniform, "recency": recency}


def history_windows(history: Interactions, users: UserNums, *, length: int) -> HistoryWindows:
    """[n_users, length] the newest events of `users`; only padding for an unknown user."""
    starts = history.by_user.starts
    return windows_between(history, starts[users], np.where(users > 0, starts[users + 1], starts[users]), length=length)


def windows_between(history: Interactions, first: Positions, past: Positions, *, length: int) -> HistoryWindows:
    """[n_windows, length] the newest events of each range `first : past` of positions in `by_user.order`."""
    places = past[:, None] - np.arange(length, 0, -1)
    is_event = places >= first[:, None]
    rows = history.by_user.order[places[is_event]]
    item_num, time_s = np.zeros(places.shape, np.int32), np.zeros(places.shape, np.int64)
    item_num[is_event] = history.item_num[rows]
    if history.timestamp_s is not None:
        time_s[is_event] = history.timestamp_s[rows]
    return HistoryWindows(item_num, time_s)


@dataclass(frozen=True)
class OtherItems(SeenItems):
    """All items but those that each user has seen and not disliked: what lists of repeats alone leave out.

    To ask whether an item is among these, how many they are and which, is answered for the others; the arrays, and what
    else is inherited, are of the seen items without the disliked.
    """

    n_items: int = 0  # of the catalogue
    was: ClassVar[str] = "not seen"
    was_not: ClassVar[str] = "seen"

    @property
    def remaining(self) -> SeenItems:
        return SeenItems(self.starts, self.item_num)

    def count(self, users: UserNums) -> npt.NDArray[np.int64]:
        return self.n_items - super().count(users)

    def rows_of(self, users: UserNums) -> tuple[Positions, ItemNums]:
        row, column = np.nonzero(self.table(users, self.n_items)[:, 1:])
        return row, (column + 1).astype(np.int32)

    def table(self, users: UserNums, n_items: int) -> Mask:
        return ~super().table(users, n_items)

    def contains(self, user_num: UserNums, item_num: ItemNums) -> Mask:
        return ~super().contains(user_num, item_num)


@dataclass(frozen=True)
class DislikedItems(SeenItems):
    """What each user has disliked: what lists that may hold seen items leave out."""

    was: ClassVar[str] = "disliked"
    was_not: ClassVar[str] = "not disliked"


def as_repeats(exclude_seen: bool | None, repeats: Repeats | None) -> Repeats | None:
    """What is asked for in the short form, in the full form, or in both; None where it is in neither.

    Raises:
        InputError: one contradicts the other, or `repeats` is none of the three.
    """
    if repeats is None:
        return None if exclude_seen is None else "exclude" if exclude_seen else "allow"
    if repeats not in KINDS_OF_REPEATS:
        raise InputError(f"repeats={repeats!r}: wanted 'exclude', 'allow' or 'only'")
    if exclude_seen is not None and exclude_seen != (repeats == "exclude"):
        raise InputError(f"exclude_seen={exclude_seen} contradicts repeats={repeats!r}; leave one of them out")
    return repeats


def kept_out(history: Interactions, repeats: Repeats) -> SeenItems:
    """The items of each user that no list may hold: the disliked under all three."""
    if repeats == "exclude":
        return history.seen_or_disliked
    disliked = history.dislikes
    if repeats == "allow":
        none = SeenItems.nothing(len(history.users))
        return none if disliked is None else DislikedItems(disliked.starts, disliked.item_num)
    kept = history.seen_items if disliked is None else history.seen_items.without(disliked)
    return OtherItems(kept.starts, kept.item_num, n_items=len(history.items))


@dataclass(frozen=True)
class OwnItems:
    """What each of some users has had, each item once; steps are events of the user's history."""

    row_user: Positions  # [n_pairs] position of the user, never falling
    item_num: ItemNums  # [n_pairs], rising within a user
    count: Positions  # [n_pairs] times
    first_age: Positions  # [n_pairs] steps from the first time to the newest event
    last_age: Positions  # [n_pairs] steps from the last time to the newest event
    activation: npt.NDArray[np.float64]  # [n_pairs] see `own_items`
    first_s: Times | None  # [n_pairs] UTC; None where there are no times
    last_s: Times | None  # [n_pairs] UTC

    def positions(self, row_user: Positions, item_num: ItemNums, n_items: int) -> Positions:
        """[n] where each pair stands, else -1; item numbers are at most `n_items`."""
        keys = np.append(self.row_user * (n_items + 1) + self.item_num, -1)
        wanted = row_user * (n_items + 1) + item_num
        found = np.searchsorted(keys[:-1], wanted)
        return np.where(keys[found] == wanted, found, -1)


def own_items(history: Interactions, users: UserNums, *, decay: float = 0.5, max_length: int | None = None) -> OwnItems:
    """The items of `users`; of user 0 none.

        activation(u, i) = sum over the events of i in the history of u of (1 + age) ** -decay

    with the age in steps from the newest event: how readily a person comes back to what was met often and lately.

    Args:
        decay: 0 counts events, and the larger it is, the more the last of them decides.
        max_length: newest events that are read; None for all.

    Source: Anderson and Schooler, Reflections of the environment in memory, Psychological Science 1991; its base-level
    activation is the logarithm. For music: Reiter-Haas et al., Predicting music relistening behavior using the ACT-R
    framework, RecSys 2021.
    """
    by_user = history.by_user
    stops = by_user.starts[users + 1]
    counts = np.where(users > 0, stops - by_user.starts[users], 0)
    counts = counts if max_length is None else np.minimum(counts, max_length)
    rows = by_user.order[stretches(stops - counts, counts)]
    row_user = np.repeat(np.arange(len(users)), counts)
    age = np.repeat(np.cumsum(counts), counts) - np.arange(len(rows)) - 1
    order = np.argsort(row_user * (len(history.items) + 1) + history.item_num[rows], kind="stable")  # oldest first
    row_user, item_num, age = row_user[order], history.item_num[rows[order]], age[order]
    first = np.flatnonzero(differs_from_row_before(row_user, item_num)) if len(rows) else np.zeros(0, np.int64)
    last = np.append(first[1:], len(rows))[: len(first)] - 1
    strength = np.asarray((1.0 + age) ** -decay, np.float64)
    times = None if history.timestamp_s is None else history.timestamp_s[rows[order]]
    return OwnItems(
        row_user=row_user[first],
        item_num=item_num[first],
        count=last - first + 1,
        first_age=age[first],
        last_age=age[last],
        activation=np.add.reduceat(strength, first) if len(first) else strength,
        first_s=None if times is None else times[first],
        last_s=None if times is None else times[last],
    )
