"""First unseen items: how a source that cannot leave items out answers users who have seen some."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from belfry.dataset.candidates import Candidates, order_by, ranks_of
from belfry.dataset.interactions import Positions, SeenItems
from belfry.dataset.vocabulary import UNKNOWN, ItemNums, UserNums
from belfry.retrieval.dense import ScoreTable, blocks

# Positions of users, and a depth -> item numbers and scores of their best items, best first, both [n_users, depth].
# Item 0 is padding.
Best: TypeAlias = Callable[[Positions, int], tuple[ItemNums, ScoreTable]]

_LEAST_ROW = 1 << 15  # cells; so a block has at most 128 users, whose depths are then alike
_FLAGS_PER_SCORE = 4  # that take the same memory


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
    depth = np.minimum(top_k + exclude.count(users), n_items) if only is None else np.full(len(users), n_items)
    width = min(top_k, n_items if only is None else len(only))
    item_num, score = np.zeros((len(users), width), np.int32), np.zeros((len(users), width), np.float32)
    n_found = np.zeros(len(users), np.int64)
    by_depth = np.argsort(depth, kind="stable")
    for block in blocks(len(users), max(n_items // _FLAGS_PER_SCORE, _LEAST_ROW)):
        asked = by_depth[block]
        items, scores = best(asked, int(depth[asked].max(initial=1)))
        is_out = exclude.table(users[asked], n_items)
        is_out[:, UNKNOWN] = True
        if only is not None:
            is_out[:, np.isin(np.arange(n_items + 1), only, invert=True)] = True
        kept = ~is_out[np.arange(len(asked))[:, None], items]
        kept &= kept.cumsum(axis=1) <= width
        n_found[asked] = n_kept = np.count_nonzero(kept, axis=1)
        filled = np.arange(width) < n_kept[:, None]
        for table, values in ((item_num, items), (score, scores)):
            front = np.zeros_like(table, shape=filled.shape)
            front[filled] = values[kept]
            table[asked] = front
    filled = np.arange(width) < n_found[:, None]
    row_user, items, scores = np.arange(len(users)).repeat(n_found), item_num[filled], score[filled]
    rank, of_origin = ranks_of(row_user, len(users)), np.zeros(len(items), np.int8)
    found = Candidates(users, row_user, items, scores, rank, of_origin, (origin,))
    is_due_before = (scores[1:] == scores[:-1]) & (items[1:] < items[:-1]) & (rank[1:] > 1)
    return order_by(found, scores, top_k=top_k) if is_due_before.any() else found
