"""Times: what unit they are in, which of them cannot be, and which lie far from all others."""

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from belfry.dataset import columns
from belfry.dataset.arrays import Times
from belfry.dataset.validation import coercion, date_times
from belfry.dataset.validation.cleaning import Action, Cleaning, where
from belfry.dataset.validation.policy import Policy

YEAR_1990_S, YEAR_2100_S, YEAR_2200_S = 631_152_000, 4_102_444_800, 7_258_118_400
YEAR_S = 365 * 86_400
# How many of a unit are a second. Times of one unit, between 1990 and 2100, are of no other.
_UNITS = {"milliseconds": 1_000, "microseconds": 1_000_000, "nanoseconds": 1_000_000_000}
_FAR_SHARE = 0.05  # of the events
_MIN_EVENTS = 20  # below, nothing is far from the rest
_FAR_SPAN = 0.5  # of the time span of the others


def read_times(cleaning: Cleaning, policy: Policy) -> None:
    """Take `timestamp_s` over, where it is there, as int64 seconds since 1970 in UTC."""
    name = columns.TIMESTAMP_S
    if not cleaning.read_optional(name, coercion.as_seconds, null_words=policy.null_words):
        return
    if len(cleaning.table) and cleaning.columns[name].null_count == len(cleaning.table):
        del cleaning.columns[name]
        cleaning.note("no_times", "has no value in any row; left out, and there are no times", name)
        return
    if not pa.types.is_temporal(coercion.decoded(cleaning.table[name]).type):
        _read_unit(cleaning)
    seconds = cleaning.columns[name]
    action = policy.bad_time
    cleaning.report("bad_time", name, where(pc.is_null(seconds)), "has {count} nulls", action, "drop or fill them")
    early = where(pc.less(seconds, 0))
    cleaning.report("bad_time", name, early, "has {count} times before 1970", action, "drop or mend them")
    late = where(pc.greater_equal(seconds, YEAR_2200_S))
    remedy = "mend them; where some are milliseconds and some are seconds, divide the former by 1000"
    cleaning.report("bad_time", name, late, "has {count} times after the year 2199", action, remedy)


def note_1970(cleaning: Cleaning) -> None:
    """Say so where all events are told to have happened in 1970."""
    times = cleaning.columns.get(columns.TIMESTAMP_S)
    if times is None or not cleaning.kept.any():
        return
    kept = cleaning.of_kept(times.to_numpy())
    if kept.min() >= 0 and kept.max() < YEAR_S:
        text = (
            f"says that everything happened in 1970 ({kept.min()} to {kept.max()} seconds after its start): are they "
            "months, days or hours? Half-lives in days mean nothing then; hand in seconds since 1970 in UTC (hours "
            "times 3,600, days times 86,400), or date-times (pandas.to_datetime)"
        )
        cleaning.note("year_1970", text, columns.TIMESTAMP_S)


def mend_far_times(cleaning: Cleaning, action: Action) -> None:
    """Find the few times that lie far before or after all others, and do with them what `data.far_time` says.

    So nothing that counts back from the newest event counts from a wrong clock. Moved to the middle they keep their
    order, one second after another.
    """
    times = cleaning.columns.get(columns.TIMESTAMP_S)
    if times is None:
        return
    seconds = np.asarray(pc.fill_null(times, -1) if times.null_count else times)
    is_read = cleaning.kept & (seconds >= 0) & (seconds < YEAR_2200_S)
    low_s, high_s = range_of_most(seconds if is_read.all() else seconds[is_read])
    is_early, is_late = is_read & (seconds < low_s), is_read & (seconds > high_s)
    for is_far, side, edge_s in ((is_early, "before", low_s), (is_late, "after", high_s)):
        if not is_far.any():
            continue
        nearest_s = int(seconds[is_far].max() if side == "before" else seconds[is_far].min())
        years = abs(nearest_s - edge_s) / YEAR_S
        found = f"has {{count}} times {years:.1f} years or more {side} all others ({_day(nearest_s)} is the nearest; "
        found += f"the others go from {_day(low_s)} to {_day(high_s)})"
        cleaning.report("far_time", columns.TIMESTAMP_S, is_far, found, action, "mend them")
    is_far = is_early | is_late
    if action == "middle" and is_far.any():
        seconds = seconds.copy()
        rank = np.unique(seconds[is_far], return_inverse=True)[1]
        seconds[is_far] = int(np.median(seconds[is_read & ~is_far])) + rank
        cleaning.columns[columns.TIMESTAMP_S] = pa.chunked_array([pa.array(seconds, mask=where(pc.is_null(times)))])


def range_of_most(times: Times) -> tuple[int, int]:
    """The first and the last time that is not far from the rest; of no times, and of few, all are near.

    At most 5% of the times are far on either side: those beyond the first gap that is longer than a year, and than
    half of the span of the times that are not among these 5%.
    """
    if not len(times):
        return 0, 0
    low_s, high_s = int(times.min()), int(times.max())
    if len(times) < _MIN_EVENTS or high_s - low_s <= YEAR_S:
        return low_s, high_s
    times = np.sort(times)
    n_far = max(1, int(len(times) * _FAR_SHARE))
    limit_s = max(YEAR_S, _FAR_SPAN * (times[-1 - n_far] - times[n_far]))
    wide_after = np.flatnonzero(np.diff(times[-1 - n_far :]) > limit_s)
    wide_before = np.flatnonzero(np.diff(times[: n_far + 1]) > limit_s)
    last = len(times) - 1 - n_far + int(wide_after[0]) if len(wide_after) else len(times) - 1
    first = int(wide_before[-1]) + 1 if len(wide_before) else 0
    return int(times[first]), int(times[last])


def _read_unit(cleaning: Cleaning) -> None:
    """Numbers that are no seconds, but times of another unit between 1990 and 2100: each as what it is."""
    name = columns.TIMESTAMP_S
    numbers = cleaning.columns[name]
    low, high = (limit.as_py() for limit in pc.min_max(numbers).values())
    if low is None:
        return
    what, seconds = "", None
    for unit, n_per_second in _UNITS.items():
        if YEAR_1990_S * n_per_second <= low and high < YEAR_2100_S * n_per_second:
            what, seconds = unit, pc.divide(numbers, n_per_second)
    if seconds is None:
        is_there = where(pc.is_valid(numbers))
        values = np.asarray(pc.fill_null(numbers, low), np.int64)
        read = date_times.seconds_of_digits(values)
        if read is not None and read.min() >= YEAR_1990_S and read.max() < YEAR_2100_S:
            what, seconds = "dates written as digits", pa.chunked_array([pa.array(read, mask=~is_there)])
    if seconds is None:
        return
    cleaning.columns[name] = seconds
    first, last = (_day(limit.as_py()) for limit in pc.min_max(seconds).values())
    text = f"holds {what} ({low} to {high}), no seconds; read as such: {first} to {last} in UTC"
    cleaning.note("unit", text, name)


def _day(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")
