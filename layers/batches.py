"""Training batches: part of each user's history as input, another part as targets, and candidates to tell apart."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dataset.history import HistoryBags, make_bags
from dataset.interactions import Interactions
from dataset.vocabulary import Numbers


@dataclass(frozen=True)
class RetrievalBatch:
    """One step of tower training."""

    users: Numbers  # [n_queries]
    bags: HistoryBags  # what each query may read
    candidates: Numbers  # [n_candidates] unique item numbers
    log_q: npt.NDArray[np.float32]  # [n_candidates] log of the chance that the candidate is among `candidates`
    is_target: npt.NDArray[np.float32]  # [n_queries, n_candidates]
    is_hit: npt.NDArray[np.bool_]  # [n_queries, n_candidates] watched by the query's user, yet no target


@dataclass(frozen=True)
class BatchPlan:
    """How histories become batches; the fields are those of `TwoTowerConfig`."""

    batch_users: int
    n_candidates: int
    targets: str  # "any": a random share of the history is hidden; "next": the items after a random moment
    hidden_share: tuple[float, float]
    n_next: int
    history_dropout: float
    cold_share: float
    half_life: float
    max_history: int


def retrieval_batches(
    history: Interactions, plan: BatchPlan, generator: np.random.Generator
) -> Iterator[RetrievalBatch]:
    """One epoch: every user with two events or more, once, in random order.

    The candidates of a step are its targets and as many uniformly drawn items as `n_candidates` leaves room for; in a
    catalogue that fits whole, every item is a candidate and `log_q` is 0. Source of mixing the two: Yang et al.,
    Mixed negative sampling for learning two-tower neural networks in recommendations, WWW 2020.
    """
    by_user = history.by_user
    n_items = len(history.items)
    n_events = np.diff(by_user.starts)
    users = np.flatnonzero(n_events >= 2).astype(np.int32)
    users = generator.permutation(users[users > 0])
    item_share = np.bincount(history.item_num, minlength=n_items + 1) / max(len(history), 1)
    for first in range(0, len(users), plan.batch_users):
        chosen = users[first : first + plan.batch_users]
        watched = [history.item_num[by_user.of(user)] for user in chosen]
        parts = [_hide(items, plan, generator) for items in watched]
        targets = [np.setdiff1d(target, read) for read, target in parts]  # watched again: read, not predicted
        dropout = np.where(generator.random(len(chosen)) < plan.cold_share, 1.0, plan.history_dropout)
        read = [
            _thin_out(items[-plan.max_history :], share, generator)
            for (items, _), share in zip(parts, dropout, strict=True)
        ]
        candidates, log_q = draw_candidates(np.concatenate(targets), item_share, plan.n_candidates, generator)
        is_target = _membership(targets, candidates)
        yield RetrievalBatch(
            users=chosen,
            bags=make_bags(read, half_life=plan.half_life),
            candidates=candidates,
            log_q=log_q,
            is_target=is_target.astype(np.float32),
            is_hit=_membership(watched, candidates) & ~is_target,
        )


def _hide(items: Numbers, plan: BatchPlan, generator: np.random.Generator) -> tuple[Numbers, Numbers]:
    """A history, oldest first, as (to read, to predict); neither is empty."""
    if plan.targets == "next":
        cut = generator.integers(1, len(items))
        return items[:cut], items[cut : cut + plan.n_next]
    is_hidden = generator.random(len(items)) < generator.uniform(*plan.hidden_share)
    if is_hidden.all() or not is_hidden.any():
        one = generator.integers(len(items))
        is_hidden[one] = ~is_hidden[one]
    return items[~is_hidden], items[is_hidden]


def _thin_out(items: Numbers, dropout: float, generator: np.random.Generator) -> Numbers:
    return items[generator.random(len(items)) >= dropout]


def draw_candidates(
    targets: Numbers, item_share: npt.NDArray[np.float64], n_candidates: int, generator: np.random.Generator
) -> tuple[Numbers, npt.NDArray[np.float32]]:
    """Rising numbers of the targets and of uniform draws beside them, and the log of the chance of each to be there.

    Args:
        targets: [n_targets] of a step, each with its repetitions.
        item_share: [n_items + 1] share of events.
        n_candidates: a catalogue that is not larger enters whole, with a log chance of 0.
    """
    n_items = len(item_share) - 1
    if n_items <= n_candidates:
        return np.arange(1, n_items + 1, dtype=np.int32), np.zeros(n_items, np.float32)
    n_drawn = max(n_candidates - len(np.unique(targets)), 1)
    drawn = generator.integers(1, n_items + 1, n_drawn, dtype=np.int32)
    candidates = np.unique(np.concatenate([targets, drawn]))
    # 1 - the chance that neither any target nor any draw is this item
    log_missed = len(targets) * np.log1p(-np.minimum(item_share[candidates], 0.999999)) + n_drawn * np.log1p(
        -1 / n_items
    )
    return candidates, np.log(-np.expm1(log_missed)).astype(np.float32)


def _membership(lists: list[Numbers], candidates: Numbers) -> npt.NDArray[np.bool_]:
    """[n_lists, n_candidates]: is this candidate (rising numbers) in this list?"""
    members = np.zeros((len(lists), len(candidates)), np.bool_)
    rows = np.repeat(np.arange(len(lists)), [len(items) for items in lists])
    items = np.concatenate(lists)
    columns = np.minimum(np.searchsorted(candidates, items), len(candidates) - 1)
    found = candidates[columns] == items
    members[rows[found], columns[found]] = True
    return members
