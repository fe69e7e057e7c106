"""Training batches: part of each user's history as input, another part as targets, and sampled candidates."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from belfry.dataset.history import HistoryBags, make_bags
from belfry.dataset.interactions import Interactions, Mask, Positions, stretches
from belfry.dataset.vocabulary import ItemNums, UserNums
from belfry.layers.negatives import NegativeSampler
from belfry.layers.towers.config import TowersConfig

_KEY_STRIDE = 1 << 32  # item numbers are int32


@dataclass(frozen=True)
class RetrievalBatch:
    """One step of tower training."""

    users: UserNums  # [n_queries]
    bags: HistoryBags  # what each query may read
    age: npt.NDArray[np.float32]  # [n_queries] of the targets, as a share of the time span of all events
    candidates: ItemNums  # [n_candidates] unique item numbers, rising
    log_q: npt.NDArray[np.float32]  # [n_candidates] log of the probability that it is a candidate
    target_weight: npt.NDArray[np.float32]  # [n_queries, n_candidates] weights of targets, 0 for others
    negative_weight: npt.NDArray[np.float32]  # [n_queries, n_candidates] weights of negatives, 0 for others


def retrieval_batches(
    history: Interactions,
    config: TowersConfig,
    sampler: NegativeSampler,
    generator: np.random.Generator,
    mined: ItemNums | None = None,
) -> Iterator[RetrievalBatch]:
    """One epoch: every user with two events or more, once, in random order.

    Args:
        mined: [n_users + 1, n_mined] items that must be candidates where their user is a query, 0 where there are
            fewer.
    """
    by_user = history.by_user
    n_events = np.diff(by_user.starts)
    users = np.flatnonzero(n_events >= 2).astype(np.int32)
    users = generator.permutation(users[users > 0])
    for first in range(0, len(users), config.batch_users):
        chosen = users[first : first + config.batch_users]
        counts = n_events[chosen]
        row = np.repeat(np.arange(len(chosen)), counts)  # of each event of these users, oldest first
        events = by_user.order[stretches(by_user.starts[chosen], counts)]
        items = history.item_num[events]
        is_read, is_target = _hide(counts, config, generator)
        keys = row * _KEY_STRIDE + items
        is_target &= ~np.isin(keys, keys[is_read])  # watched again: read, not predicted
        is_read = _newest(is_read, row, counts, config.max_history)
        dropout = np.where(generator.random(len(chosen)) < config.cold_share, 1.0, config.history_dropout)
        is_read &= generator.random(len(row)) >= dropout[row]
        impression_row, impressions = _impressions(history, chosen)
        candidates = sampler(
            items[is_target],
            np.concatenate([impressions, *([] if mined is None else [_without_padding(mined[chosen])])]),
            generator,
        )
        numbers = candidates.item_num
        negative_weight = np.broadcast_to(candidates.is_negative, (len(chosen), len(numbers))).astype(np.float32)
        if mined is not None:
            _set(negative_weight, np.repeat(np.arange(len(chosen)), mined.shape[1]), mined[chosen].ravel(), numbers, 1)
        _set(negative_weight, impression_row, impressions, numbers, config.impression_weight)
        _set(negative_weight, row, items, numbers, 0)
        target_weight = np.zeros_like(negative_weight)
        weight = np.ones(1, np.float32) if history.weight is None else history.weight[events[is_target]]
        _set(target_weight, row[is_target], items[is_target], numbers, weight)
        yield RetrievalBatch(
            users=chosen,
            bags=make_bags(
                items[is_read], np.bincount(row[is_read], minlength=len(chosen)), half_life=config.half_life
            ),
            age=_ages(history, events, row, is_target, len(chosen)),
            candidates=numbers,
            log_q=candidates.log_q,
            target_weight=target_weight,
            negative_weight=negative_weight,
        )


def _hide(counts: Positions, config: TowersConfig, generator: np.random.Generator) -> tuple[Mask, Mask]:
    """Masks [sum(counts)] of the events to read and of those to predict; each history has some of both."""
    row, place = np.repeat(np.arange(len(counts)), counts), stretches(np.zeros_like(counts), counts)
    if config.targets == "next":
        cut = generator.integers(1, counts)[row]
        return place < cut, (place >= cut) & (place < cut + config.n_next)
    is_hidden = generator.random(len(row)) < generator.uniform(*config.hidden_share, len(counts))[row]
    n_hidden = np.bincount(row[is_hidden], minlength=len(counts))
    is_one_sided = (n_hidden == 0) | (n_hidden == counts)
    flipped = (np.cumsum(counts) - counts + generator.integers(counts))[is_one_sided]
    is_hidden[flipped] = ~is_hidden[flipped]
    return ~is_hidden, is_hidden


def _newest(is_read: Mask, row: Positions, counts: Positions, max_read: int) -> Mask:
    """Of the events to read, the last `max_read` of each row."""
    n_read = np.cumsum(is_read)
    return is_read & (n_read[np.cumsum(counts) - 1][row] - n_read < max_read)


def _impressions(history: Interactions, users: UserNums) -> tuple[Positions, ItemNums]:
    if history.impressions is None:
        return np.zeros(0, np.int64), np.zeros(0, np.int32)
    return history.impressions.rows_of(users)


def _without_padding(items: ItemNums) -> ItemNums:
    return items[items > 0]


def _set(
    weights: npt.NDArray[np.float32],
    row: Positions,
    items: ItemNums,
    candidates: ItemNums,
    value: float | npt.NDArray[np.float32],
) -> None:
    """Write `value` at the items that are candidates; `weights` [n_rows, n_candidates]."""
    column = np.minimum(np.searchsorted(candidates, items), len(candidates) - 1)
    found = candidates[column] == items
    weights[row[found], column[found]] = np.broadcast_to(np.float32(value), len(row))[found]


def _ages(
    history: Interactions, events: Positions, row: Positions, is_target: Mask, n_rows: int
) -> npt.NDArray[np.float32]:
    """[n_rows] time from the oldest target to the newest event of all, as a share of the time span of all events."""
    ages = np.zeros(n_rows, np.float32)
    if history.timestamp_s is None:
        return ages
    now_s, first_s = int(history.timestamp_s.max()), int(history.timestamp_s.min())
    age_s = now_s - history.timestamp_s[events[is_target]]
    np.maximum.at(ages, row[is_target], (age_s / max(now_s - first_s, 1)).astype(np.float32))
    return ages
