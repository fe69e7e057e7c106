"""Run files: the tables of a run come back as they were."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from belfry.dataset.prepare import prepare
from belfry.dataset.tables import Tables
from belfry.dataset.validation.check import check
from belfry.dataset.validation.policy import Policy
from belfry.pipeline.runs.data.tables import load_tables, save_tables

EVENTS = pa.table(
    {
        "user_id": [1, 1, 2, 3],
        "item_id": ["a", "b", "a", "b"],
        "timestamp_s": [1, 2, 3, 4],
        "event": ["rated", "shown", "watched", "watched"],
        "rating": pa.array([4, None, None, None], pa.float32()),
    }
)
USERS = pa.table({"user_id": [1, 2, 3], "age": [20, 30, 40], "n_visits": [7, 8, 9]})


def test_weights_and_usage_columns_come_back(tmp_path: Path) -> None:
    tables = Tables(EVENTS, users=USERS, usage_columns=("n_visits",))
    data = prepare(tables, (("rated", 2.0), ("watched", 1.0), ("shown", 0.0)))
    features = data.features(data.interactions)
    save_tables(features, data.titles, tmp_path)
    again, titles = load_tables(tmp_path)
    assert again.history.to_table().equals(features.history.to_table())
    assert again.history.weight is not None
    assert again.history.weight.tolist() == [2, 1, 1]
    assert again.users.usage == {"n_visits", "n_visits_bucket"}
    numbers = np.arange(4, dtype=np.int32)
    for name, values in features.users.inputs(numbers).items():
        assert (again.users.inputs(numbers)[name] == values).all()
    assert titles.to_pylist() == [None, None]


@pytest.mark.parametrize("order", [None, "rows", "timestamp_s"])
def test_the_order_comes_back(tmp_path: Path, order: str | None) -> None:
    tables = Tables(EVENTS.select(["user_id", "item_id", "timestamp_s"] if order else ["user_id", "item_id"]))
    data = prepare(check(tables, Policy(order=order))[0])
    save_tables(data.features(data.interactions), data.titles, tmp_path)
    history = load_tables(tmp_path)[0].history
    assert history.is_ordered == (order is not None)
    assert history.timestamp_s is None
    assert history.by_user.order.tolist() == data.interactions.by_user.order.tolist()


def test_without_weights_there_are_none(tmp_path: Path) -> None:
    data = prepare(Tables(EVENTS))
    save_tables(data.features(data.interactions), data.titles, tmp_path)
    assert load_tables(tmp_path)[0].history.weight is None


def test_impressions_come_back(tmp_path: Path) -> None:
    twice = pa.concat_tables([EVENTS, EVENTS.slice(1, 1).set_column(2, "timestamp_s", pa.array([9]))])
    data = prepare(Tables(twice))
    save_tables(data.features(data.interactions), data.titles, tmp_path)
    history = load_tables(tmp_path)[0].history
    assert history.impressions is not None
    assert history.impressions.to_table(history.users, history.items).to_pydict() == {
        "user_id": [1, 1],
        "item_id": ["b", "b"],
        "timestamp_s": [2, 9],
    }


def test_dislikes_come_back(tmp_path: Path) -> None:
    data = prepare(Tables(EVENTS), (("rated", 1.0), ("shown", 0.0), ("watched", -1.0)))
    save_tables(data.features(data.interactions), data.titles, tmp_path)
    history = load_tables(tmp_path)[0].history
    assert history.dislikes is not None
    assert history.dislikes.to_table(history.users, history.items).to_pydict() == {
        "user_id": [2, 3],
        "item_id": ["a", "b"],
    }


def test_events_are_kept_by_user_and_in_order(tmp_path: Path) -> None:
    events = pa.table({"user_id": [2, 1, 2, 1], "item_id": ["a", "b", "b", "a"], "timestamp_s": [9, 7, 8, 7]})
    data = prepare(Tables(events))
    save_tables(data.features(data.interactions), data.titles, tmp_path)
    history = load_tables(tmp_path)[0].history
    assert history.to_table()["user_id"].to_pylist() == [1, 1, 2, 2]
    assert history.to_table()["item_id"].to_pylist() == ["b", "a", "b", "a"]  # equal times as they stood
    assert history.by_user.order.tolist() == [0, 1, 2, 3]
