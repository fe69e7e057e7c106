"""Candidates among the items that rules allow: fetched on, deeper, until there are enough or the catalogue ends."""

from dataclasses import replace

import numpy as np

from belfry.dataset.arrays import Mask, blocks
from belfry.dataset.candidates import Candidates, ranks_of
from belfry.dataset.features import FeatureTables
from belfry.dataset.history.seen_items import SeenItems
from belfry.dataset.vocabulary import UserNums
from belfry.retrieval.base import Retriever
from belfry.retrieval.dense import stack

_SPARE = 1.25  # times what is expected to be needed, at first
_DEEPER = 4  # times as deep for those who still have too few


def retrieve_allowed(
    retriever: Retriever, users: UserNums, features: FeatureTables, *, top_k: int, exclude: SeenItems, allowed: Mask
) -> Candidates:
    """Each user's best `top_k` of the allowed items, fewer where there are no more; ranks count these alone.

    Where few items are left out, lists are longer by as many; where few are allowed, every one of them is scored. Else
    lists are as long as it should take, and longer for the users for whom that was not enough, until to score every
    allowed item costs less.

    Args:
        allowed: [n_items + 1] of each item number; that of 0 is false.
    """
    only = np.flatnonzero(allowed).astype(np.int32)
    n_items, n_allowed = len(allowed) - 1, len(only)
    top_k = min(top_k, max(n_allowed, 1))
    n_out = n_items - n_allowed
    is_plain = n_out <= top_k  # so few are left out that a list longer by as many is always enough
    depth = top_k + n_out if is_plain else int(_SPARE * top_k * n_items / max(n_allowed, 1)) + 1

    def fetch(some: UserNums, depth: int | None) -> Candidates:
        """All lists that deep, or None: those of every allowed item."""
        length, wanted = (top_k, only) if depth is None else (depth, None)
        found = [
            retriever.retrieve(some[block], features, top_k=length, exclude=exclude, only=wanted)
            for block in blocks(len(some), n_allowed if depth is None else depth)
        ]
        return _first(stack(found) if len(found) > 1 else found[0], allowed, top_k)

    if not n_allowed:
        nothing = retriever.retrieve(users, features, top_k=1, exclude=exclude)
        return nothing.select(np.zeros(0, np.int64))
    own_items = exclude.remaining is not None  # few, so that all of them are scored
    is_dear = own_items or (not is_plain and 2 * depth >= n_allowed)
    lists = fetch(users, None if is_dear else depth)
    while not is_dear and not is_plain:
        short = np.flatnonzero(np.diff(lists.starts) < top_k)
        if not len(short):
            break
        depth *= _DEEPER
        is_dear = 2 * depth >= n_allowed
        lists = replace_lists(lists, short, fetch(users[short], None if is_dear else depth))
    return lists


def replace_lists(lists: Candidates, places: np.ndarray, others: Candidates) -> Candidates:
    """`lists` with those of the asked users at the rising `places` in the place of their own; equal origins."""
    kept = np.setdiff1d(np.arange(len(lists.users)), places)
    both = stack([lists.of_users(kept), others])
    order_of_users = np.concatenate([kept, places])
    order = np.argsort(order_of_users[both.row_user], kind="stable")
    return replace(both.select(order), users=lists.users, row_user=np.sort(order_of_users[both.row_user]))


def _first(found: Candidates, allowed: Mask, top_k: int) -> Candidates:
    """The first `top_k` allowed rows of each list, with ranks from 1."""
    kept = found.select(allowed[found.item_num])
    kept = replace(kept, rank=ranks_of(kept.row_user, len(kept.users)))
    return kept if int(kept.rank.max(initial=0)) <= top_k else kept.select(kept.rank <= top_k)
