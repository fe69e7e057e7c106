import numpy as np
import pyarrow as pa
import pytest

from belfry.dataset.history.seen_items import SeenItems
from belfry.dataset.interactions import Interactions


@pytest.fixture
def interactions():
    table = pa.table({"user_id": ["bo", "al", "bo", "al", "bo", "cy"], "item_id": [20, 10, 10, 30, 20, 30]})
    return Interactions.from_table(table)


def test_seen_items_rise_within_a_user(interactions):
    seen = interactions.seen_items
    assert [seen.of(user_num).tolist() for user_num in range(4)] == [[], [1, 3], [1, 2], [3]]


def test_a_table_of_flags_says_what_is_seen(interactions):
    table = interactions.seen_items.table(np.array([3, 0, 1, 3], np.int32), 3)
    assert table.shape == (4, 4)
    assert list(zip(*np.nonzero(table), strict=True)) == [(0, 3), (2, 1), (2, 3), (3, 3)]
    assert SeenItems.nothing(3).table(np.zeros(0, np.int32), 3).shape == (0, 4)


@pytest.mark.parametrize("n_of_a_table", [3, 2])
def test_rows_of_many_users_are_asked_by_table_or_one_by_one(interactions, n_of_a_table, monkeypatch):
    monkeypatch.setattr("belfry.dataset.history.seen_items._ITEMS_OF_A_TABLE", n_of_a_table)
    users, starts = np.array([3, 0, 1], np.int32), np.array([0, 2, 3, 7])
    asked = np.array([3, 1, 1, 0, 1, 2, 3], np.int32)
    found = interactions.seen_items.of_users_contain(users, starts, asked, 3)
    assert found.tolist() == [True, False, False, False, True, False, True]
    assert interactions.seen_items.of_users_contain(users[:0], starts[:1], asked[:0], 3).tolist() == []


def test_one_user_is_asked_in_any_order_and_beyond_the_last_item(interactions):
    asked = np.array([3, 0, 2, 1, 3, 9], np.int32)
    found = [interactions.seen_items.of_user_contain(user_num, asked).tolist() for user_num in (0, 1)]
    assert found == [[False] * 6, [True, False, False, True, True, False]]
    assert interactions.seen_items.of_user_contain(1, asked[:0]).tolist() == []


def test_rows_of_speaks_of_positions_in_the_asked_users(interactions):
    asked = np.array([3, 0, 1, 3], np.int32)
    rows, item_num = interactions.seen_items.rows_of(asked)
    assert rows.tolist() == [0, 2, 2, 3]
    assert item_num.tolist() == [3, 1, 3, 3]
    assert interactions.seen_items.count(asked).tolist() == [1, 0, 2, 1]


def test_rows_of_no_users_and_of_users_without_items_are_empty(interactions):
    rows, item_num = interactions.seen_items.rows_of(np.array([], np.int32))
    assert len(rows) == len(item_num) == 0
    rows, item_num = SeenItems.nothing(3).rows_of(np.array([1, 3], np.int32))
    assert len(rows) == len(item_num) == 0
