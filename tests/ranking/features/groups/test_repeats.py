"""Repeats: how often and when the user had a candidate, by hand and against a plain loop."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from belfry.dataset.candidates import Candidates, take_top_k
from belfry.dataset.features import FeatureTables
from belfry.dataset.interactions import Interactions
from belfry.ranking.features.config import PairFeaturesConfig
from belfry.ranking.features.groups.times import DAY_S
from tests.ranking.features.world import NOTHING, START_S, matrix_of

CONFIG = PairFeaturesConfig(repeats=True)


def features_of(items: list[int], days: list[int]) -> FeatureTables:
    """One user with these events, oldest first."""
    times = [START_S + day * DAY_S for day in days]
    table = pa.table({"user_id": [1] * len(items), "item_id": items, "timestamp_s": times})
    return FeatureTables(Interactions.from_table(table), NOTHING, NOTHING)


def all_items(features: FeatureTables) -> Candidates:
    """In the order of their numbers, for the one user."""
    items = features.history.items.all_numbers[1:]
    users, scores = np.ones(1, np.int32), -items.astype(np.float32)
    return take_top_k(users, np.zeros(len(items), np.int64), items, scores, top_k=99, origin="test")


def test_left_out_where_lists_hold_no_seen_item(world: FeatureTables, asked: Candidates) -> None:
    assert not [name for name in matrix_of(world, asked, PairFeaturesConfig()) if "repeat" in name]


def test_by_hand() -> None:
    """Item 1 three times, 2 twice in a row, 3 once and last; the newest event is on day 20."""
    features = features_of([1, 2, 2, 1, 1, 3], [0, 1, 2, 4, 10, 20])
    columns = matrix_of(features, all_items(features), CONFIG)
    assert columns["repeat_seen"].tolist() == [1, 1, 1]
    expected = {
        "repeat_times": np.log1p([3, 2, 1]),
        "repeat_share": np.array([3, 2, 1]) / 6,
        "repeat_steps": np.log1p([1, 3, 0]),
        "repeat_gap": [np.log1p(4 / 2), np.log1p(1), 0],
        "repeat_due": [np.log1p(1) - np.log1p(2), np.log1p(3) - np.log1p(1), 0],
        "repeat_activation": np.log1p([6**-0.5 + 3**-0.5 + 2**-0.5, 5**-0.5 + 4**-0.5, 1]),
        "repeat_days": np.log1p([10, 18, 0]),
        "repeat_gap_days": [np.log1p(5), np.log1p(1), 0],
        "repeat_due_days": [np.log1p(10) - np.log1p(5), np.log1p(18) - np.log1p(1), 0],
    }
    for name, values in expected.items():
        np.testing.assert_allclose(columns[name], values, rtol=1e-6, err_msg=name)


def test_an_order_that_times_contradict() -> None:
    """Rows say what came first; a time that runs back is no time at all."""
    features = features_of([1, 2, 1, 2], [9, 4, 6, 5])
    history = replace(features.history, rows_in_order=True)
    columns = matrix_of(replace(features, history=history), all_items(features), CONFIG)
    np.testing.assert_allclose(columns["repeat_steps"], np.log1p([1, 0]), rtol=1e-6)
    np.testing.assert_allclose(columns["repeat_gap_days"], [0, np.log1p(1)], rtol=1e-6)
    assert all(np.isfinite(values).all() for name, values in columns.items() if name.startswith("repeat_"))


@pytest.mark.parametrize("timed", [True, False])
def test_items_never_had(timed: bool) -> None:
    """As if last seen before all events; the second user has none at all."""
    table = {"user_id": [1, 1, 2], "item_id": [1, 2, 3]}
    if timed:
        table["timestamp_s"] = [START_S, START_S + 8 * DAY_S, START_S]
    both = Interactions.from_table(pa.table(table))
    features = FeatureTables(both.select(both.user_num == 1), NOTHING, NOTHING)
    users, items = np.array([1, 2], np.int32), np.array([1, 2, 3] * 2, np.int32)
    rows, scores = np.repeat([0, 1], 3), np.array([3, 2, 1] * 2, np.float32)
    columns = matrix_of(features, take_top_k(users, rows, items, scores, top_k=9, origin="test"), CONFIG)
    assert columns["repeat_seen"].tolist() == [1, 1, 0, 0, 0, 0]
    np.testing.assert_allclose(columns["repeat_steps"], np.log1p([1, 0, 2, 0, 0, 0]), rtol=1e-6)
    assert ("repeat_days" in columns) == timed
    if timed:
        np.testing.assert_allclose(columns["repeat_days"], np.log1p([8, 0, 8, 0, 0, 0]), rtol=1e-6)
    for name in ("times", "share", "gap", "due", "activation"):
        assert (columns[f"repeat_{name}"][2:] == 0).all()
