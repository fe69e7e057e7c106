"""Histories as weighted bags of items (order only in the weights), and as padded windows of events in order."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import scipy  # its parts load when they are used

from belfry.dataset.arrays import Positions, Times
from belfry.dataset.interactions import Interactions, damped, relative_weights
from belfry.dataset.vocabulary import ItemNums, UserNums

Weights: TypeAlias = npt.NDArray[np.float32]

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
    rows, counts = history.by_user.newest(users, max_length)
    return make_bags(history.item_num[rows], counts, half_life=half_life)


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


def weighted_rows(history: Interactions, users: UserNums) -> "scipy.sparse.csr_matrix[np.float32]":
    """[n_users, n_items + 1] their rows of `Interactions.weighted_matrix`, without that of all users."""
    rows, counts = history.by_user.newest(users)
    weight = np.ones(len(rows), np.float32) if history.weight is None else history.weight[rows]
    cells = (weight, (np.repeat(np.arange(len(users)), counts), history.item_num[rows]))
    totals = scipy.sparse.csr_matrix(cells, shape=(len(users), len(history.items) + 1))
    totals.data = damped(totals.data)
    return totals


def relative_rows(history: Interactions, users: UserNums) -> "scipy.sparse.csr_matrix[np.float32]":
    """The same of `Interactions.relative_matrix`."""
    rows = weighted_rows(history, users)
    rows.data = relative_weights(rows.data, np.diff(rows.indptr))
    return rows


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
    items[is_event] = history.item_num[by_user.at((stops[:, None] - 1 - age)[is_event])]
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
    rows = history.by_user.at(places[is_event])
    item_num, time_s = np.zeros(places.shape, np.int32), np.zeros(places.shape, np.int64)
    item_num[is_event] = history.item_num[rows]
    if history.timestamp_s is not None:
        time_s[is_event] = history.timestamp_s[rows]
    return HistoryWindows(item_num, time_s)
