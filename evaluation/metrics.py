"""Accuracy of lists, per user, by full ranking: every item of the catalogue could have been in the list.

Each metric takes `hits` [n_users, n] bool (is the item at this rank a test item?) and, where it needs it, `n_relevant`
[n_users] (test items of each user, at least 1), and gives [n_users] float64. `n` is the width of `hits`: a list that is
short or empty holds misses in its last places, so its user counts with what is there and is never left out. The mean
over users is the caller's. All agree with trec_eval (`ndcg_cut`, `recall`, `P`, `recip_rank`, `map_cut`, `success`).

In formulas h_r is 1 where rank r = 1..n hits, else 0, and m is `n_relevant`.
"""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from belfry.dataset.arrays import Mask
from belfry.dataset.candidates import Candidates
from belfry.dataset.history.seen_items import SeenItems
from belfry.dataset.vocabulary import UserNums

Lists: TypeAlias = npt.NDArray[np.int32]  # [n_users, n] item numbers by rank, padded with 0
PerUser: TypeAlias = npt.NDArray[np.float64]  # [n_users], NaN where a metric is not defined for a user
Counts: TypeAlias = npt.NDArray[np.int64]


def lists_of(candidates: Candidates, n: int) -> Lists:
    """[n_asked, n] the first `n` items of each asked user, in the order of `candidates.users`, padded with 0."""
    top = candidates.select(candidates.rank <= n)
    lists = np.zeros((len(top.users), n), np.int32)
    lists[top.row_user, top.rank - 1] = top.item_num
    return lists


def hits(lists: Lists, users: UserNums, test: SeenItems) -> Mask:
    """[n_users, n] whether each listed item is one of its user's test items; padding never is."""
    return test.contains(np.broadcast_to(users[:, None], lists.shape), lists)


def recall(hits: Mask, n_relevant: Counts) -> PerUser:
    """Recall@n = sum_r h_r / m. A user with more than `n` test items cannot reach 1."""
    return np.asarray(hits.sum(axis=1) / n_relevant)


def precision(hits: Mask) -> PerUser:
    """Precision@n = sum_r h_r / n, also where the list is shorter than `n`."""
    return np.asarray(hits.mean(axis=1))


def hit_rate(hits: Mask) -> PerUser:
    """1 where anything in the list hits: max_r h_r."""
    return np.asarray(hits.any(axis=1), dtype=np.float64)


def mrr(hits: Mask) -> PerUser:
    """Reciprocal rank: 1 / rank of the first hit, 0 without one.

    Source: Voorhees, The TREC-8 question answering track report, 1999.
    """
    return np.asarray(hits.any(axis=1) / (1 + hits.argmax(axis=1)))


def average_precision(hits: Mask, n_relevant: Counts) -> PerUser:
    """AP@n = sum_r h_r Precision@r / m: the per-user part of MAP.

    Divided by all test items, as trec_eval and ranx do; other libraries divide by min(`n`, test items).
    Source: Buckley and Voorhees, Evaluating evaluation measure stability, SIGIR 2000.
    """
    ranks = np.arange(1, hits.shape[1] + 1)
    precision_at_rank = hits.cumsum(axis=1) / ranks
    return np.asarray(np.where(hits, precision_at_rank, 0).sum(axis=1) / n_relevant)


def ndcg(hits: Mask, n_relevant: Counts) -> PerUser:
    """NDCG@n = DCG / IDCG with DCG = sum_r h_r / log2(r + 1), and IDCG that of min(m, n) hits in front.

    Source: Järvelin and Kekäläinen, Cumulated gain-based evaluation of IR techniques, TOIS 2002.
    """
    n = hits.shape[1]
    discounts = _discounts(n)
    ideal = discounts.cumsum()[np.minimum(n_relevant, n) - 1]
    return np.asarray(hits @ discounts / ideal)


def ndcg_of_best_order(n_found: Counts, n_relevant: Counts, n: int) -> PerUser:
    """NDCG@n of a list that has its `n_found` [n_users] test items in front: what no order of it can surpass."""
    gains = np.append(0, _discounts(n).cumsum())
    return np.asarray(gains[np.minimum(n_found, n)] / gains[np.minimum(n_relevant, n)])


def weighted_recall(gains: PerUser, total: PerUser) -> PerUser:
    """sum_r g_r / total, with g_r the gain of the item at rank r, 0 for a miss; NaN where there is none to be had.

    With gains that fall with popularity, this is recall as if every item had had the same chance to be watched.
    Source: Yang et al., Unbiased offline recommender evaluation for missing-not-at-random implicit feedback, RecSys
    2018 (self-normalised); Steck, Item popularity and recommendation accuracy, RecSys 2011.

    Args:
        gains: [n_users, n] what the item at this rank is worth, 0 for a miss.
        total: [n_users] what all test items are worth.
    """
    return _ratio(gains.sum(axis=1), total)


def weighted_ndcg(gains: PerUser, ideal: PerUser) -> PerUser:
    """(sum_r g_r / log2(r + 1)) / `ideal_gain`; NaN where there is none to be had.

    With ratings as gains this is graded NDCG with linear gain, as trec_eval and ranx have it.
    """
    return _ratio(gains @ _discounts(gains.shape[1]), ideal)


def ideal_gain(row: Counts, gain: PerUser, n_users: int, n: int) -> PerUser:
    """[n_users] discounted gain of each user's best list of `n`.

    Args:
        row: [n_pairs] the user of each test item, from 0.
        gain: [n_pairs] what it is worth.
    """
    order = np.lexsort((-gain, row))
    row, gain = row[order], gain[order]
    rank = np.arange(len(row)) - np.searchsorted(row, row)
    kept = rank < n
    return np.asarray(np.bincount(row[kept], weights=gain[kept] * _discounts(n)[rank[kept]], minlength=n_users))


def _discounts(n: int) -> PerUser:
    return np.asarray(1 / np.log2(np.arange(2, n + 2)))


def _ratio(part: PerUser, whole: PerUser) -> PerUser:
    return np.asarray(np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0))
