"""Training batches: part of each user's history as input, another part as targets, and sampled candidates.

Made a block of steps at a time, as flat arrays: a dozen NumPy calls for each step would cost as much as the step.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from belfry.dataset.arrays import Mask, Positions, stretches
from belfry.dataset.history.bags import HistoryBags, make_bags
from belfry.dataset.history.seen_items import pair_keys
from belfry.dataset.interactions import Interactions
from belfry.dataset.vocabulary import ItemNums, UserNums
from belfry.layers.negatives import NegativeSampler, SampledCandidates
from belfry.layers.towers.config import TowersConfig

_EVENTS_PER_BLOCK = 1 << 19


@dataclass(frozen=True)
class Cells:
    """Weights of some pairs of a query and a candidate of its step."""

    query: Positions  # [n_cells] the steps of the queries never fall
    column: Positions  # [n_cells] place of the candidate among those of the step
    weight: npt.NDArray[np.float32]  # [n_cells]


@dataclass(frozen=True)
class WatchBlock:
    """Some steps of tower training; queries and candidates of all steps, one step's after another's."""

    n_steps: int
    users: UserNums  # [n_queries]
    step: Positions  # [n_queries] number of its step in the block
    bags: HistoryBags  # what each query may read
    age: npt.NDArray[np.float32]  # [n_queries] of the targets, as a share of the time span of all events
    candidates: ItemNums  # unique and rising within a step
    candidate_starts: Positions  # [n_steps + 1] where those of each step start; 0 and their number if all share them
    log_q: npt.NDArray[np.float32]  # [n_candidates] log of the probability that it is a candidate of its step
    is_negative: npt.NDArray[np.bool_]  # [n_candidates] of the queries of its step, unless the cells say otherwise
    targets: Cells
    special: Cells  # negatives of one query, or with a weight of their own
    watched: Cells  # pairs that are no negatives


class WatchBatches:
    """Epochs over one history: every user with two events or more, once, in random order, or as many as steps allow."""

    def __init__(self, history: Interactions, config: TowersConfig, sampler: NegativeSampler) -> None:
        self._history, self._config, self._sampler = history, config, sampler
        counts = np.diff(history.by_user.starts)
        users = np.flatnonzero(counts >= 2).astype(np.int32)
        self._users, self._counts = users[users > 0], counts
        self._has_repeats = history.matrix.nnz < len(history)
        self.n_steps = config.n_steps(-(-len(self._users) // config.batch_users))  # of an epoch

    def epoch(self, generator: np.random.Generator, mined: ItemNums | None = None) -> Iterator[WatchBlock]:
        """One epoch.

        Args:
            mined: [n_users + 1, n_mined] items that must be candidates where their user is a query, 0 where there are
                fewer.
        """
        size = self._config.batch_users
        users = generator.permutation(self._users)[: self.n_steps * size]
        past = np.cumsum(self._counts[users])[np.minimum(np.arange(1, self.n_steps + 1) * size, len(users)) - 1]
        firsts = np.searchsorted(past // _EVENTS_PER_BLOCK, np.unique(past // _EVENTS_PER_BLOCK)) * size
        for first, stop in zip(firsts, [*firsts[1:], len(users)], strict=True):
            yield self._block(users[first:stop], generator, mined)

    def _block(self, users: UserNums, generator: np.random.Generator, mined: ItemNums | None) -> WatchBlock:
        history, config = self._history, self._config
        step = np.arange(len(users)) // config.batch_users
        events, counts = history.by_user.newest(users)
        query = np.repeat(np.arange(len(users)), counts)  # of each event of these users, oldest first
        items = history.item_num[events]
        is_read, is_target = _hide(counts, query, config, generator)
        if self._has_repeats:
            keys = pair_keys(query, items)
            is_target &= ~np.isin(keys, keys[is_read])  # watched again: read, not predicted
        is_read = _newest(is_read, query, counts, config.max_history)
        dropout = np.where(generator.random(len(users)) < config.cold_share, 1.0, config.history_dropout)
        is_read &= generator.random(len(query)) >= dropout[query]
        needed_by, needed, needed_weight = self._needed(users, step, mined)
        candidates, starts = self._candidates(
            (step[query[is_target]], items[is_target]), (step[needed_by], needed), int(step[-1]) + 1, generator
        )
        weight = np.ones(1, np.float32) if history.damped_weight is None else history.damped_weight[events[is_target]]
        place = _Places(candidates.item_num, starts, len(history.items))
        return WatchBlock(
            n_steps=int(step[-1]) + 1,
            users=users,
            step=step,
            bags=make_bags(
                items[is_read], np.bincount(query[is_read], minlength=len(users)), half_life=config.half_life
            ),
            age=_ages(history, events, query, is_target, len(users)),
            candidates=candidates.item_num,
            candidate_starts=starts,
            log_q=candidates.log_q,
            is_negative=candidates.is_negative,
            targets=place.cells(step, query[is_target], items[is_target], weight),
            special=place.cells(step, needed_by, needed, needed_weight),
            watched=place.cells(step, query, items, np.zeros(1)),
        )

    def _needed(
        self, users: UserNums, step: Positions, mined: ItemNums | None
    ) -> tuple[Positions, ItemNums, npt.NDArray[np.float32]]:
        """Query, item and weight of the negatives of single queries: mined, impressions and dislikes.

        By step, and within a step those last: of two weights of a pair the later one counts.
        """
        disliked_or_shown, parts = self._history.negatives, []
        if mined is not None:
            query, place = np.nonzero(mined[users])
            parts.append((query, mined[users][query, place], np.ones(len(query), np.float32)))
        if disliked_or_shown is not None:
            query, items = disliked_or_shown.rows_of(users)
            parts.append((query, items, np.full(len(query), self._config.impression_weight, np.float32)))
        if not parts:
            return np.zeros(0, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32)
        query, items, weight = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        order = np.argsort(step[query], kind="stable")
        return query[order], items[order], weight[order]

    def _candidates(
        self,
        targets: tuple[Positions, ItemNums],
        required: tuple[Positions, ItemNums],
        n_steps: int,
        generator: np.random.Generator,
    ) -> tuple[SampledCandidates, Positions]:
        """Those of all steps, and where each step's start; the arguments are steps, never falling, and items."""
        if self._sampler.is_whole:
            found = self._sampler(targets[1], required[1], generator)
            return found, np.array([0, len(found.item_num)])
        numbers = np.arange(n_steps)
        edges = [
            zip(np.searchsorted(steps, numbers), np.searchsorted(steps, numbers, "right"), strict=True)
            for steps, _ in (targets, required)
        ]
        sampled = [
            self._sampler(targets[1][slice(*own)], required[1][slice(*needed)], generator)
            for own, needed in zip(*edges, strict=True)
        ]
        starts = np.cumsum([0, *(len(part.item_num) for part in sampled)])
        names = ("item_num", "log_q", "is_negative")
        return SampledCandidates(*(np.concatenate([getattr(part, name) for part in sampled]) for name in names)), starts


