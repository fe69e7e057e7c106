import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from belfry.dataset.history.bags import (
    HistoryBags,
    history_bags,
    history_windows,
    make_bags,
    padded_bags,
    recency_weights,
    uniform_weights,
    windows_between,
)
from belfry.dataset.interactions import Interactions

COUNTS = st.lists(st.integers(0, 12), min_size=1, max_size=6).map(lambda counts: np.array(counts, np.int64))


def split(values: np.ndarray, counts: np.ndarray) -> list[np.ndarray]:
    return np.split(values, np.cumsum(counts)[:-1])


@given(COUNTS, st.floats(0.3, 100))
def test_weights_of_a_history_have_unit_length(counts: np.ndarray, half_life: float) -> None:
    for weights in (uniform_weights(counts), recency_weights(counts, half_life)):
        assert weights.dtype == np.float32
        assert len(weights) == counts.sum()
        lengths = [np.linalg.norm(part) for part in split(weights, counts)]
        np.testing.assert_allclose(lengths, counts > 0, atol=1e-5)


@given(COUNTS, st.floats(0.3, 100))
def test_each_weight_is_the_newer_ones_times_the_decay(counts: np.ndarray, half_life: float) -> None:
    for weights in split(recency_weights(counts, half_life).astype(np.float64), counts):
        np.testing.assert_allclose(weights[:-1], weights[1:] * 0.5 ** (1 / half_life), rtol=1e-5, atol=1e-37)


def test_half_life_halves_the_weight() -> None:
    weights = recency_weights(np.array([7]), 3.0)
    assert weights[-4] == pytest.approx(weights[-1] / 2)
    assert weights[-7] == pytest.approx(weights[-1] / 4)


def test_uniform_weights_are_one_over_the_root_of_the_length() -> None:
    assert uniform_weights(np.array([4, 0, 1])).tolist() == [0.5] * 4 + [1]


def test_a_very_long_history_stays_finite() -> None:
    weights = recency_weights(np.array([100_000, 1]), 5.0)
    assert np.isfinite(weights).all()
    assert weights[-1] == 1


def bags_of(lists: list[list[int]]) -> HistoryBags:
    counts = np.array([len(items) for items in lists], np.int64)
    return make_bags(np.array([item for items in lists for item in items], np.int32), counts, half_life=2.0)


def as_lists(bags: HistoryBags, n: int) -> list[list[int]]:
    return [bags.item_num[bags.row == row].tolist() for row in range(n)]


def test_bags_keep_lists_apart_and_in_order() -> None:
    lists = [[3, 1, 2], [], [5, 5], [4]]
    bags = bags_of(lists)
    assert as_lists(bags, 4) == lists
    assert bags.item_num.dtype == np.int32
    assert (np.diff(bags.row) >= 0).all()


@pytest.mark.parametrize("lists", [[], [[]]])
def test_empty_histories_are_empty_bags(lists: list[list[int]]) -> None:
    bags = bags_of(lists)
    assert len(bags.row) == len(bags.item_num) == len(bags.uniform) == len(bags.recency) == 0


@pytest.fixture
def history() -> Interactions:
    """User 1 watched 4, 2, 3, 1 in this order; user 2 watched 5; user 3 nothing yet."""
    table = pa.table(
        {"user_id": [1, 1, 2, 1, 1, 3], "item_id": [1, 2, 5, 3, 4, 5], "timestamp_s": [40, 20, 5, 30, 10, 99]}
    )
    everything = Interactions.from_table(table)
    return everything.select(everything.user_num < 3)


def test_histories_are_read_oldest_first(history: Interactions) -> None:
    bags = history_bags(history, np.array([2, 1, 3, 1], np.int32), half_life=2.0, max_length=99)
    assert as_lists(bags, 4) == [[5], [4, 2, 3, 1], [], [4, 2, 3, 1]]
    assert bags.recency[bags.row == 1].tolist() == sorted(bags.recency[bags.row == 1])


def test_the_newest_are_kept(history: Interactions) -> None:
    bags = history_bags(history, np.array([1, 2], np.int32), half_life=2.0, max_length=2)
    assert as_lists(bags, 2) == [[3, 1], [5]]
    np.testing.assert_allclose(bags.uniform, [0.5**0.5, 0.5**0.5, 1])


def test_the_unknown_user_has_no_history(history: Interactions) -> None:
    bags = history_bags(history, np.zeros(2, np.int32), half_life=2.0, max_length=99)
    assert len(bags.row) == 0


def test_windows_end_at_the_newest_event_and_are_padded_in_front(history: Interactions) -> None:
    windows = history_windows(history, np.array([2, 1, 0, 3], np.int32), length=3)
    assert windows.item_num.tolist() == [[0, 0, 5], [2, 3, 1], [0, 0, 0], [0, 0, 0]]
    assert windows.time_s.tolist() == [[0, 0, 5], [20, 30, 40], [0, 0, 0], [0, 0, 0]]
    assert (windows.item_num.dtype, windows.time_s.dtype) == (np.int32, np.int64)


def test_windows_of_no_users_are_empty(history: Interactions) -> None:
    assert history_windows(history, np.zeros(0, np.int32), length=3).item_num.shape == (0, 3)


def test_windows_between_keep_to_their_bounds(history: Interactions) -> None:
    """User 1 has the places 0 to 3, user 2 has place 4."""
    windows = windows_between(history, np.array([0, 1, 4]), np.array([2, 4, 4]), length=2)
    assert windows.item_num.tolist() == [[4, 2], [3, 1], [0, 0]]


def test_windows_without_times_keep_the_order_of_the_source() -> None:
    history = Interactions.from_table(pa.table({"user_id": [1, 2, 1], "item_id": [2, 9, 1]}))
    windows = history_windows(history, np.array([1], np.int32), length=2)
    assert windows.item_num.tolist() == [[2, 1]]
    assert windows.time_s.tolist() == [[0, 0]]


def test_padded_bags_hold_what_bags_hold(history: Interactions) -> None:
    users = np.array([*history.users.all_numbers, 0, 1], np.int32)
    for max_length in (1, 2, 100):
        bags = history_bags(history, users, half_life=2.0, max_length=max_length)
        padded = padded_bags(history, users, half_life=2.0, max_length=max_length)
        is_event = padded["history"] > 0
        assert is_event.sum(axis=1).tolist() == np.bincount(bags.row, minlength=len(users)).tolist()
        assert padded["history"][is_event].tolist() == bags.item_num.tolist()
        for name, weights in (("uniform", bags.uniform), ("recency", bags.recency)):
            assert padded[name].dtype == np.float32
            assert padded[name][is_event].tolist() == weights.tolist()
            assert not padded[name][~is_event].any()
    nobody = padded_bags(history, np.zeros(2, np.int32), half_life=2.0, max_length=5)
    assert nobody["history"].tolist() == [[0], [0]]
    assert nobody["recency"].tolist() == nobody["uniform"].tolist() == [[0], [0]]
