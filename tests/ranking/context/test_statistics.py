"""ContextStatistics: values by hand, and one list at a time as many together."""

import numpy as np
import pyarrow as pa
import pytest

from belfry.dataset.encoding.context import ContextColumn
from belfry.dataset.interactions import Interactions
from belfry.dataset.vocabulary import Vocabulary
from belfry.ranking.context.statistics import ContextStatistics

# Users 1 and 2; items 1 to 3, the third without an event; column "device" of the values phone (1) and tv (2).
USER, ITEM = np.array([1, 1, 1, 2], np.int32), np.array([1, 2, 2, 1], np.int32)
DEVICE = np.array([1, 2, 2, 0], np.int32)
VECTORS = np.array([[0, 0], [2, 0], [0, 3], [1, 1]], np.float32)


def history() -> Interactions:
    users, items = Vocabulary(pa.array([1, 2])), Vocabulary(pa.array([1, 2, 3]))
    column = ContextColumn(("phone", "tv"), DEVICE)
    return Interactions(users, items, USER, ITEM, context={"device": column})


def compute(asked: list[int], users: list[int], items: list[int]) -> np.ndarray:
    """Each list holds all of `items`."""
    statistics, row_list = ContextStatistics.fit(history(), VECTORS), np.repeat(np.arange(len(users)), len(items))
    numbers = {"device": np.array(asked, np.int32)}
    rows = np.tile(np.array(items, np.int32), len(users))
    return statistics.compute(numbers, np.array(users, np.int32), row_list, rows, history())


def test_by_hand() -> None:
    lift, alike, own = compute([2], [1], [1, 2, 3])
    share = np.array([3, 3, 1]) / 8
    np.testing.assert_allclose(lift, np.log((np.array([0, 2, 0]) + 20 * share) / (22 * share)), rtol=1e-5)
    toward = np.array([0, 1]) - np.array([0.5, 0.5])  # the mean of unit vectors on television, less that of all
    np.testing.assert_allclose(alike, [toward[0], toward[1], 0], atol=1e-6)
    taste = 2 / 7 * (np.array([0, 1]) - np.array([1, 2]) / 3)  # two of the user's three events
    np.testing.assert_allclose(own, [taste[0], taste[1], taste.sum() / np.sqrt(2)], atol=1e-6)


def test_what_is_absent_is_0() -> None:
    assert not compute([0], [1], [1, 2, 3]).any()
    assert not compute([2], [2], [1, 2, 3])[2].any()  # nothing of the second user is known on television
    assert not compute([2], [0], [1, 2, 3])[2].any()


@pytest.mark.parametrize("asked", [[2, 1, 0, 2], [1, 1, 2, 2]])
def test_many_lists_are_as_each_alone(asked: list[int]) -> None:
    users, items = [1, 2, 1, 0], [3, 1, 2]
    together = compute(asked, users, items)
    alone = np.hstack([compute([number], [user], items) for number, user in zip(asked, users, strict=True)])
    np.testing.assert_allclose(together, alone, atol=1e-6)
