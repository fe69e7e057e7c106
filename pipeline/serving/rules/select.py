"""Greedy selection: lists filled place by place, all of them at once, under quotas and around fixed places."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from belfry.dataset.arrays import Mask, stretches
from belfry.dataset.candidates import Candidates, ranks_of
from belfry.dataset.vocabulary import ItemNums
from belfry.pipeline.serving.results import UNRANKED
from belfry.pipeline.serving.rules.config import Explore
from belfry.pipeline.serving.rules.explore import EXPLORED, Drawn, draw_places, keys_of
from belfry.pipeline.serving.rules.item_columns import LabelColumn
from belfry.pipeline.serving.rules.terms import Gains, Places, Term

PINNED = "pinned"  # origin of an item that has a place of its own

_BEHIND = np.float32(-10_000)  # what stands behind `depth` comes after all that is weighed
_NEVER = np.float32(-np.inf)


@dataclass(frozen=True)
class Pool:
    """Candidates of some lists as tables, and behind them a column for each pinned item."""

    lists: Candidates
    item_num: ItemNums  # [n_lists, n_candidates + n_pins], 0 where there is none
    row: npt.NDArray[np.int64] = field(repr=False)  # [n_lists, n_candidates] of `lists`, -1 where there is none
    pins: Sequence[tuple[int, int]]  # place, from 1, and item number; places rise
    is_pinned: Mask  # [n_lists, n_pins] whether a list shows the pinned item

    @classmethod
    def of(cls, lists: Candidates, pins: Sequence[tuple[int, int]], may_show: Mask) -> "Pool":
        """`may_show`: [n_lists, n_pins] whether a list may show the pinned item."""
        longest = int(np.diff(lists.starts).max(initial=0))
        row = np.full((len(lists.users), longest), -1)
        row[lists.row_user, lists.rank - 1] = np.arange(len(lists))
        items = np.where(row >= 0, lists.item_num[row] if len(lists) else 0, 0)
        pinned = np.broadcast_to([item for _, item in pins], (len(row), len(pins)))
        return cls(lists, np.concatenate([items, pinned], axis=1).astype(np.int32), row, pins, may_show)

    @property
    def n_candidates(self) -> int:
        return int(self.row.shape[1])

    def is_open(self) -> Mask:
        """[n_lists, n_candidates + n_pins] what may be chosen for its relevance: candidates that are not pinned."""
        is_open = self.item_num > 0
        is_open[:, self.n_candidates :] = False
        for number, (_, item) in enumerate(self.pins):
            is_open &= (self.item_num != item) | ~self.is_pinned[:, number, None]
        return is_open

    def relevance(self, depth: int) -> Gains:
        """[n_lists, n_candidates + n_pins] 1 for the best, 0 for the last of `depth`, then falling by place.

        Scores of items that the ranker never saw are on no scale with the others: they count as 0, in their order.
        """
        relevance = np.zeros(self.item_num.shape, np.float32)
        if not self.n_candidates:
            return relevance
        lists, row = self.lists, np.maximum(self.row, 0)
        unranked = [place for place, origin in enumerate(lists.origins) if origin == UNRANKED]
        weighed = (self.row >= 0) & (np.arange(self.n_candidates) < depth)
        scaled = weighed & ~np.isin(lists.origin[row], unranked)
        score = np.where(scaled, lists.score[row], np.nan).astype(np.float64)
        with np.errstate(invalid="ignore"):
            highest = np.fmax.reduce(score, axis=1, keepdims=True)
            lowest = np.fmin.reduce(score, axis=1, keepdims=True)
            spread = np.where(highest > lowest, highest - lowest, 1)
            part = np.nan_to_num((score - lowest) / spread)
        places = np.arange(self.n_candidates, dtype=np.float32)
        relevance[:, : self.n_candidates] = np.where(weighed, part, _BEHIND - places)
        return relevance


class Quota:
    """At most `k` items of a list that share a label."""

    def __init__(self, column: LabelColumn, k: int, pool: Pool) -> None:
        items, shape = pool.item_num.ravel(), pool.item_num.shape
        counts = column.starts[items + 1] - column.starts[items]
        width = max(1, int(counts.max(initial=0)))
        codes = np.full((len(items), width), -1, np.int32)
        codes[np.arange(width) < counts[:, None]] = column.codes[stretches(column.starts[items], counts)]
        self._codes = codes.reshape(*shape, width)
        self._left = np.where(self._codes >= 0, k, np.iinfo(np.int32).max // 2).astype(np.int32)

    def is_open(self) -> Mask:
        """[n_lists, n_candidates + n_pins] whether a label of none has reached its number."""
        return np.asarray((self._left > 0).all(axis=2))

    def take(self, rows: Places, columns: Places) -> None:
        for label in self._codes[rows, columns].T:
            self._left[rows] -= (self._codes[rows] == label[:, None, None]) & (label >= 0)[:, None, None]


def select(
    pool: Pool,
    n: int,
    *,
    depth: int,
    boost: Gains | None,
    terms: Sequence[tuple[float, Term]],
    quotas: Sequence[Quota],
    explore: Explore | None,
) -> Candidates:
    """At most `n` items for each list: pinned ones at their places, and each other place to the largest sum.

    What was chosen then stands in the order of relevance with its boost. A list that has nothing left ends there, with
    later pinned items moved up. Scores are those of the items, or of the place above where that is lower; a pinned or
    drawn item has that of the place above, or on top the highest.

    Args:
        boost: [n_lists, n_candidates + n_pins] what is added to relevance.
        terms: weights in front of gains, and what gives them.
        explore: how some of the places are drawn once a list is full.
    """
    relevance, is_open = pool.relevance(depth), pool.is_open()
    if boost is not None:
        relevance += boost
    chosen = np.full((len(relevance), n), -1)
    count, every = np.zeros(len(relevance), np.int64), np.arange(len(relevance))
    due = {at: number for number, (at, _) in enumerate(pool.pins) if at <= n}
    for number in due.values():  # their labels are taken before anything else's
        rows = np.flatnonzero(pool.is_pinned[:, number])
        for quota in quotas:
            quota.take(rows, np.full(len(rows), pool.n_candidates + number))
    for at in range(1, n + 1 if relevance.shape[1] else 1):
        total = np.where(is_open, relevance, _NEVER)
        for weight, term in terms:
            total += weight * term.gains()
        for quota in quotas:
            total[~quota.is_open()] = _NEVER
        column = np.argmax(total, axis=1)
        is_filled, is_due = total[every, column] > _NEVER, np.zeros(len(relevance), np.bool_)
        if at in due:
            is_due = pool.is_pinned[:, due[at]]
            column = np.where(is_due, pool.n_candidates + due[at], column)
        rows = np.flatnonzero(is_filled | is_due)
        if not len(rows) and at >= max(due, default=0):
            break
        columns = column[rows]
        chosen[rows, count[rows]] = columns
        count[rows] += 1
        is_open[rows, columns] = False
        for _, term in terms:
            term.take(rows, columns)
        free = rows[~is_due[rows]]
        for quota in quotas:
            quota.take(free, column[free])
    chosen = _in_order(chosen, relevance, pool.n_candidates) if terms else chosen
    if explore is None:
        return _as_lists(pool, chosen, None)
    drawn = _explored(pool, chosen, relevance, depth, explore)
    return _as_lists(pool, drawn.chosen, drawn)


def _explored(pool: Pool, chosen: Places, relevance: Gains, depth: int, explore: Explore) -> Drawn:
    n = pool.n_candidates
    return draw_places(
        chosen,
        (chosen >= 0) & (chosen < n),
        relevance[:, :n],
        pool.is_open()[:, :n] & (np.arange(n) < depth),
        keys_of(explore.seed, pool.lists.users, pool.item_num[:, : min(n, depth)]),
        share=explore.share,
        temperature=explore.temperature,
    )


def _in_order(chosen: Places, relevance: Gains, n_candidates: int) -> Places:
    """[n_lists, n] the same columns by relevance, with pinned ones where they are."""
    moves = (chosen >= 0) & (chosen < n_candidates)
    values = np.where(moves, np.take_along_axis(relevance, np.maximum(chosen, 0), axis=1), _NEVER)
    order = np.lexsort((chosen, -values), axis=1)  # equal ones as retrieval has them
    place = np.maximum(np.cumsum(moves, axis=1) - 1, 0)
    in_order = np.take_along_axis(chosen, np.take_along_axis(order, place, axis=1), axis=1)
    return np.where(moves, in_order, chosen)


def _as_lists(pool: Pool, chosen: Places, drawn: Drawn | None) -> Candidates:
    row_user, at = np.nonzero(chosen >= 0)
    column, lists = chosen[row_user, at], pool.lists
    is_pin = column >= pool.n_candidates
    is_drawn = np.zeros(len(column), np.bool_) if drawn is None else drawn.is_drawn[row_user, at]
    own = ~is_pin & ~is_drawn  # places by relevance
    row = pool.row[row_user[own], column[own]]
    scores = np.full(chosen.shape, np.inf, np.float32)
    scores[row_user[own], at[own]] = lists.score[row]
    highest = np.where(np.isinf(scores), -np.inf, scores).max(axis=1, initial=-np.inf, keepdims=True)
    scores = np.minimum.accumulate(scores, axis=1)
    scores = np.where(np.isinf(scores), np.where(np.isinf(highest), 0, highest), scores)
    others = ((PINNED, is_pin, bool(pool.pins)), (EXPLORED, is_drawn, drawn is not None))
    origins, origin = list(lists.origins), np.zeros(len(column), np.int8)
    origin[own] = lists.origin[row]
    for name, of_name, is_there in others:
        origin[of_name] = len(origins)
        origins += [name] if is_there else []
    return Candidates(
        users=lists.users,
        row_user=row_user,
        item_num=pool.item_num[row_user, column],
        score=scores[row_user, at].astype(np.float32),
        rank=ranks_of(row_user, len(lists.users)),
        origin=origin,
        origins=tuple(origins),
        propensity=None if drawn is None else drawn.chance[row_user, at],
    )
