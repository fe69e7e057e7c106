"""Fold: what came since, put behind the history of a run, each event once."""

from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from belfry.dataset.arrays import Mask
from belfry.dataset.encoding.context import read_context
from belfry.dataset.errors import TableError
from belfry.dataset.event_weights import EventParts
from belfry.dataset.history.repeats import Repeats
from belfry.dataset.history.seen_items import SeenItems, pair_keys
from belfry.dataset.interactions import Interactions
from belfry.dataset.validation.policy import Policy
from belfry.dataset.validation.times import range_of_most
from belfry.pipeline.jobs.updating.numbering import Numbering

Number = TypeVar("Number", np.int64, np.float32)


@dataclass(frozen=True)
class Folded:
    """The history of today, and how it came about."""

    history: Interactions
    n_given: int  # watches that came
    n_known: int  # of these, in the run already, and not counted again
    n_far: int  # left out for their times, as the policy says
    n_older: int  # of those that were added, older than the newest that the run knew
    n_impressions: int  # rows that only showed an item
    unread: tuple[str, ...]  # columns that came, and that the run has not
    n_disliked: int = 0  # pairs that nobody had disliked before
    n_shown: int = 0  # impressions that were added

    @property
    def n_added(self) -> int:
        return self.n_given - self.n_known - self.n_far

    @property
    def n_changed(self) -> int:
        """What the history has now and had not before."""
        return self.n_added + self.n_disliked + self.n_shown


def fold(
    known: Interactions, events: EventParts, numbering: Numbering, policy: Policy, labels: tuple[str, ...]
) -> Folded:
    """The events that are not in `known` yet, behind it.

    Args:
        known: by the numbers of `numbering`.

    Raises:
        TableError: times are so far from those of the run that a wrong clock is likely.
    """
    empty = not len(events.watches)
    fresh = Interactions.from_table(
        events.watches,
        users=numbering.users,
        items=numbering.items,
        impressions=events.impressions,
        dislikes=events.dislikes,
        labels=() if empty else labels,
        context=read_context(events.watches, {name: column.values for name, column in known.context.items()}),
    )
    fresh, unread = _like(fresh, known)
    n_given = len(fresh)
    is_far = _far(known, fresh, policy)
    is_known = known_events(known, fresh, policy) & ~is_far
    fresh = fresh.select(~is_known & ~is_far)
    newest_s = None if known.timestamp_s is None or not len(known) else known.timestamp_s.max()
    n_older = 0 if newest_s is None or fresh.timestamp_s is None else int((fresh.timestamp_s < newest_s).sum())
    history = _joined(known, fresh)
    n_disliked = _n_pairs(history.dislikes) - _n_pairs(known.dislikes)
    n_shown = _n_pairs(history.impressions) - _n_pairs(known.impressions)
    counts = n_given, int(is_known.sum()), int(is_far.sum()), n_older, len(events.impressions)
    return Folded(history, *counts, unread, n_disliked, n_shown)


def _like(fresh: Interactions, known: Interactions) -> tuple[Interactions, tuple[str, ...]]:
    """The fresh events with the columns that the known ones have; and the names of those that these have not."""
    unread = tuple(
        name
        for name, own, others in (
            ("timestamp_s", fresh.timestamp_s, known.timestamp_s),
            ("rating", fresh.rating, known.rating),
        )
        if own is not None and others is None
    )
    nothing = np.full(len(fresh), np.nan, np.float32)
    rating, times = fresh.rating, fresh.timestamp_s
    if times is None:
        times = np.zeros(len(fresh), np.int64)  # of no events: `read_arrived` refuses others
    fresh = replace(
        fresh,
        timestamp_s=None if known.timestamp_s is None else times,
        rating=None if known.rating is None else nothing if rating is None else rating,
        labels={name: fresh.labels.get(name, nothing) for name in known.labels},
        rows_in_order=known.rows_in_order,
    )
    return fresh, unread


