"""When things were watched: per week, in sessions; what is new in the newest part, and how the halves differ."""

import numpy as np
import numpy.typing as npt

from belfry.dataset.arrays import Positions
from belfry.dataset.interactions import Interactions
from belfry.evaluation.reports.description.result import Cold, Drift, Measure, Sessions, Times

SESSION_GAP_S = 30 * 60
SHARE_NEWEST = 0.1  # of the watches, that the cold share is taken of
_DAY_S, _WEEK_S = 86_400, 7 * 86_400
_MONDAY_S = 4 * 86_400  # of 1970: the 5th of January
_MOST_WEEKS, _FEWEST_WEEKS = 500, 10  # that a curve shows; of more it shows months, of fewer days


def times_of(history: Interactions) -> Times | None:
    """None without times."""
    times = history.timestamp_s
    if times is None or not len(times):
        return None
    first, last = int(times.min()), int(times.max())
    hours = np.bincount((times % _DAY_S) // 3600, minlength=24)
    unit, counts = _per_unit(times, first, last)
    return Times(
        first_s=first,
        last_s=last,
        unit=unit,
        counts=counts,
        hours=tuple((f"{hour:02}", int(count)) for hour, count in enumerate(hours.tolist())),
        sessions=_sessions(history),
    )


def _per_unit(times: npt.NDArray[np.int64], first: int, last: int) -> tuple[str, tuple[tuple[float, float], ...]]:
    n_weeks = (last - first) / _WEEK_S
    if n_weeks > _MOST_WEEKS:
        months = times.astype("datetime64[s]").astype("datetime64[M]").astype(np.int64)
        counts, start = np.bincount(months - months.min()), int(months.min())
        begins = np.arange(start, start + len(counts)).astype("datetime64[M]").astype("datetime64[ms]")
        return "month", tuple(zip(begins.astype(np.int64).tolist(), counts.tolist(), strict=True))
    unit, length, shift = ("day", _DAY_S, 0) if n_weeks < _FEWEST_WEEKS else ("week", _WEEK_S, _MONDAY_S)
    places = (times - shift) // length
    start = int(places.min())
    counts = np.bincount(places - start)
    begins = ((np.arange(len(counts)) + start) * length + shift) * 1000
    return unit, tuple(zip(begins.tolist(), counts.tolist(), strict=True))


def _sessions(history: Interactions) -> Sessions:
    assert history.timestamp_s is not None
    order = np.lexsort((history.timestamp_s, history.user_num))
    users, times = history.user_num[order], history.timestamp_s[order]
    is_next = users[1:] == users[:-1]
    pause = np.diff(times)
    starts = np.flatnonzero(np.append(True, ~is_next | (pause > SESSION_GAP_S)))
    lengths = np.diff(np.append(starts, len(users)))
    per_user = np.bincount(users[starts])
    return Sessions(
        gap_s=SESSION_GAP_S,
        n=len(starts),
        mean_length=float(lengths.mean()),
        share_single=float((lengths == 1).mean()),
        share_of_users_with_one=float((per_user[per_user > 0] == 1).mean()),
        share_same_second=float((is_next & (pause == 0)).sum() / len(users)),
    )


def cold_of(history: Interactions) -> Cold | None:
    """None without times, or where they tell no newest part."""
    order = _oldest_first(history)
    if order is None:
        return None
    assert history.timestamp_s is not None
    cut = min(len(order) - 1, round(len(order) * (1 - SHARE_NEWEST)))
    begins = int(history.timestamp_s[order[cut]])
    is_newest = history.timestamp_s >= begins
    if is_newest.all():
        return None
    new = []
    for numbers in (history.user_num, history.item_num):
        known = np.zeros(int(numbers.max()) + 1, np.bool_)
        known[numbers[~is_newest]] = True
        new.append(~known[numbers[is_newest]])
    return Cold(
        share_newest=float(is_newest.mean()),
        begins_s=begins,
        watches_of_new_users=float(new[0].mean()),
        watches_of_new_items=float(new[1].mean()),
        watches_of_either=float((new[0] | new[1]).mean()),
    )


def drift_of(history: Interactions) -> Drift | None:
    """Between the older and the newer half, beside two random halves; None without times."""
    order = _oldest_first(history)
    if order is None:
        return None
    assert history.timestamp_s is not None
    shuffled = np.random.default_rng(0).permutation(len(order))
    middle = len(order) // 2
    (moved, common, measures), (by_chance, common_by_chance, random) = (
        _halves(history, rows[:middle], rows[middle:]) for rows in (order, shuffled)
    )
    return Drift(
        begins_s=int(history.timestamp_s[order[middle]]),
        measures=tuple(
            Measure(name, older, newer, newer - older, abs(random[name][1] - random[name][0]), form)
            for name, (older, newer, form) in measures.items()
        ),
        moved=moved,
        moved_by_chance=by_chance,
        n_common_top=common,
        n_common_top_by_chance=common_by_chance,
    )


def _oldest_first(history: Interactions) -> Positions | None:
    times = history.timestamp_s
    if times is None or len(times) < 2 or times.min() == times.max():
        return None
    return np.argsort(times, kind="stable")


def _halves(
    history: Interactions, older: Positions, newer: Positions
) -> tuple[float, int, dict[str, tuple[float, float, str]]]:
    """Share of the watches that would have to move, common top items, and figures of both with their form."""
    halves = older, newer
    n_items, n_users = len(history.items) + 1, len(history.users) + 1
    items = [np.bincount(history.item_num[half], minlength=n_items) for half in halves]
    users = [np.bincount(history.user_num[half], minlength=n_users) for half in halves]
    shares = [counts / counts.sum() for counts in items]
    top = [np.argsort(-counts, kind="stable")[: min(Drift.TOP, int((counts > 0).sum()))] for counts in items]

    def pair(values: list[float], form: str) -> tuple[float, float, str]:
        return values[0], values[1], form

    measures = {
        "watches": pair([float(len(half)) for half in halves], "count"),
        "users": pair([float((counts > 0).sum()) for counts in users], "count"),
        "watches of a user": pair([float(counts[counts > 0].mean()) for counts in users], "number"),
        "items": pair([float((counts > 0).sum()) for counts in items], "count"),
        "share of the watches on the first hundredth of the items": pair(
            [float(np.sort(share)[::-1][: max(1, (n_items - 1) // 100)].sum()) for share in shares], "share"
        ),
    }
    if history.rating is not None:
        rated = [history.rating[half] for half in halves]
        if all(np.isfinite(values).any() for values in rated):
            measures["mean rating"] = pair([float(np.nanmean(values)) for values in rated], "number")
    moved = float(np.abs(shares[0] - shares[1]).sum() / 2)
    return moved, len(np.intersect1d(top[0], top[1])), measures
