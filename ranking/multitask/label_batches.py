"""Batches of labelled events: labels to predict from the rest of their users' histories and labels."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from belfry.dataset import columns
from belfry.dataset.arrays import Mask, Positions, stretches
from belfry.dataset.history.bags import HistoryBags, make_bags
from belfry.dataset.history.seen_items import pair_keys
from belfry.dataset.interactions import Interactions
from belfry.dataset.vocabulary import ItemNums, UserNums
from belfry.ranking.multitask.config import MultitaskConfig

Values: TypeAlias = npt.NDArray[np.float32]


@dataclass(frozen=True)
class LabelRows:
    """Labels of several users, each pair of user and item once; one row per user, padded at the end."""

    item_num: ItemNums  # [n_users, length], oldest first, 0 where padded
    values: Values  # [n_columns, n_users, length], 0 where the label is missing
    is_labelled: Mask  # [n_columns, n_users, length]

    @classmethod
    def of(cls, history: Interactions, names: Sequence[str], users: UserNums, *, max_length: int) -> "LabelRows":
        """The newest `max_length` labelled pairs of each of `users`; of several labels of a pair the newest counts.

        A column that the history lacks is missing throughout.
        """
        events, counts = history.by_user.newest(users)
        row = np.repeat(np.arange(len(users)), counts)
        values = np.stack([label_column(history, name, events) for name in names])
        labelled = ~np.isnan(values).all(axis=0) & (history.item_num[events] > 0)
        keys = pair_keys(row[labelled], history.item_num[events[labelled]])
        _, from_end = np.unique(keys[::-1], return_index=True)
        kept = np.flatnonzero(labelled)[np.sort(len(keys) - 1 - from_end)]
        row, items, values = row[kept], history.item_num[events[kept]], values[:, kept]
        counts = np.bincount(row, minlength=len(users))
        slot = stretches(np.zeros_like(counts), counts) - np.maximum(counts - max_length, 0)[row]
        is_new = slot >= 0
        row, slot, items, values = row[is_new], slot[is_new], items[is_new], values[:, is_new]
        shape = (len(users), max(int(np.minimum(counts, max_length).max(initial=0)), 1))
        item_num, padded = np.zeros(shape, np.int32), np.full((len(names), *shape), np.nan, np.float32)
        item_num[row, slot], padded[:, row, slot] = items, values
        return cls(item_num, np.nan_to_num(padded), ~np.isnan(padded))


@dataclass(frozen=True)
class LabelledBatch:
    """One step: labels of some users, and the part of their histories to predict them from."""

    users: UserNums  # [n_users]
    bags: HistoryBags  # the items read
    labels: LabelRows
    is_target: Mask  # [n_users, length] labels of items that are not read


def labelled_batches(
    history: Interactions, config: MultitaskConfig, generator: np.random.Generator
) -> Iterator[LabelledBatch]:
    """Endless batches of the users with labels of a task; each pass has a new random order.

    A share of each history is hidden so that its labels can be predicted, and of the rest some is dropped.
    """
    is_labelled = [~np.isnan(label_column(history, name, slice(None))) for name in config.task_columns]
    labelled_users = np.unique(history.user_num[np.any(is_labelled, axis=0) & (history.user_num > 0)])
    while True:
        shuffled = generator.permutation(labelled_users)
        for first in range(0, len(shuffled), config.batch_raters):
            users = shuffled[first : first + config.batch_raters]
            events, counts = history.by_user.newest(users, config.max_history)
            row, items = np.repeat(np.arange(len(users)), counts), history.item_num[events]
            share = generator.uniform(*config.hidden_share, len(users))
            is_read = generator.random(len(row)) >= 1 - (1 - share[row]) * (1 - config.history_dropout)
            rows = LabelRows.of(history, config.task_columns, users, max_length=config.max_history)
            observed = pair_keys(np.arange(len(users))[:, np.newaxis], rows.item_num)
            yield LabelledBatch(
                users=users,
                bags=make_bags(
                    items[is_read], np.bincount(row[is_read], minlength=len(users)), half_life=config.half_life
                ),
                labels=rows,
                is_target=~np.isin(observed, pair_keys(row[is_read], items[is_read])),
            )


def label_column(history: Interactions, name: str, events: Positions | slice) -> Values:
    """A column of labels at some events, NaN where there is none."""
    values = history.rating if name == columns.RATING else history.labels.get(name)
    return np.full(len(history), np.nan, np.float32)[events] if values is None else values[events]


def label_spread(history: Interactions, name: str) -> float:
    """Standard deviation of a column of labels; 1 where all are alike."""
    return float(np.nanstd(label_column(history, name, slice(None)))) or 1.0
