"""How long lists may be asked for; and the promises about them, checked on every list before it is handed out."""

import numpy as np

from belfry.dataset.arrays import Mask, differs_from_row_before
from belfry.dataset.candidates import Candidates
from belfry.dataset.errors import BelfryError, InputError
from belfry.dataset.history.seen_items import SeenItems
from belfry.dataset.vocabulary import UNKNOWN, ItemNums


def check_n(n: int) -> int:
    """The length of a list, which is a whole number of at least 1."""
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
        raise InputError(f"n={n!r}: wanted a whole number of at least 1")
    return int(n)


def check_lists(lists: Candidates, *, n: int, n_items: int, seen: SeenItems, blocked: ItemNums) -> None:
    """Check for items kept out, blocked, repeated or unknown, for ranks other than 1..m <= n, and for rising scores.

    Raises:
        BelfryError: a promise is broken, which is a defect of Belfry.
    """
    pairs = np.sort(lists.row_user * (n_items + 1) + lists.item_num)
    first = differs_from_row_before(lists.row_user)
    is_outside = (lists.item_num < 1) | (lists.item_num > n_items)
    broken = {
        "an item outside the catalogue": is_outside,
        f"an item that the user has {seen.was}": seen.of_users_contain(
            lists.users, lists.starts, np.where(is_outside, UNKNOWN, lists.item_num), n_items
        ),
        "a blocked item": np.isin(lists.item_num, blocked) if len(blocked) else blocked,
        "a score that is no number": np.isnan(lists.score),
        "a rank beyond n": lists.rank > n,
        "a propensity that is no chance": ~_are_chances(lists),
        "a list that does not start at rank 1": first & (lists.rank != 1),
        "a gap in the ranks": ~first[1:] & (np.diff(lists.rank) != 1),
        "a rising score": ~first[1:] & (np.diff(lists.score) > 0),
        "an item twice": pairs[1:] == pairs[:-1],
    }
    for what, rows in broken.items():
        if rows.any():
            raise BelfryError(f"lists: {what} ({int(rows.sum())} rows); this is a defect of Belfry, please report it")


def _are_chances(lists: Candidates) -> Mask:
    """[n_rows] or [0] where nothing was drawn."""
    chance = np.zeros(0) if lists.propensity is None else lists.propensity
    return (chance > 0) & (chance <= 1)
