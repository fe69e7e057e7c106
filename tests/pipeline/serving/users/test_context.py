"""The time of a context, in its spellings; what is none is refused in words."""

import datetime

import numpy as np
import pyarrow as pa
import pytest

from belfry.dataset.encoding.context import CLOCK, HOUR, ContextColumn
from belfry.dataset.errors import InputError
from belfry.pipeline.serving.users.context import ContextReader

NOON_S = 1_699_963_200  # 2023-11-14 12:00 UTC
READER = ContextReader({HOUR: ContextColumn(CLOCK[HOUR], np.zeros(0, np.int32))}, (HOUR,), "small-0")


@pytest.mark.parametrize(
    "time",
    [
        NOON_S,
        float(NOON_S),
        str(NOON_S),
        "2023-11-14 12:00",
        "2023-11-14T13:00:00+01:00",
        datetime.datetime(2023, 11, 14, 12),
        datetime.datetime(2023, 11, 14, 12, tzinfo=datetime.UTC),
        np.datetime64("2023-11-14T12"),
        np.datetime64("2023-11-14T12:00:00.000000000"),
    ],
    ids=repr,
)
def test_a_time_says_the_hour_in_any_spelling(time: object) -> None:
    (number,) = READER.one({"timestamp_s": time})[HOUR]
    assert CLOCK[HOUR][number - 1] == "12"


@pytest.mark.parametrize("time", [1e30, "1e30", -1e30, np.inf, -1, NOON_S * 1000, 7_258_118_400, "1969-12-31"])
def test_a_time_outside_of_any_calendar_is_refused(time: object) -> None:
    with pytest.raises(InputError, match=r"'timestamp_s' has 1 times before 1970 or after the year 2199; give seconds"):
        READER.one({"timestamp_s": time})


def test_of_a_table_those_times_are_counted() -> None:
    table = pa.table({"timestamp_s": [NOON_S, -1, NOON_S * 1000]})
    with pytest.raises(InputError, match="has 2 times before 1970 or after the year 2199"):
        READER.of_table(table, pa.array([1, 2, 3]), None)
