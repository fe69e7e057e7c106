"""Batches of labelled events: no target is read, and no label is lost."""

from itertools import islice

import numpy as np
import pyarrow as pa
import pytest

from belfry.dataset.interactions import Interactions
from belfry.ranking.multitask.config import MultitaskConfig, TaskConfig
from belfry.ranking.multitask.label_batches import LabelRows, labelled_batches

CONFIG = MultitaskConfig(
    tasks=(TaskConfig(column="rating"), TaskConfig(column="liked", kind="binary")),
    batch_raters=2,
    targets="any",
    hidden_share=(0.3, 0.6),
    n_next=1,
    history_dropout=0.2,
    cold_share=0.0,
    half_life=5.0,
    max_history=100,
    impression_weight=1.0,
)


@pytest.fixture
def history() -> Interactions:
    """Users 1 to 3 watch items; 3 gives no label; user 1 rates item 11 twice."""
    table = pa.table(
        {
            "user_id": [1, 1, 1, 2, 2, 3, 3, 1],
            "item_id": [10, 11, 12, 10, 12, 11, 12, 11],
            "timestamp_s": [1, 2, 3, 4, 5, 6, 7, 8],
            "rating": [5.0, 1.0, None, None, 3.0, None, None, 4.0],
            "liked": [None, None, 1.0, 0.0, None, None, None, None],
        }
    )
    return Interactions.from_table(table, labels=("liked",))


def test_rows_hold_each_pair_once_and_the_newest_label(history: Interactions) -> None:
    rows = LabelRows.of(history, ("rating", "liked"), np.array([1, 3, 2], np.int32), max_length=10)
    items = history.items.take(rows.item_num[rows.item_num > 0]).to_pylist()
    assert items == [10, 12, 11, 10, 12]
    assert rows.is_labelled.any(axis=2).tolist() == [[True, False, True], [True, False, True]]
    assert rows.values[0, 0].tolist() == [5, 0, 4]
    assert rows.is_labelled[0, 0].tolist() == [True, False, True]
    assert rows.values[1, 2, :2].tolist() == [0, 0]
    assert rows.is_labelled[1, 2].tolist() == [True, False, False]


def test_the_newest_rows_are_kept(history: Interactions) -> None:
    rows = LabelRows.of(history, ("rating",), np.array([1, 2], np.int32), max_length=1)
    assert history.items.take(rows.item_num[:, 0]).to_pylist() == [11, 12]
    assert rows.values[0].tolist() == [[4.0], [3.0]]


@pytest.mark.parametrize("users", [[0], [0, 3]])
def test_users_without_labels_have_only_padding(history: Interactions, users: list[int]) -> None:
    rows = LabelRows.of(history, ("rating", "nothing"), np.array(users, np.int32), max_length=10)
    assert rows.item_num.shape == (len(users), 1)
    assert not rows.item_num.any()
    assert not rows.is_labelled.any()


def test_no_target_is_read_and_every_label_becomes_a_target(history: Interactions) -> None:
    seen = set()
    for batch in islice(labelled_batches(history, CONFIG, np.random.default_rng(0)), 60):
        assert set(batch.users.tolist()) <= {1, 2}
        for row, user in enumerate(batch.users):
            read = set(batch.bags.item_num[batch.bags.row == row].tolist())
            is_target = batch.is_target[row] & batch.labels.is_labelled[:, row].any(axis=0)
            targets = set(batch.labels.item_num[row][is_target].tolist())
            assert not read & targets
            seen |= {(int(user), item) for item in targets}
    assert len(seen) == 5


def test_equal_seeds_give_equal_batches(history: Interactions) -> None:
    def batches(seed: int) -> list[list[int]]:
        found = islice(labelled_batches(history, CONFIG, np.random.default_rng(seed)), 8)
        return [batch.is_target.ravel().tolist() for batch in found]

    assert batches(1) == batches(1)
