"""Exploration: some places of every list are drawn among its candidates, and how likely each item was to be shown.

Of a list of n, m = share * n places are drawn, rounded up or down at random where that is no whole number. The first
n - m items stay, and m of the other candidates are drawn without replacement, so that candidate i comes with the chance

    pi(i) = min(1, c * exp(relevance(i) / temperature)),    c such that these add up to m,

by systematic sampling in an order that is itself random. The chance that a list holds an item is therefore known: 1 for
what stays, else pi(i), mixed over the two m. What was drawn stands at places that are drawn too, each as likely.

Source: Madow, On the theory of systematic sampling II, 1949; Horvitz and Thompson, A generalization of sampling without
replacement, 1952; Steele, Lea and Flood, Fast splittable pseudorandom number generators, 2014.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from belfry.dataset.arrays import Mask
from belfry.dataset.vocabulary import ItemNums, UserNums

EXPLORED = "explored"  # origin of an item that was drawn

Chances: TypeAlias = npt.NDArray[np.float64]
Columns: TypeAlias = npt.NDArray[np.int64]  # of candidates, -1 where there is none
Keys: TypeAlias = npt.NDArray[np.uint64]

_LEAST = -600.0  # exponent of a weight: every candidate may be drawn, however low its temperature
_SURE = 1 - 1e-12
_GOLDEN, _FIRST, _SECOND = (np.uint64(one) for one in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


@dataclass(frozen=True)
class Drawn:
    """Lists of which some places were drawn."""

    chosen: Columns  # [n_lists, n]
    is_drawn: Mask  # [n_lists, n]
    chance: Chances  # [n_lists, n] that the list holds the item


def draw_places(
    chosen: Columns,
    is_free: Mask,
    relevance: npt.NDArray[np.float32],
    is_open: Mask,
    keys: Keys,
    *,
    share: float,
    temperature: float,
) -> Drawn:
    """The lists with a `share` of their places drawn; among those that were, the most relevant comes first.

    Args:
        chosen: [n_lists, n] the lists.
        is_free: [n_lists, n] places that may be drawn.
        relevance: [n_lists, n_candidates]
        is_open: [n_lists, n_candidates] what may be drawn, all that stands at free places among it.
        keys: [n_lists] that all draws of a list follow from.
    """
    n = chosen.shape[1]
    wanted = round(share * n, 9)  # 0.1 * 30 is 3
    n_fewer, part = int(wanted), wanted - int(wanted)
    fewer, more = (_Design.of(chosen, is_free, relevance, is_open, m, temperature) for m in (n_fewer, n_fewer + 1))
    uniforms = uniforms_of(keys, 2 + n + relevance.shape[1])
    is_more = uniforms[:, :1] < part
    pi = np.where(is_more, more.pi, fewer.pi)
    columns = _by_relevance(_systematic(pi, uniforms[:, 1], uniforms[:, 2 + n :]), relevance)
    m = (columns >= 0).sum(axis=1, keepdims=True)
    order = np.argsort(np.where(is_free, uniforms[:, 2 : 2 + n], 2.0), axis=1)
    is_drawn = np.zeros(chosen.shape, np.bool_)
    np.put_along_axis(is_drawn, order, np.arange(n) < m, axis=1)
    found = chosen.copy()
    found[is_free & ~is_drawn] = chosen[np.where(is_more, more.stays, fewer.stays)]
    found[is_drawn] = columns[columns >= 0]
    chance = np.ones(chosen.shape)
    row, place = np.nonzero(is_free)
    chance[row, place] = ((1 - part) * fewer.chance + part * more.chance)[row, found[row, place]]
    return Drawn(found, is_drawn, chance)


@dataclass(frozen=True)
class _Design:
    """How `m` places of each list are drawn, or as many as are free."""

    stays: Mask  # [n_lists, n] what keeps its turn in the list
    pi: Chances  # [n_lists, n_candidates] to be drawn; 0 for what stays
    chance: Chances  # [n_lists, n_candidates] to be in the list

    @classmethod
    def of(
        cls,
        chosen: Columns,
        is_free: Mask,
        relevance: npt.NDArray[np.float32],
        is_open: Mask,
        m: int,
        temperature: float,
    ) -> "_Design":
        n_free = is_free.sum(axis=1, keepdims=True)
        stays = is_free & (np.cumsum(is_free, axis=1) <= n_free - m)
        row, place = np.nonzero(stays)
        kept = np.zeros(relevance.shape, np.bool_)
        kept[row, chosen[row, place]] = True
        may_come = is_open & ~kept
        exponent = np.where(may_come, relevance.astype(np.float64) / temperature, -np.inf)
        highest = exponent.max(axis=1, keepdims=True, initial=-np.inf)
        with np.errstate(invalid="ignore"):
            weight = np.where(may_come, np.exp(np.maximum(exponent - highest, _LEAST)), 0)
        pi = inclusion_chances(weight, np.minimum(m, n_free[:, 0]))
        return cls(stays, pi, np.where(kept, 1.0, pi))


def inclusion_chances(weight: Chances, m: npt.NDArray[np.int64]) -> Chances:
    """min(1, c * weight) with c such that they add up to `m`, or to the candidates of a weight where these are fewer.

    Args:
        weight: [n_lists, n_candidates], 0 for what cannot be drawn.
        m: [n_lists] how many are drawn.
    """
    sure = np.zeros(weight.shape, np.bool_)
    while True:
        left = (m - sure.sum(axis=1))[:, None]
        total = np.where(sure, 0, weight).sum(axis=1, keepdims=True)
        chance = np.where(sure, 0, weight) * np.divide(left, total, out=np.zeros(total.shape), where=total > 0)
        over = chance > _SURE
        if not over.any():
            return np.where(sure, 1.0, chance)
        sure |= over


def _systematic(pi: Chances, start: Chances, order_by: Chances) -> Mask:
    """[n_lists, n_candidates] what is drawn, each with its chance: where a comb of steps of 1 meets their running sum.

    Args:
        start: [n_lists] in [0, 1), of the comb.
        order_by: [n_lists, n_candidates] order in which chances are summed.
    """
    order = np.argsort(order_by, axis=1)
    sums = np.cumsum(np.take_along_axis(pi, order, axis=1), axis=1)
    last = sums[:, -1:] if pi.shape[1] else np.zeros((len(pi), 1))
    with np.errstate(invalid="ignore"):
        sums = np.where(last > 0, sums / last * np.rint(last), 0)  # the last one is whole, whatever rounding did
    teeth = np.diff(np.ceil(sums - start[:, None]), axis=1, prepend=0)
    drawn = np.zeros(pi.shape, np.bool_)
    np.put_along_axis(drawn, order, teeth > 0, axis=1)
    return drawn


def _by_relevance(drawn: Mask, relevance: npt.NDArray[np.float32]) -> Columns:
    """[n_lists, most] columns of what was drawn, the most relevant first, -1 behind."""
    most = int(drawn.sum(axis=1).max(initial=0))
    columns = np.argsort(np.where(drawn, -relevance, np.inf), axis=1, kind="stable")[:, :most]
    return np.where(np.arange(most) < drawn.sum(axis=1, keepdims=True), columns, -1)


def keys_of(seed: int, users: UserNums, items: ItemNums) -> Keys:
    """[n_lists] a number for each list, which its user, its candidates and the seed decide.

    Args:
        items: [n_lists, n_candidates] in their order, 0 where there is none.
    """
    place = np.arange(1, items.shape[1] + 1, dtype=np.uint64) * _GOLDEN
    of_items = np.where(items > 0, _mix(items.astype(np.uint64) + place), np.uint64(0)).sum(axis=1, dtype=np.uint64)
    return _mix(_mix(np.array([seed], np.uint64)) ^ _mix(users.astype(np.uint64) + _GOLDEN) ^ of_items)


def uniforms_of(keys: Keys, n: int) -> Chances:
    """[n_lists, n] evenly in [0, 1): SplitMix64, begun at each key."""
    states = keys[:, None] + np.arange(1, n + 1, dtype=np.uint64) * _GOLDEN
    return np.asarray((_mix(states) >> np.uint64(11)) * 2.0**-53, np.float64)


def _mix(x: Keys) -> Keys:
    x = (x ^ (x >> np.uint64(30))) * _FIRST
    x = (x ^ (x >> np.uint64(27))) * _SECOND
    return np.asarray(x ^ (x >> np.uint64(31)), np.uint64)
