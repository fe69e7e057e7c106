"""Context columns: their values, their numbers, and what becomes of them when events are selected."""

import numpy as np
import pyarrow as pa
import pytest

from belfry.dataset.encoding.context import CLOCK, MAX_VALUES, ContextColumn, clock_number, learn_context, read_context
from belfry.dataset.errors import TableError
from belfry.dataset.interactions import Interactions
from belfry.dataset.prepare import Data, prepare
from belfry.dataset.tables import Tables
from belfry.dataset.validation.check import check, examine
from belfry.dataset.validation.policy import Policy

EVENTS = pa.table(
    {
        "user_id": [1, 1, 2, 2, 3],
        "item_id": [10, 11, 10, 12, 11],
        "timestamp_s": [0, 3_600, 86_400, 1_700_000_000, 1_700_003_600],
        "device": ["tv", " phone ", None, "", "tv"],
        "watched_on": [True, False, True, None, True],
        "event": ["watched", "shown", "watched", "watched", "watched"],
    }
)


def data_of(*names: str) -> Data:
    return prepare(check(Tables(EVENTS), Policy(context_columns=names))[0])


def numbers_of(history: Interactions) -> dict[str, list[int]]:
    return {name: column.numbers.tolist() for name, column in history.context.items()}


def test_a_value_gets_a_number_by_the_alphabet_and_what_is_blank_is_absent() -> None:
    history = data_of("device", "watched_on").interactions
    assert {name: column.values for name, column in history.context.items()} == {
        "device": ("tv",),  # nobody watched on a phone: that event only showed an item
        "watched_on": ("true",),
    }
    assert numbers_of(history) == {"device": [1, 0, 0, 1], "watched_on": [1, 1, 0, 1]}
    assert numbers_of(history.select(np.array([3, 1]))) == {"device": [1, 0], "watched_on": [1, 1]}
    assert history.to_table()["device"].to_pylist() == ["tv", None, None, "tv"]


def test_hour_and_weekday_are_those_of_the_time_in_utc() -> None:
    history = data_of("hour", "weekday").interactions
    hours, weekdays = (history.context[name].to_arrow().to_pylist() for name in ("hour", "weekday"))
    assert hours == ["0", "0", "22", "23"]  # 1,700,000,000 is the 14th of November 2023, 22:13:20
    assert weekdays == ["thursday", "friday", "tuesday", "tuesday"]
    assert CLOCK["weekday"][clock_number("weekday", np.array([1_600_000_000]))[0] - 1] == "sunday"
    assert history.to_table().column_names == ["user_id", "item_id", "timestamp_s"]  # made of times, not kept beside


def test_without_context_columns_there_are_none_and_the_hash_of_the_data_is_as_before() -> None:
    plain, within = data_of(), data_of("device")
    assert not plain.interactions.context
    assert plain.content_hash == prepare(check(Tables(EVENTS.drop_columns(["device", "watched_on"])))[0]).content_hash
    assert within.content_hash != plain.content_hash


def test_of_many_values_the_most_frequent_count_and_that_is_told() -> None:
    values = [str(number) for number in range(MAX_VALUES + 2) for _ in range(1 if number < 2 else 2)]
    told: list[str] = []
    column = learn_context(pa.table({"place": values}), ["place"], told.append)["place"]
    assert len(column.values) == MAX_VALUES
    assert column.numbers[:2].tolist() == [0, 0]
    assert told == [
        "interactions: context 'place' has 102 values; the 100 most frequent count, in 2 rows it is taken for absent"
    ]


def test_later_events_are_read_by_the_values_that_are_known() -> None:
    found = read_context(pa.table({"device": ["car", "tv"]}), {"device": ("phone", "tv"), "place": ("home",)})
    assert {name: column.numbers.tolist() for name, column in found.items()} == {"device": [0, 2], "place": [0, 0]}
    longer = ContextColumn(("tv",), np.array([1], np.int32)).followed_by(np.array([0, 1], np.int32))
    assert longer.numbers.tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("events", "names", "message"),
    [
        (EVENTS, ["devise"], r"column 'devise' is missing; there are 'user_id'"),
        (EVENTS.drop_columns(["timestamp_s"]), ["hour"], r"column 'hour' .* made of 'timestamp_s', which is missing"),
        (EVENTS.rename_columns({"device": "hour"}), ["hour"], r"call a column of your own otherwise, such as 'local_h"),
        (
            EVENTS.set_column(3, "device", pa.array([["tv"]] * 5)),
            ["device"],
            r"'device' is list<.*single values",
        ),
    ],
)
def test_what_cannot_be_read_is_refused(events: pa.Table, names: list[str], message: str) -> None:
    with pytest.raises(TableError, match=message):
        check(Tables(events), Policy(context_columns=tuple(names)))


def test_columns_that_are_not_declared_are_left_out_as_before() -> None:
    _, report = examine(Tables(EVENTS), Policy(context_columns=("device",)))
    assert any("left out 1 columns that are not used: 'watched_on'" in line for line in report.lines())


@pytest.mark.parametrize("names", [("rating",), ("user_id",), ("device", "device"), ("",)])
def test_a_column_that_means_something_else_is_no_context(names: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"each column once, and none of user_id"):
        Policy(context_columns=names)
