"""SequenceBatches: epochs over the windows of a history as blocks of steps, and what all steps share."""

from collections.abc import Iterator

import numpy as np

from belfry.dataset.arrays import Positions
from belfry.dataset.features import FeatureTables
from belfry.dataset.history.bags import windows_between
from belfry.dataset.interactions import Interactions
from belfry.dataset.vocabulary import ItemNums, UserNums
from belfry.layers.negatives import NegativeSampler
from belfry.layers.steps.loop import Block, Nest, Stack, stacked
from belfry.layers.towers.watch_task import feature_stacks
from belfry.retrieval.config import SequenceConfig

_STEPS_PER_BLOCK = 64
_WINDOWS_PER_POOL = 2048  # which are sorted by their length


class SequenceBatches:
    """Every window once in an epoch, and so every event is predicted once; or as many windows as steps allow.

    The windows of a step have about the same length, so that little of what is computed is padding.
    """

    def __init__(self, history: Interactions, features: FeatureTables, config: SequenceConfig) -> None:
        self.sampler = NegativeSampler(history, "all", config.n_candidates, config.n_sampled)
        self._history, self._features, self._config = history, features, config
        self._users, self._ends = _window_ends(history, config)
        n_events: Positions = self._ends - history.by_user.starts[self._users]
        self._n_events = np.minimum(n_events, config.max_length)  # that each window predicts
        self.n_steps = config.n_steps(int(self._n_events.sum()) // config.batch_events + 1)  # of an epoch

    def shared(self) -> Nest:
        """The candidates, where all steps have the same."""
        if not self.sampler.is_whole:
            return {}
        stacks = self._item_stacks("candidates", [self.sampler.everything])
        return {name: stack.values for name, stack in stacks.items()}

    def blocks(self, generator: np.random.Generator) -> Iterator[Block]:
        """One epoch; `sequence_loss` reads the steps."""
        steps = self._steps(generator)
        for first in range(0, len(steps), _STEPS_PER_BLOCK):
            yield self._block([self._step(rows, generator) for rows in steps[first : first + _STEPS_PER_BLOCK]])

    def _steps(self, generator: np.random.Generator) -> list[Positions]:
        """The windows of each step, in random order."""
        order = generator.permutation(len(self._users))
        pool = np.arange(len(order)) // _WINDOWS_PER_POOL
        order = order[np.lexsort((self._n_events[order], pool))]
        step = np.cumsum(self._n_events[order]) // self._config.batch_events
        steps = np.split(order, np.flatnonzero(np.diff(step)) + 1)
        return [steps[place] for place in generator.permutation(len(steps))[: self.n_steps]]

    def _step(self, rows: Positions, generator: np.random.Generator) -> dict[str, Nest]:
        """Arrays of one step."""
        history, config = self._history, self._config
        users, seen = self._users[rows], history.seen_items
        length = config.max_length if config.encoder == "recurrent" else int(self._n_events[rows].max())
        windows = windows_between(history, history.by_user.starts[users], self._ends[rows], length=length + 1)
        is_late = generator.random(len(rows)) < config.late_share
        following = windows.item_num[:, 1:]
        positions = np.flatnonzero(following > 0)
        targets = following.ravel()[positions]
        sampled = self.sampler(targets, np.zeros(0, np.int32), generator)
        window, watched = seen.rows_of(users)
        place = np.minimum(np.searchsorted(sampled.item_num, watched), len(sampled.item_num) - 1)
        is_candidate = sampled.item_num[place] == watched
        request_s = np.where(is_late[:, np.newaxis], self._features.now_s, windows.time_s[:, 1:])
        return {
            "users": users,
            "length": np.array([length], np.int32),
            "items": windows.item_num[:, :-1].ravel(),
            "times": (windows.time_s[:, :-1].ravel(), request_s.ravel()),
            "predicted": (
                positions.astype(np.int32),
                np.searchsorted(sampled.item_num, targets).astype(np.int32),
            ),
            "watched": np.stack([window, place], axis=1).astype(np.int32)[is_candidate],
            "candidates": sampled.item_num,
            "log_q": sampled.log_q,
        }

    def _block(self, steps: list[dict[str, Nest]]) -> Block:
        by_name = {name: [step[name] for step in steps] for name in steps[0]}
        users = stacked(by_name.pop("users"))
        read, places = zip(*(np.unique(items, return_inverse=True) for items in by_name.pop("items")), strict=True)
        candidates, log_q = by_name.pop("candidates"), by_name.pop("log_q")
        stacks = {
            "columns": users._replace(values=self._features.users.content.inputs(users.values)),
            "places": stacked([place.astype(np.int32) for place in places]),
            **{name: stacked(parts) for name, parts in by_name.items()},
            **self._item_stacks("read", list(read)),
        }
        if not self.sampler.is_whole:
            stacks |= {"log_q": stacked(log_q), **self._item_stacks("candidates", candidates)}
        return stacks

    def _item_stacks(self, name: str, parts: list[ItemNums]) -> dict[str, Stack]:
        items = stacked(parts)
        return feature_stacks(name, items.values, items.starts, self._features.items.matrix)


def _window_ends(history: Interactions, config: SequenceConfig) -> tuple[UserNums, Positions]:
    """User and end (a position in `by_user.order`) of each window of an epoch, which predicts every event once."""
    starts = history.by_user.starts
    counts = np.diff(starts)
    n_windows = np.where(counts >= 2, np.minimum(-(-counts // config.max_length), config.max_windows), 0)
    n_windows[0] = 0
    users = np.repeat(np.arange(len(counts), dtype=np.int32), n_windows)
    turn = np.arange(len(users)) - np.repeat(np.cumsum(n_windows) - n_windows, n_windows)
    return users, starts[users + 1] - turn * config.max_length
