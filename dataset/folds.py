"""Folds: which part of the history stands in for the future while ranker, early stopping and the gate learn."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np

from belfry.dataset.arrays import Mask
from belfry.dataset.concurrency.cached import cached_property
from belfry.dataset.errors import InputError
from belfry.dataset.history.repeats import Repeats, kept_out
from belfry.dataset.history.seen_items import SeenItems
from belfry.dataset.interactions import Interactions
from belfry.dataset.split import folds, split_last_out
from belfry.dataset.vocabulary import UserNums

Holdout: TypeAlias = Literal["time", "last", "random"]

MAX_LAST = 5  # events held back of each user under `last`
MAX_FIRST = 40  # watches that a newcomer comes with, at most
MIN_NEWCOMERS, MAX_NEWCOMERS = 30, 500  # of all folds, and of one: nothing is learned from fewer, little from more
NEWCOMERS_SHARE = 0.03  # of the users of a fold that is no cut in time, at most
SHORT, SHORT_SHARE = 10, 0.1  # events, and share of users with no more: from more of these, lists tell of first watches
WINDOW_SHARE = 0.2  # of all events, in the window behind a cut under `time`
_PARTS = 5  # of what was passed over, one of which `last` holds back where there are no times


@dataclass(frozen=True)
class Fold:
    """A history that a retriever may learn from, and the events of the same users that were held back."""

    history: Interactions
    later: Interactions
    repeats: Repeats = "exclude"
    excluded: SeenItems | None = None  # what no list may hold, where the history is not all that users have seen
    passed_over: SeenItems | None = None  # what was shown beside `later`, of which the history does not tell
    # Users of whom the history holds nothing: their first watches, as a call hands them over, and what came after.
    newcomers: "Fold | None" = None
    hidden: "Fold | None" = None  # these users with all that a fold would know of them; under `time` there is nothing

    @cached_property
    def exclude(self) -> SeenItems:
        """What no list of the fold may hold."""
        return kept_out(self.history, self.repeats) if self.excluded is None else self.excluded

    @property
    def later_share(self) -> float:
        """Of what newcomers did after their first watches, which is all held back, that is held back of others."""
        return 1.0 if self.hidden is None else len(self.later) / (len(self.history) + len(self.later))

    @property
    def users(self) -> UserNums:
        """Those with a history and with something later than it, rising: who can be asked and evaluated."""
        has_history = np.diff(self.history.by_user.starts) > 0
        users = np.unique(self.later.user_num)
        return users[has_history[users]]


def sample_users(users: UserNums, max_users: int, *, seed: int) -> UserNums:
    """All users, or `max_users` of them drawn at random; rising."""
    return np.sort(np.random.default_rng(seed).permutation(users)[:max_users])


def default_holdout(interactions: Interactions) -> Holdout:
    """`time` where there are times and users who come back after the newest cut, `last` where there is order alone.

    Else `random`.
    """
    if interactions.timestamp_s is None:
        has_two = (np.diff(interactions.by_user.starts)[1:] >= 2).any()
        return "last" if interactions.is_ordered and has_two else "random"
    newest = next(_windows(interactions, 1))
    return "time" if len(newest.history) and len(newest.later) else "random"


def make_folds(interactions: Interactions, holdout: Holdout, *, n_folds: int, seed: int) -> Iterator[Fold]:
    """Folds of training data, made one by one; the test part of an evaluation is never among them.

    `random`: cross-fitting in `n_folds` parts, every event is held back once. `last`: one fold that holds back each
    user's last events, up to five. `time`: `n_folds` cuts along time, each holding back the window behind it.

    Raises:
        InputError: `last` without order, `time` without times, or too few events to hold any back.
    """
    if holdout == "last" and not interactions.is_ordered:
        raise InputError(
            "holdout 'last' needs a timestamp_s column in the interactions, or their order (data.order=rows, or a "
            "column); use holdout random"
        )
    if holdout == "time" and interactions.timestamp_s is None:
        other = "last, for the events are in order" if interactions.is_ordered else "random"
        raise InputError(f"holdout 'time' needs a timestamp_s column in the interactions; use holdout {other}")
    if holdout == "random":
        made = _cross_folds(interactions, n_folds, seed)
    elif holdout == "last":
        made = _last_fold(interactions, seed)
    else:
        made = _windows(interactions, n_folds)
    n_usable = 0
    for number, fold in enumerate(made):
        if len(fold.history) and len(fold.later):
            n_usable += 1
            if holdout == "time":
                yield _with_newcomers(interactions, fold, number, seed)
            else:
                yield _hide_some(interactions, fold, number, n_folds if holdout == "random" else 1, seed)
    if not n_usable:
        raise InputError(f"interactions: too few events to hold any back by holdout {holdout!r}; add data")


def _cross_folds(interactions: Interactions, n_folds: int, seed: int) -> Iterator[Fold]:
    fold_of_row = folds(interactions, n_folds=n_folds, seed=seed)
    for number in range(n_folds):
        later = interactions.select(fold_of_row == number)
        fold = Fold(interactions.select(fold_of_row != number).known_without(later), later)
        yield _hold_back_part(fold, interactions, number, n_folds, seed)


def _hold_back_part(fold: Fold, interactions: Interactions, part: int, n_parts: int, seed: int) -> Fold:
    """The fold, one of `n_parts` of what was passed over held back too, as no time tells what was shown when."""
    shown = fold.history.impressions
    if shown is None or interactions.impressions is None:
        return fold
    passed_over = interactions.impressions.without(interactions.seen_items).distinct
    passed_over = passed_over.select(
        np.random.default_rng(seed).integers(n_parts, size=len(passed_over.item_num)) == part
    )
    return replace(fold, history=replace(fold.history, impressions=shown.without(passed_over)), passed_over=passed_over)


def _last_fold(interactions: Interactions, seed: int) -> Iterator[Fold]:
    """Hold back so many last events that the median user keeps two thirds of their history.

    What was shown after a user's newest event that stays is held back too: the first event that goes was made on it.
    """
    counts = np.bincount(interactions.user_num)
    n_last = int(np.clip(np.median(counts[counts > 0]) // 3, 1, MAX_LAST))
    split = split_last_out(interactions, n_last=n_last)
    history, shown = split.train, interactions.impressions
    if shown is None or shown.time_s is None or history.timestamp_s is None:
        yield _hold_back_part(Fold(history, split.test), interactions, 0, _PARTS, seed)
        return
    newest_s = np.zeros(len(interactions.users) + 1, np.int64)
    np.maximum.at(newest_s, history.user_num, history.timestamp_s)
    known = shown.before(newest_s + 1)
    passed_over = shown.select(shown.time_s > newest_s[shown.user_num])
    yield Fold(replace(history, impressions=known), split.test, passed_over=passed_over)


def _windows(interactions: Interactions, n_windows: int) -> Iterator[Fold]:
    """Newest window first; cuts at evenly spaced shares of the events, from half of them to nine tenths."""
    assert interactions.timestamp_s is not None
    times = np.sort(interactions.timestamp_s)
    for share in np.linspace(0.9, 0.5, n_windows):
        start_s = times[int(share * len(times))]
        stop_s = times[min(int((share + WINDOW_SHARE) * len(times)), len(times) - 1)]
        is_before = interactions.timestamp_s < start_s
        has_history = np.zeros(len(interactions.users) + 1, np.bool_)
        has_history[interactions.user_num[is_before]] = True
        is_later = ~is_before & (interactions.timestamp_s <= stop_s) & has_history[interactions.user_num]
        fold = Fold(interactions.select(is_before).known_before(start_s), interactions.select(is_later))
        shown = interactions.impressions
        if shown is not None and shown.time_s is not None:
            is_in_window = (shown.time_s >= start_s) & (shown.time_s <= stop_s)
            fold = replace(fold, passed_over=shown.select(is_in_window))
        yield fold


def _hide_some(interactions: Interactions, fold: Fold, number: int, n_folds: int, seed: int) -> Fold:
    """The fold, some users of which become its newcomers: others in each, and its history tells nothing of them.

    There are none where many users have few events, for lists tell enough of first watches then; nor of few users.

    Args:
        interactions: those that the fold was made of.
        number: of the fold, from 0.
    """
    users, counts = fold.users, np.diff(fold.history.by_user.starts)
    n_new = min(MAX_NEWCOMERS, int(NEWCOMERS_SHARE * len(users)))
    if n_folds * n_new < MIN_NEWCOMERS or (counts[users] <= SHORT).mean() > SHORT_SHARE:
        return fold
    new = np.random.default_rng(seed).permutation(users)[number * n_new :][:n_new]
    own = interactions.of_users(new)
    history, later = fold.history.without_users(new), fold.later.without_users(new)
    rows = own.by_user.order  # oldest first
    if not own.is_ordered:
        rows = np.random.default_rng(seed).permutation(rows)
        rows = rows[np.argsort(own.user_num[rows], kind="stable")]
    is_first = _are_first(own.user_num[rows], len(interactions.users), [seed, number])
    newcomers = Fold(_at_once(own.select(rows[is_first]), history), own.select(rows[~is_first]))
    hidden = replace(fold, history=fold.history.of_users(new), later=fold.later.of_users(new))
    return replace(fold, history=history, later=later, newcomers=newcomers, hidden=hidden)


def _with_newcomers(interactions: Interactions, fold: Fold, number: int, seed: int) -> Fold:
    """A fold in time, and who comes behind its cut; nobody where none does more than to come.

    What newcomers did after their first watches, as long as the fold looks ahead, is held back.
    """
    times, cut_times, later_times = (part.timestamp_s for part in (interactions, fold.history, fold.later))
    assert times is not None and cut_times is not None and later_times is not None
    is_new = np.diff(fold.history.by_user.starts) == 0
    is_new[0] = False
    rows = interactions.by_user.order
    rows = rows[is_new[interactions.user_num[rows]] & (times[rows] >= cut_times.max())]
    rows = rows[times[rows] <= later_times.max()]
    is_first = _are_first(interactions.user_num[rows], len(interactions.users), [seed, number])
    if is_first.all():
        return fold
    first = _at_once(interactions.select(rows[is_first]), fold.history)
    return replace(fold, newcomers=Fold(first, interactions.select(rows[~is_first])))


def _are_first(user_num: UserNums, n_users: int, seed: list[int]) -> Mask:
    """[n_rows] up to `MAX_FIRST` of the first rows of each user, few more often; users rise."""
    n_first = np.exp(np.random.default_rng(seed).uniform(0, np.log(MAX_FIRST + 1), n_users + 1))
    starts = np.searchsorted(user_num, np.arange(n_users + 1))
    return np.arange(len(user_num)) - starts[user_num] < n_first[user_num].astype(np.int64)


def _at_once(first: Interactions, history: Interactions) -> Interactions:
    """First watches as a call hands them over: all at the last moment of a history."""
    times = history.timestamp_s
    now = None if times is None else np.full(len(first), times.max())
    return replace(first, timestamp_s=now, impressions=history.impressions)


def with_repeats(folds: Iterable[Fold], repeats: Repeats) -> Iterator[Fold]:
    """Folds that lists with repeats are learned on; where lists hold nothing else, later events that are none go.

    Raises:
        InputError: no later event is of an item that its user had before.
    """
    n_usable = 0
    for given in folds:
        fold = replace(given, repeats=repeats, newcomers=given.newcomers if repeats == "exclude" else None)
        if repeats == "only":
            is_repeat = ~fold.exclude.contains(fold.later.user_num, fold.later.item_num)
            fold = replace(fold, later=fold.later.select(is_repeat))
        if len(fold.later):
            n_usable += 1
            yield fold
    if not n_usable:
        raise InputError(
            "interactions: no event that is held back is of an item that its user had before, so lists of repeats "
            "cannot be learned; train without --repeats only"
        )
