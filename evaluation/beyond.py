"""Beyond accuracy: what lists do to the catalogue and how they look to a user, from two id columns alone.

Popularity of an item is the number of users in the history who watched it. Per-user values are NaN where nothing can
be said (an empty list; for diversity, fewer than two items): means are over the users who have one.
"""

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy import special

from belfry.dataset.arrays import Mask
from belfry.dataset.interactions import Interactions
from belfry.dataset.vocabulary import ItemNums, UserNums
from belfry.evaluation.metrics import Counts, Lists, PerUser

_MIXED = 0.01  # share of the history in the list's shares, for finite divergences
_WORDS_PER_BLOCK = 1 << 22  # 32 MiB of watcher bits at a time


def coverage(lists: Lists, n_items: int) -> float:
    """Share of the catalogue's `n_items` that is in at least one list: |union of lists| / n_items.

    Source: Ge, Delgado-Battenfeld and Jannach, Beyond accuracy, RecSys 2010 (catalogue coverage).
    """
    return len(np.unique(lists[lists > 0])) / n_items


def gini(lists: Lists, n_items: int) -> float:
    """How unequally the lists show the catalogue: 0 every item equally often, towards 1 one item only; NaN for no rows.

    With e_1 <= ... <= e_N the lists that hold each of the N items: sum_i (2 i - N - 1) e_i / (N sum_i e_i).
    Source: Fleder and Hosanagar, Blockbuster culture's next rise or fall, Management Science 2009.
    """
    exposure = np.sort(np.bincount(lists[lists > 0], minlength=n_items + 1)[1:])
    if not exposure[-1]:
        return float("nan")
    weights = 2 * np.arange(1, n_items + 1) - n_items - 1
    return float(weights @ exposure / (n_items * exposure.sum()))


def novelty(lists: Lists, history: Interactions) -> PerUser:
    """[n_users] mean self-information of the list in bits: mean of -log2(watchers of the item / users with a history).

    An item that nobody watched counts as watched by one user, the largest finite surprise.
    Source: Zhou et al., Solving the apparent diversity-accuracy dilemma of recommender systems, PNAS 2010.
    """
    n_watching = np.count_nonzero(np.diff(history.seen_items.starts))
    return _mean_of_list(lists, -np.log2(np.maximum(history.item_counts, 1) / max(n_watching, 1)))


def mean_popularity(lists: Lists, history: Interactions) -> PerUser:
    """[n_users] mean popularity of the list, in users."""
    return _mean_of_list(lists, history.item_counts.astype(np.float64))


def popularity_lift(lists: Lists, history: Interactions, mean_history_popularity: float) -> PerUser:
    """[n_users] mean popularity of the list / that of histories; 1 is neither way.

    The divisor is one number for all, the mean over users of `history_popularity`. So the mean over users is the
    source's ratio of group averages (its delta GAP, plus 1), and a user with an obscure history cannot outweigh all.
    Source: Abdollahpouri et al., The unfairness of popularity bias in recommendation, RMSE workshop, RecSys 2019.
    """
    return mean_popularity(lists, history) / mean_history_popularity


def history_popularity(users: UserNums, history: Interactions) -> PerUser:
    """[n_users] mean popularity of what each user has watched, in users; NaN for a user without a history."""
    rows, seen = history.seen_items.rows_of(users)
    return _mean_by_row(rows, history.item_counts[seen].astype(np.float64), len(users))


def serendipity(lists: Lists, hits: Mask, users: UserNums, history: Interactions) -> PerUser:
    """[n_users] hits that a list of the most popular items the user has not seen would have lacked / length of list.

    Source: Ge, Delgado-Battenfeld and Jannach, Beyond accuracy, RecSys 2010, with popularity as the primitive system.
    """
    n, order = lists.shape[1], np.lexsort((np.arange(len(history.item_counts)), -history.item_counts))
    place = np.zeros(len(order), np.int64)
    place[order[order > 0]] = np.arange(len(order) - 1)  # of an item among all by popularity, ties by number
    rows, seen = history.seen_items.rows_of(users)
    keys = np.sort(rows * len(place) + place[seen])
    row, column = np.nonzero(hits)
    hit_place = place[lists[row, column]]
    n_seen_before = np.searchsorted(keys, row * len(place) + hit_place) - np.searchsorted(keys, row * len(place))
    is_surprise = hit_place - n_seen_before >= n
    return np.asarray(np.bincount(row[is_surprise], minlength=len(users)) / n)


