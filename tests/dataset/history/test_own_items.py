import numpy as np
import pytest

from belfry.dataset.history.own_items import own_items
from tests.dataset.history.events import random_events


@pytest.mark.parametrize("max_length", [None, 4])
def test_own_items_against_a_plain_loop(max_length: int | None) -> None:
    history = random_events()
    users = np.array([3, 0, 6, 1], np.int32)
    own = own_items(history, users, decay=0.7, max_length=max_length)
    expected = []
    for position, user in enumerate(users):
        rows = history.by_user.of(user)[-(max_length or 99) :] if user else np.zeros(0, np.int64)
        items, ages = history.item_num[rows], np.arange(len(rows))[::-1]
        for item in np.unique(items):
            times, age = history.timestamp_s[rows[items == item]], ages[items == item]
            strength = sum((1.0 + age) ** -0.7)
            expected.append((position, item, len(age), age[0], age[-1], strength, times[0], times[-1]))
    columns = (own.row_user, own.item_num, own.count, own.first_age, own.last_age, own.activation)
    np.testing.assert_allclose(np.stack([*columns, own.first_s, own.last_s], axis=1), expected)
    row, item = np.meshgrid(np.arange(4), np.arange(6), indexing="ij")
    found = own.positions(row, item, len(history.items))
    assert (found >= 0).sum() == len(own.row_user)
    assert (own.item_num[found[found >= 0]] == item[found >= 0]).all()


def test_no_user_has_no_own_items() -> None:
    own = own_items(random_events(), np.zeros(0, np.int32))
    assert len(own.item_num) == len(own.activation) == 0
    assert own.positions(np.zeros(2, np.int64), np.ones(2, np.int64), 5).tolist() == [-1, -1]