def _far(known: Interactions, fresh: Interactions, policy: Policy) -> Mask:
    """[n_fresh] times that are left out, for among all others they are far, as `data.far_time` has it."""
    nobody = np.zeros(len(fresh), np.bool_)
    if known.timestamp_s is None or fresh.timestamp_s is None or policy.far_time == "keep" or not len(fresh):
        return nobody
    first_s, last_s = range_of_most(np.concatenate([known.timestamp_s, fresh.timestamp_s]))
    is_far = (fresh.timestamp_s < first_s) | (fresh.timestamp_s > last_s)
    if is_far.any() and policy.far_time != "drop":
        far, low, high = (
            np.datetime64(int(time_s), "s").astype("datetime64[D]")
            for time_s in (fresh.timestamp_s[is_far][0], known.timestamp_s.min(), known.timestamp_s.max())
        )
        raise TableError(
            f"interactions: {is_far.sum():,} times lie far from all others (such as {far}; the run's go from "
            f"{low} to {high}), as by a wrong clock; mend them, or train again with "
            "--set data.far_time=keep where they are right"
        )
    return is_far


def known_events(known: Interactions, fresh: Interactions, policy: Policy) -> Mask:
    """[n_fresh] events that are among the known ones.

    An event is where user, item and time are; without times and order, where user and item are. Where repeats are kept,
    or rows have an order and no times, nothing tells an event from one like it.
    """
    has_times = known.timestamp_s is not None and fresh.timestamp_s is not None
    if policy.repeated_event == "keep" or (not has_times and known.is_ordered) or not len(fresh):
        return np.zeros(len(fresh), np.bool_)
    is_known = known.seen_items.contains(fresh.user_num, fresh.item_num)
    if not has_times or not is_known.any():
        return is_known
    assert known.timestamp_s is not None and fresh.timestamp_s is not None
    rows = np.flatnonzero(fresh.select(is_known).seen_items.contains(known.user_num, known.item_num))
    keys = np.concatenate(
        [pair_keys(known.user_num[rows], known.item_num[rows]), pair_keys(fresh.user_num, fresh.item_num)]
    )
    times = np.concatenate([known.timestamp_s[rows], fresh.timestamp_s])
    order = np.lexsort((np.arange(len(keys)), times, keys))
    same = (np.diff(keys[order]) == 0) & (np.diff(times[order]) == 0)
    start = np.flatnonzero(np.append(True, ~same))  # of each event, its first row
    of_first = order[np.repeat(start, np.diff(np.append(start, len(order))))]
    is_repeated = np.zeros(len(keys), np.bool_)
    is_repeated[order] = of_first < len(rows)
    return is_repeated[len(rows) :]


def policy_for(history: Interactions, policy: Policy, repeats: Repeats) -> Policy:
    """The policy of a run as its training took it: pairs that repeat are events where `keep_repeats` made them so.

    What a manifest holds no longer tells a setting from its default; the history does.
    """
    has_repeats = len(history) > len(history.seen_items.item_num)
    if repeats == "exclude" or history.is_ordered or not has_repeats:
        return policy
    return policy.model_copy(update={"repeated_event": "keep"})


def _n_pairs(pairs: SeenItems | None) -> int:
    return 0 if pairs is None else len(pairs.item_num)


def _joined(known: Interactions, fresh: Interactions) -> Interactions:
    """The rows of both, the fresh ones behind, and the impressions and the dislikes of both.

    What was shown is kept where the run has impressions: no model of another reads them.
    """
    weight = None
    if known.weight is not None or fresh.weight is not None:
        parts = [np.ones(len(part), np.float32) if part.weight is None else part.weight for part in (known, fresh)]
        weight = np.concatenate(parts)
    pairs = [part.dislikes for part in (known, fresh) if part.dislikes is not None]
    shown = known.impressions
    if shown is not None and fresh.impressions is not None:
        shown = shown.followed_by(fresh.impressions)
    return replace(
        known,
        user_num=np.concatenate([known.user_num, fresh.user_num]),
        item_num=np.concatenate([known.item_num, fresh.item_num]),
        timestamp_s=_both(known.timestamp_s, fresh.timestamp_s),
        rating=_both(known.rating, fresh.rating),
        weight=weight,
        labels={name: np.concatenate([values, fresh.labels[name]]) for name, values in known.labels.items()},
        context={name: column.followed_by(fresh.context[name].numbers) for name, column in known.context.items()},
        impressions=shown,
        dislikes=None if not pairs else pairs[0] if len(pairs) == 1 else pairs[0].joined(pairs[1]),
    )


def _both(known: npt.NDArray[Number] | None, fresh: npt.NDArray[Number] | None) -> npt.NDArray[Number] | None:
    return None if known is None or fresh is None else np.concatenate([known, fresh])
