"""Date-times out of text and out of digits, by one rule for every kind of file."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

# ISO 8601 as databases and pandas write it: 2021-01-03, 2021-01-03 12:02, 2021-01-03T12:02:53.277Z, ... +02:00, ... UTC
DATE_TIME = (
    r"^\s*(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)"
    r"(?:[T ](?P<hour>\d\d)(?::?(?P<minute>\d\d)(?::?(?P<second>\d\d)(?:[.,]\d{1,9})?)?)?"
    r"\s?(?:Z|z|UTC|GMT|(?P<sign>[-+])(?P<zone_hour>\d\d)(?::?(?P<zone_minute>\d\d))?)?)?\s*$"
)
_PARTS = ("year", "month", "day", "hour", "minute", "second", "zone_hour", "zone_minute")
_MIDNIGHT = 10**6  # hhmmss of the digits yyyymmddhhmmss

Numbers = npt.NDArray[np.int64]


def seconds_of_text(text: pa.Array) -> pa.Array:
    """[n] int64 UTC seconds; null where it is no date-time of the calendar.

    Without a zone it is UTC, a date is its midnight, fractions of a second are cut off.
    """
    parts = pc.extract_regex(text, DATE_TIME)
    is_read = np.asarray(pc.is_valid(parts))
    values = {name: _as_numbers(parts.field(name), is_read) for name in _PARTS}
    year, month, day, hour, minute, second, zone_hour, zone_minute = values.values()
    seconds, is_real = _seconds(year, month, day, hour, minute, second)
    zone_s = zone_hour * 3600 + zone_minute * 60
    is_east = np.asarray(pc.fill_null(pc.equal(parts.field("sign"), "+"), False))
    seconds -= np.where(is_east, zone_s, -zone_s)
    return pa.array(seconds, mask=~(is_read & is_real & (zone_hour < 24) & (zone_minute < 60)))


def seconds_of_digits(digits: Numbers) -> Numbers | None:
    """[n] UTC seconds of numbers like 20210103, 202101031202 or 20210103120253; None unless all of them are such."""
    for factor in (1, 100, _MIDNIGHT):
        if (digits >= 19 * 10**12 // factor).all() and (digits < 22 * 10**12 // factor).all():
            whole = digits * factor
            date, time = whole // _MIDNIGHT, whole % _MIDNIGHT
            seconds, is_real = _seconds(
                date // 10_000, date // 100 % 100, date % 100, time // 10_000, time // 100 % 100, time % 100
            )
            return seconds if is_real.all() else None
    return None


def _as_numbers(part: pa.Array, is_read: npt.NDArray[np.bool_]) -> Numbers:
    """A part that is left out, or of a text that is not read, as 0."""
    there = pc.and_(pa.array(is_read), pc.not_equal(part, ""))
    return np.asarray(pc.if_else(pc.fill_null(there, False), part, "0").cast(pa.int64()))


def _seconds(
    year: Numbers, month: Numbers, day: Numbers, hour: Numbers, minute: Numbers, second: Numbers
) -> tuple[Numbers, npt.NDArray[np.bool_]]:
    """[n] seconds since 1970, and whether the calendar has such a time (a leap second counts as the next one)."""
    first = ((year - 1970) * 12 + np.clip(month, 1, 12) - 1).astype("M8[M]")
    first_day = first.astype("M8[D]").astype(np.int64)
    n_days = (first + 1).astype("M8[D]").astype(np.int64) - first_day
    is_real = (month >= 1) & (month <= 12) & (day >= 1) & (day <= n_days)
    is_real &= (hour < 24) & (minute < 60) & (second <= 60)
    return ((first_day + day - 1) * 24 + hour) * 3600 + minute * 60 + second, is_real