def miscalibration(lists: Lists, users: UserNums, history: Interactions, shares: PerUser) -> PerUser:
    """[n_users] how far the categories of the list are from those of the history: 0 alike, higher further, in nats.

    KL(p || q') = sum_c p_c log(p_c / q'_c), with p the shares of categories in the history, q those in the list and
    q' = 0.99 q + 0.01 p, so that it stays finite. NaN where the history or the list has no category.
    Source: Steck, Calibrated recommendations, RecSys 2018.

    Args:
        shares: [n_items + 1, n_categories] the share of each category in an item, rows summing to 1 or 0.
    """
    rows, seen = history.seen_items.rows_of(users)
    row, column = np.nonzero(lists)
    before, now = (_sum_by_row(*pairs, shares, len(users)) for pairs in ((rows, seen), (row, lists[row, column])))
    has_both = (before.sum(axis=1) > 0) & (now.sum(axis=1) > 0)
    divergence = np.full(len(users), np.nan)
    p, q = (part[has_both] / part[has_both].sum(axis=1, keepdims=True) for part in (before, now))
    divergence[has_both] = special.rel_entr(p, (1 - _MIXED) * q + _MIXED * p).sum(axis=1)
    return divergence


def intra_list_diversity(lists: Lists, history: Interactions) -> PerUser:
    """[n_users] 1 - mean cosine similarity of all pairs in the list, items as columns of the history's matrix.

    cos(i, j) = |watched both| / sqrt(|watched i| |watched j|).
    Two items are alike when the same users watched both; one that nobody watched is like no other.
    Source: Ziegler et al., Improving recommendation lists through topic diversification, WWW 2005, with the cosine of
    co-watching for want of a taxonomy.
    """
    left, right = np.triu_indices(lists.shape[1], k=1)
    first, second = lists[:, left], lists[:, right]  # [n_users, n_pairs]
    row, column = np.nonzero((first > 0) & (second > 0))
    width = len(history.items) + 1
    first, second = first[row, column], second[row, column]
    keys = np.minimum(first, second).astype(np.int64) * width + np.maximum(first, second)
    pairs, position = np.unique(keys, return_inverse=True)
    similarity = _cosine(pairs // width, pairs % width, history)[position]
    return 1 - _mean_by_row(row, similarity, len(lists))


def _sum_by_row(row: npt.NDArray[np.int64], item: ItemNums, shares: PerUser, n_rows: int) -> PerUser:
    """[n_rows, n_categories] the shares of each row's items, summed."""
    members = sp.csr_matrix((np.ones(len(row)), (row, item)), shape=(n_rows, len(shares)))
    return np.asarray(members @ shares)


def _cosine(first: Counts, second: Counts, history: Interactions) -> PerUser:
    """[n_pairs] |watched both| / sqrt(|watched first| |watched second|), by AND over one bit per user."""
    shown, position = np.unique(np.concatenate([first, second]), return_inverse=True)
    row_first, row_second = position[: len(first)], position[len(first) :]
    watched = history.matrix[:, shown].tocoo()
    bits = np.zeros((len(shown), len(history.users) // 64 + 1), np.uint64)
    np.bitwise_or.at(bits, (watched.col, watched.row // 64), np.uint64(1) << (watched.row % 64).astype(np.uint64))

    n_both = np.empty(len(first), np.int64)
    step = max(1, _WORDS_PER_BLOCK // bits.shape[1])
    for start in range(0, len(first), step):
        block = slice(start, start + step)
        n_both[block] = np.bitwise_count(bits[row_first[block]] & bits[row_second[block]]).sum(axis=1)
    n_each = np.maximum(history.item_counts, 1)
    return np.asarray(n_both / np.sqrt(n_each[first] * n_each[second]))


def _mean_of_list(lists: Lists, item_values: PerUser) -> PerUser:
    """[n_users] mean of `item_values` [n_items + 1] over each list."""
    row, column = np.nonzero(lists)
    return _mean_by_row(row, item_values[lists[row, column]], len(lists))


def _mean_by_row(row: npt.NDArray[np.int64], values: PerUser, n_rows: int) -> PerUser:
    """[n_rows] mean of the `values` of each row, NaN where it has none."""
    counts = np.bincount(row, minlength=n_rows)
    sums = np.bincount(row, weights=values, minlength=n_rows)
    return np.asarray(np.divide(sums, counts, out=np.full(n_rows, np.nan), where=counts > 0))
