"""EventWeights: which events are watches, how much each counts, and which only showed an item."""

import logging

import pyarrow as pa
import pytest
from pydantic import TypeAdapter, ValidationError

from belfry.dataset.errors import TableError
from belfry.dataset.event_weights import DEFAULT_EVENT_WEIGHTS, EventWeights, part_events

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
    watches, impressions, _ = part_events(EVENTS)
    assert watches.equals(EVENTS.take([0, 2, 3, 5]).drop_columns("event"))
    assert impressions.equals(EVENTS.take([1, 4]).drop_columns("event"))


def test_without_events_every_row_is_a_watch() -> None:
    table = EVENTS.drop_columns("event")
    watches, impressions, _ = part_events(table)
    assert watches.equals(table)
    assert not len(impressions)


def test_an_event_counts_as_configured() -> None:
    table = EVENTS.set_column(3, "event", [["purchase", "click", "impression", "click", None, "purchase"]])
    watches, impressions, _ = part_events(table, SHOP)
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
    watches, impressions, _ = part_events(table, SHOP)
    assert watches.to_pydict() == {"user_id": [1, 1], "item_id": [1, 2], "weight": [6, 2]}
    assert impressions.to_pydict() == {"user_id": [2], "item_id": [2]}
    assert caplog.messages == ["interactions: 2 rows of weight 0 are left out"]


def test_weights_of_one_are_no_column() -> None:
    table = pa.table({"user_id": [1, 2], "item_id": [1, 2], "weight": pa.array([1, 1], pa.float32())})
    assert part_events(table)[0].column_names == ["user_id", "item_id"]


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
    watches, impressions, _ = part_events(table)
    assert watches["user_id"].to_pylist() == [1, 1, 2, 2]  # equally good rows all stay
    assert watches["rating"].to_pylist() == [4.0, None, None, None]  # user 1 watched again at 6
    assert impressions.to_pydict() == {"user_id": [1], "item_id": [7], "timestamp_s": [5]}
    without_times, _, _ = part_events(table.drop_columns("timestamp_s"))
    assert without_times["rating"].to_pylist() == [4.0, None, None]


def test_an_event_without_a_name_ranks_as_a_watch_that_counts_one() -> None:
    table = pa.table({"user_id": [1] * 3, "item_id": [1] * 3, "event": [None, "click", "purchase"]})
    assert part_events(table, SHOP)[0].to_pydict() == {"user_id": [1], "item_id": [1], "weight": [3]}
    assert part_events(table.slice(0, 2), SHOP)[0].to_pydict() == {"user_id": [1], "item_id": [1]}


def test_unlisted_event_names_count_as_watches_and_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    table = EVENTS.set_column(3, "event", [["play", "shown", "play", "like", None, "watched"]])
    with caplog.at_level(logging.WARNING):
        watches, _, _ = part_events(table)
    assert len(watches) == 5
    assert caplog.messages == [
        "interactions: column 'event' has names that the setting 'event_weights' does not list: 'play' (2 rows), "
        "'like' (1 rows); each row counts as a watch. Listed are 'rated', 'watched', 'shown'"
    ]


def test_impressions_alone_are_refused() -> None:
    with pytest.raises(TableError, match=r"interactions: none of 2 rows is a watch: 2 are events that count 0"):
        part_events(EVENTS.take([1, 4]))
    with pytest.raises(TableError, match="test: none of 2 rows"):
        part_events(EVENTS.take([1, 4]), name="test")


@pytest.mark.parametrize(
    ("event_weights", "message"),
    [
        ([["shown", 0.0], ["watched", 1.0]], "'shown' counts 0 and 'watched' below it 1; put the best first"),
        ([["shown", 1.0], ["Shown ", 0.0]], "each event is named once"),
        ([["", 1.0]], "none is empty"),
        ([["watched", float("inf")]], "finite"),
    ],
)
def test_invalid_event_weights_are_refused(event_weights: object, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(EventWeights).validate_python(event_weights)


def test_the_default_is_a_valid_setting() -> None:
    assert TypeAdapter(EventWeights).validate_python(DEFAULT_EVENT_WEIGHTS) == DEFAULT_EVENT_WEIGHTS


# Dislikes.

THUMBS: EventWeights = (("like", 1.0), ("watched", 1.0), ("shown", 0.0), ("dislike", -1.0), ("hate", -2.0))


def test_events_below_zero_are_dislikes() -> None:
    table = EVENTS.set_column(3, "event", [["like", "Dislike", "hate", None, "shown", "like"]])
    watches, impressions, dislikes = part_events(table, THUMBS)
    assert watches.equals(EVENTS.take([0, 3, 5]).drop_columns("event"))
    assert impressions.equals(EVENTS.take([4]).drop_columns("event"))
    assert dislikes.equals(EVENTS.take([1, 2]).drop_columns("event"))


def test_ratings_below_the_limit_are_dislikes() -> None:
    rated = EVENTS.append_column("rating", pa.array([4, 1, 3.5, 3.6, None, float("nan")], pa.float32()))
    watches, impressions, dislikes = part_events(rated, liked_from=3.6)
    assert watches["rating"].to_pylist()[:2] == [4, pytest.approx(3.6)]
    assert watches["user_id"].to_pylist() == ["a", "b", "c"]
    assert impressions["item_id"].to_pylist() == [2, 2]  # what was only shown stays an impression, whatever its rating
    assert dislikes.to_pydict() == {"user_id": ["b"], "item_id": [1], "timestamp_s": [30]}
    assert len(part_events(rated).dislikes) == 0


def test_a_dislike_takes_back_a_watch_of_its_time() -> None:
    table = pa.table(
        {
            "user_id": [1, 1, 1, 2],
            "item_id": [7, 7, 7, 7],
            "timestamp_s": [5, 5, 6, 5],
            "event": ["watched", "dislike", "watched", "watched"],
        }
    )
    watches, _, dislikes = part_events(table, THUMBS)
    assert watches.to_pydict() == {"user_id": [1, 2], "item_id": [7, 7], "timestamp_s": [6, 5]}
    assert dislikes["timestamp_s"].to_pylist() == [5]
    assert part_events(table.drop_columns("timestamp_s"), THUMBS).watches["user_id"].to_pylist() == [2]
    rated = table.set_column(3, "rating", pa.array([None, 1.0, 2.0, 5.0], pa.float32()))
    assert part_events(rated, liked_from=3).watches["user_id"].to_pylist() == [2]


def test_a_weight_of_zero_leaves_a_dislike_out_and_any_other_is_alike() -> None:
    table = pa.table(
        {"user_id": [1, 1, 2], "item_id": [1, 2, 2], "event": ["dislike", "dislike", "like"], "weight": [0.0, 3.0, 1.0]}
    )
    assert part_events(table, THUMBS).dislikes.to_pydict() == {"user_id": [1], "item_id": [2]}


def test_dislikes_alone_are_refused() -> None:
    table = EVENTS.set_column(3, "event", [["dislike"] * 6])
    with pytest.raises(TableError, match=r"none of 6 rows is a watch: 0 are events that count 0 .*, 6 are dislikes"):
        part_events(table, THUMBS)
    rated = EVENTS.drop_columns("event").append_column("rating", pa.array([1.0] * 6))
    with pytest.raises(TableError, match=r"6 are dislikes \(events below 0, ratings below 'data.liked_from'\)"):
        part_events(rated, liked_from=2)