class _Places:
    """Where items stand among the candidates of a step."""

    def __init__(self, candidates: ItemNums, starts: Positions, n_items: int) -> None:
        self._starts, self._is_whole = starts, len(starts) == 2
        if self._is_whole:
            self._column = np.full(n_items + 1, -1)
            self._column[candidates] = np.arange(len(candidates))
        else:
            self._keys = pair_keys(np.repeat(np.arange(len(starts) - 1), np.diff(starts)), candidates)

    def cells(self, step: Positions, query: Positions, items: ItemNums, weight: npt.NDArray[np.floating]) -> Cells:
        """The pairs whose item is a candidate; `step` [n_queries], `weight` [n_pairs] or [1]."""
        if self._is_whole:
            column = self._column[items]
            found = column >= 0
        else:
            keys = pair_keys(step[query], items)
            place = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
            found = self._keys[place] == keys
            column = place - self._starts[step[query]]
        weights = np.broadcast_to(weight.astype(np.float32), len(items))
        return Cells(query[found], column[found], weights[found])


def _hide(
    counts: Positions, query: Positions, config: TowersConfig, generator: np.random.Generator
) -> tuple[Mask, Mask]:
    """Masks [sum(counts)] of the events to read and of those to predict; each history has some of both."""
    if config.targets == "next":
        place = stretches(np.zeros_like(counts), counts)
        cut = generator.integers(1, counts)[query]
        return place < cut, (place >= cut) & (place < cut + config.n_next)
    is_hidden = generator.random(len(query)) < generator.uniform(*config.hidden_share, len(counts))[query]
    n_hidden = np.bincount(query[is_hidden], minlength=len(counts))
    is_one_sided = (n_hidden == 0) | (n_hidden == counts)
    flipped = (np.cumsum(counts) - counts + generator.integers(counts))[is_one_sided]
    is_hidden[flipped] = ~is_hidden[flipped]
    return ~is_hidden, is_hidden


def _newest(is_read: Mask, query: Positions, counts: Positions, max_read: int) -> Mask:
    """Of the events to read, the last `max_read` of each query."""
    if counts.max() <= max_read:
        return is_read
    n_read = np.cumsum(is_read)
    return is_read & (n_read[np.cumsum(counts) - 1][query] - n_read < max_read)


def _ages(
    history: Interactions, events: Positions, query: Positions, is_target: Mask, n_queries: int
) -> npt.NDArray[np.float32]:
    """[n_queries] time from the oldest target to the newest event of all, as a share of the time span of all events."""
    ages = np.zeros(n_queries, np.float32)
    if history.timestamp_s is None:
        return ages
    now_s, first_s = int(history.timestamp_s.max()), int(history.timestamp_s.min())
    age_s = now_s - history.timestamp_s[events[is_target]]
    np.maximum.at(ages, query[is_target], (age_s / max(now_s - first_s, 1)).astype(np.float32))
    return ages
