"""First unseen items: how a source that cannot leave items out answers users who have seen some."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from belfry.dataset.arrays import Positions, blocks, stretches
from belfry.dataset.candidates import Candidates, order_by, ranks_of
from belfry.dataset.history.seen_items import SeenItems
from belfry.dataset.vocabulary import UNKNOWN, ItemNums, UserNums
from belfry.retrieval.dense import Scores

# Positions of users, and a depth -> item numbers and scores of their best items, best first, both [n_users, depth].
# Item 0 is padding.
Best: TypeAlias = Callable[[Positions, int], tuple[ItemNums, Scores]]

_LEAST_ROW = 1 << 15  # cells; so a block has at most 128 users, whose depths are then alike


def first_unseen(
    best: Best,
    users: UserNums,
    exclude: SeenItems,
    *,
    n_items: int,
    top_k: int,
    origin: str,
    only: ItemNums | None = None,
) -> Candidates:
    """Each user's `top_k` best unseen items, out of an order that `best` gives as deep as it is asked for.

    Among the first `top_k` and as many more as the user has seen, `top_k` are unseen, or there are no more. Users of
    similar depth are asked for together, so that few orders are longer than needed. With `only`, orders are whole.
    """
    if len(users) == 1 and only is None:
        return _of_one(best, users, exclude, n_items, top_k, origin)
    depth = np.minimum(top_k + exclude.count(users), n_items) if only is None else np.full(len(users), n_items)
    by_depth = np.argsort(depth, kind="stable")
    may_be_listed = np.full(n_items + 1, only is None)
    if only is not None:
        may_be_listed[only] = True
    may_be_listed[UNKNOWN] = False
    parts = []
    for block in blocks(len(users), max(int(depth.max(initial=1)), _LEAST_ROW)):
        asked = by_depth[block]
        items, scores = best(asked, int(depth[asked].max(initial=1)))
        starts = np.arange(len(asked) + 1) * items.shape[1]
        is_seen = exclude.of_users_contain(users[asked], starts, items.ravel(), n_items)
        kept = may_be_listed[items] & ~is_seen.reshape(items.shape)
        kept &= kept.cumsum(axis=1) <= top_k
        parts.append((np.count_nonzero(kept, axis=1), items[kept], scores[kept]))
    n_found, item_num, score = map(np.concatenate, zip(*parts, strict=True))
    if len(users) > 1:  # from the order of depths back to that of `users`
        place = np.argsort(by_depth)
        rows = stretches((n_found.cumsum() - n_found)[place], n_found[place])
        n_found, item_num, score = n_found[place], item_num[rows], score[rows]
    row_user = np.arange(len(users)).repeat(n_found)
    return _in_order(users, row_user, item_num, score, ranks_of(row_user, len(users)), origin, top_k)


def _of_one(best: Best, users: UserNums, exclude: SeenItems, n_items: int, top_k: int, origin: str) -> Candidates:
    """`first_unseen` of one user, with a fifth of the calls into NumPy."""
    found, scores = best(np.zeros(1, np.int64), max(1, min(top_k + int(exclude.count(users)[0]), n_items)))
    items = found[0]
    is_out = exclude.of_user_contain(int(users[0]), items) | (items == UNKNOWN)
    kept = (~is_out).nonzero()[0][:top_k]
    rank = np.arange(1, len(kept) + 1, dtype=np.int32)
    return _in_order(users, np.zeros(len(kept), np.int64), items[kept], scores[0, kept], rank, origin, top_k)


def _in_order(
    users: UserNums,
    row_user: Positions,
    item_num: ItemNums,
    score: Scores,
    rank: npt.NDArray[np.int32],
    origin: str,
    top_k: int,
) -> Candidates:
    """Lists by score, of which those that are equal may not stand by item number yet."""
    found = Candidates(users, row_user, item_num, score, rank, np.zeros(len(item_num), np.int8), (origin,))
    is_due_before = (score[1:] == score[:-1]) & (item_num[1:] < item_num[:-1]) & (rank[1:] > 1)
    return order_by(found, score, top_k=top_k) if is_due_before.any() else found
