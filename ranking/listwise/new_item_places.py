"""New items in a ranked list: as many among the first half as in retrieval's order, where their share was learned."""

import numpy as np
import numpy.typing as npt

from belfry.dataset.arrays import Mask
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
    """Scores with `shift` added to those of new items, which rise towards place `HEAD` in their order, and not beyond.

    A ranker tells of each candidate how probable a watch is. Little speaks for any one new item, so that in its order
    they come last, although together they are watched. With t the score at place `HEAD` and r = t - m, m that in the
    middle of the rest, a raised score s above m becomes t - r / (1 + (s - m) / r); none falls.
    """
    rows, present = lists.padded_rows(np.arange(len(lists)))
    lengths = lists.lengths
    if not (lengths > HEAD).any():
        return scores
    best = np.sort(np.where(present, scores[rows], -np.inf), axis=1)[:, ::-1]
    places = np.stack([np.full(len(lists), HEAD - 1), HEAD + (lengths - HEAD) // 2])
    top, middle = best[np.arange(len(lists)), np.clip(places, 0, lengths - 1)][:, lists.row_list]
    is_led = new & (scores < top) & (lengths > HEAD)[lists.row_list]
    reach = np.maximum(top - middle, _EPSILON)[is_led]
    raised = scores[is_led] + shift
    over = np.maximum(raised - middle[is_led], 0) / reach
    result = scores.copy()
    result[is_led] = np.maximum(scores[is_led], np.where(over > 0, top[is_led] - reach / (1 + over), raised))
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
