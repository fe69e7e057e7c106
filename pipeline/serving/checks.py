"""The promises about lists, checked on every list before it is handed out."""

import numpy as np

from belfry.dataset.candidates import Candidates
from belfry.dataset.errors import BelfryError
from belfry.dataset.interactions import SeenItems, differs_from_row_before
from belfry.dataset.vocabulary import ItemNums


def check_lists(lists: Candidates, *, n: int, n_items: int, seen: SeenItems, blocked: ItemNums) -> None:
    """Check for items that are seen, blocked, repeated or unknown, for ranks other than 1..m <= n, for rising scores.

    Raises:
        BelfryError: a promise is broken, which is a defect of Belfry.
    """
    pairs = np.sort(lists.row_user * (n_items + 1) + lists.item_num)
    first = differs_from_row_before(lists.row_user)
    broken = {
        "an item outside the catalogue": (lists.item_num < 1) | (lists.item_num > n_items),
        "a seen item": seen.contains(lists.user_num, lists.item_num),
        "a blocked item": np.isin(lists.item_num, blocked),
        "a score that is no number": np.isnan(lists.score),
        "a rank beyond n": lists.rank > n,
        "a list that does not start at rank 1": first & (lists.rank != 1),
        "a gap in the ranks": ~first[1:] & (np.diff(lists.rank) != 1),
        "a rising score": ~first[1:] & (np.diff(lists.score) > 0),
        "an item twice": pairs[1:] == pairs[:-1],
    }
    for what, rows in broken.items():
        if rows.any():
            raise BelfryError(f"lists: {what} ({int(rows.sum())} rows); this is a defect of Belfry, please report it")
