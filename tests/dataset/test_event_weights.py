"""EventWeights: which events are watches, how much each counts, and which only showed an item."""

import logging

import pyarrow as pa
import pytest
from pydantic import TypeAdapter, ValidationError

from belfry.dataset.errors import TableError
from belfry.dataset.event_weights import DEFAULT_EVENT_WEIGHTS, EventWeights, watches_and_impressions

EVENTS = pa.table(
    {
        "user_id": ["a", "a", "b", "b", "c", "c"],
        "item_id": [1, 2, 1, 3, 2, 3],
        "timestamp_s": [10, 20, 30, 40, 50, 60],
        "event": ["watched", "shown", None, "Rated", " shown ", "watched"],
    }
)
SHOP: EventWeights = (("purchase", 3.0), ("click", 0.5), ("impression", 0.0))


def test_impressions_are_no_watches() -> None:
    watches, impressions = watches_and_impressions(EVENTS)
    assert watches.equals(EVENTS.take([0, 2, 3, 5]).drop_columns("event"))
    assert impressions.equals(EVENTS.take([1, 4]).drop_columns("event"))


def test_without_events_every_row_is_a_watch() -> None:
    table = EVENTS.drop_columns("event")
    watches, impressions = watches_and_impressions(table)
    assert watches.equals(table)
    assert not len(impressions)


def test_an_event_counts_as_configured() -> None:
    table = EVENTS.set_column(3, "event", [["purchase", "click", "impression", "click", None, "purchase"]])
    watches, impressions = watches_and_impressions(table, SHOP)
    assert watches["weight"].to_pylist() == [3, 0.5, 0.5, 1, 3]
    assert impressions["user_id"].to_pylist() == ["b"]


def test_the_weight_column_multiplies_and_zero_leaves_out(caplog: pytest.LogCaptureFixture) -> None:
    table = pa.table(
        {
            "user_id": [1, 1, 2, 2, 3],
            "item_id": [1, 2, 1, 2, 1],
            "event": ["purchase", "click", "click", "impression", "impression"],
            "weight": pa.array([2, 4, 0, 5, 0], pa.float32()),
        }
    )
    watches, impressions = watches_and_impressions(table, SHOP)
    assert watches.to_pydict() == {"user_id": [1, 1], "item_id": [1, 2], "weight": [6, 2]}
    assert impressions.to_pydict() == {"user_id": [2], "item_id": [2]}
    assert caplog.messages == ["interactions: 2 rows of weight 0 are left out"]


def test_weights_of_one_are_no_column() -> None:
    table = pa.table({"user_id": [1, 2], "item_id": [1, 2], "weight": pa.array([1, 1], pa.float32())})
    assert watches_and_impressions(table)[0].column_names == ["user_id", "item_id"]


def test_the_best_event_of_a_pair_at_one_time_counts() -> None:
    table = pa.table(
        {
            "user_id": [1, 1, 1, 1, 2, 2],
            "item_id": [7, 7, 7, 7, 7, 7],
            "timestamp_s": [5, 5, 6, 5, 5, 5],
            "event": ["watched", "rated", "watched", "shown", "watched", "watched"],
            "rating": [None, 4.0, None, None, None, None],
        }
    )
    watches, impressions = watches_and_impressions(table)
    assert watches["user_id"].to_pylist() == [1, 1, 2, 2]  # equally good rows all stay
    assert watches["rating"].to_pylist() == [4.0, None, None, None]  # user 1 watched again at 6
    assert impressions.to_pydict() == {"user_id": [1], "item_id": [7], "timestamp_s": [5]}
    without_times, _ = watches_and_impressions(table.drop_columns("timestamp_s"))
    assert without_times["rating"].to_pylist() == [4.0, None, None]


def test_an_event_without_a_name_ranks_as_a_watch_that_counts_one() -> None:
    table = pa.table({"user_id": [1] * 3, "item_id": [1] * 3, "event": [None, "click", "purchase"]})
    assert watches_and_impressions(table, SHOP)[0].to_pydict() == {"user_id": [1], "item_id": [1], "weight": [3]}
    assert watches_and_impressions(table.slice(0, 2), SHOP)[0].to_pydict() == {"user_id": [1], "item_id": [1]}


def test_unlisted_event_names_count_as_watches_and_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    table = EVENTS.set_column(3, "event", [["play", "shown", "play", "like", None, "watched"]])
    with caplog.at_level(logging.WARNING):
        watches, _ = watches_and_impressions(table)
    assert len(watches) == 5
    assert caplog.messages == [
        "interactions: column 'event' has names that the setting 'event_weights' does not list: 'play' (2 rows), "
        "'like' (1 rows); each row counts as a watch. Listed are 'rated', 'watched', 'shown'"
    ]


def test_impressions_alone_are_refused() -> None:
    with pytest.raises(TableError, match=r"interactions: none of 2 rows is a watch: 2 are events that count 0"):
        watches_and_impressions(EVENTS.take([1, 4]))
    with pytest.raises(TableError, match="test: none of 2 rows"):
        watches_and_impressions(EVENTS.take([1, 4]), name="test")


@pytest.mark.parametrize(
    ("event_weights", "message"),
    [
        ([["shown", 0.0], ["watched", 1.0]], "'shown' counts 0 and 'watched' below it 1; put the best first"),
        ([["shown", 1.0], ["Shown ", 0.0]], "each event is named once"),
        ([["", 1.0]], "none is empty"),
        ([["watched", -1.0]], "greater than or equal to 0"),
        ([["watched", float("inf")]], "finite"),
    ],
)
def test_invalid_event_weights_are_refused(event_weights: object, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(EventWeights).validate_python(event_weights)


def test_the_default_is_a_valid_setting() -> None:
    assert TypeAdapter(EventWeights).validate_python(DEFAULT_EVENT_WEIGHTS) == DEFAULT_EVENT_WEIGHTS
