"""Data: checked tables as numbers, features and titles."""

import numpy as np
import pyarrow as pa

from belfry.dataset.prepare import prepare
from belfry.dataset.tables import Tables

WATCHES = pa.table({"user_id": ["b", "a", "b"], "item_id": [30, 10, 10], "timestamp_s": [5, 6, 7]})


def test_ids_alone() -> None:
    data = prepare(Tables(WATCHES))
    assert data.interactions.users.ids.to_pylist() == ["a", "b"]
    assert data.interactions.items.ids.to_pylist() == [10, 30]
    assert data.interactions.user_num.tolist() == [2, 1, 2]
    assert data.interactions.item_num.tolist() == [2, 1, 1]
    assert data.titles.to_pylist() == [None, None]
    assert not data.users.to_arrays()
    assert not data.items.to_arrays()


def test_the_catalogue_holds_unwatched_and_unlisted_items() -> None:
    items = pa.table({"item_id": [20, 10], "title": ["Twenty", "Ten"]})
    users = pa.table({"user_id": ["c", "a"]})
    data = prepare(Tables(WATCHES, items, users))
    assert data.interactions.items.ids.to_pylist() == [10, 20, 30]
    assert data.interactions.users.ids.to_pylist() == ["a", "b", "c"]
    assert data.titles.to_pylist() == ["Ten", "Twenty", None]


def test_missing_titles() -> None:
    data = prepare(Tables(WATCHES, pa.table({"item_id": [30, 10], "title": [None, "=Ten"]})))
    assert data.titles.to_pylist() == ["=Ten", None]
    assert prepare(Tables(WATCHES, pa.table({"item_id": [30, 10]}))).titles.to_pylist() == [None, None]


def test_features_stand_beside_any_history() -> None:
    items = pa.table({"item_id": range(1, 13), "genre": ["x", "y"] * 6, "year": np.arange(12.0)})
    users = pa.table({"user_id": ["a", "b"], "age": [20, 40]})
    watches = pa.table({"user_id": ["a", "b", "b"], "item_id": [1, 2, 3]})
    data = prepare(Tables(watches, items, users))
    part = data.interactions.select(np.array([0]))
    features = data.features(part)
    assert features.history is part
    assert features.items.categorical["genre"].shape == (13,)
    assert features.users.numeric["age"].tolist() == [0, -1, 1]
    assert features.users is data.users
    assert features.items is data.items


def test_titles_are_words_where_declared() -> None:
    items = pa.table({"item_id": [1, 2, 3, 4], "title": ["Red tide", "Blue tide", "Tide (2001)", "Sand"]})
    watches = pa.table({"user_id": [1], "item_id": [1]})
    assert not prepare(Tables(watches, items)).items.to_arrays()
    data = prepare(Tables(watches, items, text_columns=("title",)))
    assert (data.items.multi_valued["title"] > 0).sum(axis=1).tolist() == [0, 1, 1, 1, 0]  # "tide", of three rows
    assert data.titles.to_pylist()[0] == "Red tide"


EVENTS = pa.table(
    {
        "user_id": ["a", "a", "b", "c", "c"],
        "item_id": [1, 2, 1, 1, 3],
        "timestamp_s": [1, 2, 3, 4, 5],
        "event": ["watched", "shown", "rated", "shown", "shown"],
    }
)


def test_an_impression_alone_puts_an_item_into_the_catalogue_and_is_no_watch() -> None:
    interactions = prepare(Tables(EVENTS)).interactions
    assert interactions.items.ids.to_pylist() == [1, 2, 3]
    assert interactions.users.ids.to_pylist() == ["a", "b", "c"]
    assert interactions.to_table().to_pydict() == {"user_id": ["a", "b"], "item_id": [1, 1], "timestamp_s": [1, 3]}
    assert [interactions.seen_items.of(user_num).tolist() for user_num in (1, 2, 3)] == [[1], [1], []]
    assert interactions.impressions is not None
    assert [interactions.impressions.of(user_num).tolist() for user_num in (1, 2, 3)] == [[2], [], [1, 3]]


def test_event_weights_as_configured() -> None:
    interactions = prepare(Tables(EVENTS), (("rated", 2.0), ("watched", 1.0), ("shown", 0.5))).interactions
    assert interactions.weight is not None
    assert interactions.weight.tolist() == [1, 0.5, 2, 0.5, 0.5]
    assert interactions.impressions is None


def test_usage_features_are_missing_without_events() -> None:
    users = pa.table({"user_id": ["a", "b", "c"], "age": [20, 30, 40], "n_visits": [1, 2, 3]})
    items = pa.table({"item_id": [1, 2, 3], "year": [1, 2, 4], "n_plays": [30, 20, 10]})
    data = prepare(Tables(EVENTS, items, users, usage_columns=("n_visits", "n_plays")))
    features = data.features(data.interactions)
    assert (features.users.numeric["n_visits"] != 0).tolist() == [False, True, False, False]  # b stands at the mean
    assert features.users.categorical["n_visits_bucket"].tolist()[2:] == [
        data.users.categorical["n_visits_bucket"][2],
        0,
    ]
    assert (features.items.categorical["n_plays_bucket"] > 0).tolist() == [False, True, False, False]
    assert (features.items.categorical["year_bucket"] > 0).tolist() == [False, True, True, True]
    later = data.features(data.interactions.select(np.array([1])))
    assert (later.users.categorical["n_visits_bucket"] > 0).tolist() == [False, False, True, False]
    assert (later.users.categorical["age_bucket"] > 0).tolist() == [False, True, True, True]
