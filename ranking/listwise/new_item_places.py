"""New items in a ranked list: as many among the first half as in retrieval's order, where their share was learned."""

import numpy as np
import numpy.typing as npt

from belfry.dataset.interactions import Mask
from belfry.ranking.base import Scores
from belfry.ranking.lists import Lists

HEAD = 10  # places that go by the ranker alone
_COUNT = "popularity"  # the feature that is 0 for an item without watches
_STEPS = 20  # of bisection
_EPSILON = 1e-9

Order = npt.NDArray[np.float64]  # [n_rows]


def is_new(lists: Lists) -> Mask | None:
    """[n_rows] items without a watch; None where there are none, or no feature tells."""
    if _COUNT not in lists.names:
        return None
    found = lists.column(_COUNT) == 0
    return found if found.any() else None


def raise_new(scores: Order, lists: Lists, new: Mask, shift: float) -> Order:
    """Scores with `shift` added to those of new items, which rise up to place `HEAD` + 1, in their order.

    A ranker tells of each candidate how probable a watch is. Little speaks for any one new item, so that in its order
    they come last, although together they are watched.
    """
    rows, present = lists.padded_rows(np.arange(len(lists)))
    if rows.shape[1] <= HEAD:
        return scores
    best = np.sort(np.where(present, scores[rows], -np.inf), axis=1)[:, ::-1]
    last, next_ = best[:, HEAD - 1][lists.row_list], best[:, HEAD][lists.row_list]  # of the head, and behind it
    is_led = new & (scores < last) & np.isfinite(next_)
    raised = scores + shift
    gap, over = last[is_led] - next_[is_led], raised[is_led] - next_[is_led]
    below = last[is_led] - gap * np.exp(-np.maximum(over, 0) / np.maximum(gap, _EPSILON))
    result = scores.copy()
    result[is_led] = np.where(over > 0, below, raised[is_led])
    return result


def needed_shift(scores: Order, retrieval: Scores, lists: Lists) -> float:
    """For `raise_new`, at least 0: so that the first halves of the lists hold as many new items as by `retrieval`."""
    new = is_new(lists)
    if new is None:
        return 0.0
    rows, present = lists.padded_rows(np.arange(len(lists)))
    depth = max(1, rows.shape[1] // 2)
    new_cells = new[rows] & present

    def n_first(order: npt.NDArray[np.floating]) -> int:
        cells = np.where(present, order[rows], -np.inf)
        first = np.argpartition(-cells, depth - 1, axis=1)[:, :depth]
        return int(np.take_along_axis(new_cells, first, axis=1).sum())

    wanted, low, high = n_first(retrieval), 0.0, float(np.ptp(scores))
    if n_first(scores) >= wanted:
        return 0.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        enough = n_first(raise_new(scores, lists, new, middle)) >= wanted
        low, high = (low, middle) if enough else (middle, high)
    return high
