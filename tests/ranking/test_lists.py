"""Lists: candidates in numbers, chosen, padded, and in blocks."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from belfry.dataset.candidates import Candidates
from belfry.dataset.errors import DivergenceError
from belfry.dataset.interactions import Interactions
from belfry.ranking.lists import HISTORY_LENGTH, Lists, concatenate_lists

NAMES = ("place", "half")


def lists_of(lengths: list[int]) -> Lists:
    """Lists whose items are numbered 1, 2, ... over all of them, and whose feature `place` is their row."""
    n_rows = sum(lengths)
    rows = np.arange(n_rows, dtype=np.float32)
    users = np.arange(10, 10 + len(lengths), dtype=np.int32)
    return Lists(
        pairs=np.stack([rows, rows / 2], axis=1),
        names=NAMES,
        items=np.arange(1, n_rows + 1, dtype=np.int32),
        starts=np.append(0, np.cumsum(lengths)).astype(np.int64),
        users=users,
        history=np.repeat(users[:, None], HISTORY_LENGTH, axis=1),
    )


def assert_same(one: Lists, other: Lists) -> None:
    assert one.names == other.names
    for name in ("pairs", "items", "starts", "users", "history"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
        assert getattr(one, name).dtype == getattr(other, name).dtype, name


def test_shape_of_lists() -> None:
    lists = lists_of([2, 0, 3])
    assert len(lists) == 3
    assert lists.lengths.tolist() == [2, 0, 3]
    assert lists.row_list.tolist() == [0, 0, 2, 2, 2]
    assert lists.column("half").tolist() == [0, 0.5, 1, 1.5, 2]


def test_candidates_described() -> None:
    """Histories are the newest items, oldest first; the unknown user and one without events have none."""
    n_events = HISTORY_LENGTH + 5
    table = pa.table(
        {
            "user_id": [*[1] * n_events, 2, 3],
            "item_id": [*range(1, n_events + 1), 7, 8],
            "timestamp_s": [*range(n_events, 0, -1), 5, 6],
        }
    )
    everything = Interactions.from_table(table)
    history = everything.select(np.arange(n_events + 1))
    candidates = Candidates(
        users=np.array([2, 1, 3, 0], np.int32),
        row_user=np.array([0, 0, 1, 3]),
        item_num=np.array([4, 2, 9, 1], np.int32),
        score=np.zeros(4, np.float32),
        rank=np.array([1, 2, 1, 1], np.int32),
        origin=np.zeros(4, np.int8),
        origins=("test",),
    )
    pairs = np.arange(8, dtype=np.float32).reshape(4, 2)
    lists = Lists.describe(candidates, pairs, NAMES, history)
    assert lists.pairs is pairs
    assert lists.users.tolist() == [2, 1, 3, 0]
    assert lists.starts.tolist() == [0, 2, 3, 3, 4]
    assert lists.items.tolist() == [4, 2, 9, 1]
    assert lists.history[0].tolist() == [0] * (HISTORY_LENGTH - 1) + [7]
    assert lists.history[1].tolist() == list(range(HISTORY_LENGTH, 0, -1))
    assert not lists.history[2:].any()


def test_select_takes_lists_in_the_order_asked() -> None:
    chosen = lists_of([2, 0, 3, 1]).select(np.array([2, 1, 0, 2]))
    assert chosen.users.tolist() == [12, 11, 10, 12]
    assert chosen.starts.tolist() == [0, 3, 3, 5, 8]
    assert chosen.items.tolist() == [3, 4, 5, 1, 2, 3, 4, 5]
    assert chosen.column("place").tolist() == [2, 3, 4, 0, 1, 2, 3, 4]
    assert chosen.history[:, 0].tolist() == chosen.users.tolist()


def test_select_nothing() -> None:
    none = lists_of([2, 3]).select(np.zeros(0, np.int64))
    assert len(none) == len(none.items) == 0
    assert none.pairs.shape == (0, 2)
    assert none.starts.tolist() == [0]


def test_padded() -> None:
    lists = lists_of([2, 0, 3, 1])
    asked = np.array([3, 2, 0])
    rows, present = lists.padded_rows(asked)
    inputs = lists.inputs(asked, rows, present, ("pairs", "item", "user", "history", "present"))
    assert present.tolist() == [[True, False, False], [True, True, True], [True, True, False]]
    assert rows.tolist() == [[5, 0, 0], [2, 3, 4], [0, 1, 0]]
    assert inputs["item"].tolist() == [[6, 0, 0], [3, 4, 5], [1, 2, 0]]
    assert inputs["pairs"].shape == (3, 3, 2)
    assert inputs["pairs"][present][:, 0].tolist() == [5, 2, 3, 4, 0, 1]
    assert inputs["user"].tolist() == [13, 12, 10]
    assert inputs["history"].shape == (3, HISTORY_LENGTH)
    assert inputs["present"] is present
    assert {name: str(values.dtype) for name, values in inputs.items()} == {
        "pairs": "float32",
        "item": "int32",
        "user": "int32",
        "history": "int32",
        "present": "bool",
    }


def test_inputs_that_nobody_reads_are_not_made() -> None:
    lists = lists_of([2, 2])
    rows, present = lists.padded_rows(np.arange(2))
    inputs = lists.inputs(np.arange(2), rows, present, ("pairs",))
    assert inputs.keys() == {"pairs"}
    assert np.shares_memory(inputs["pairs"], lists.pairs)  # lists of equal length, one after another: no copy


def test_concatenate_undoes_select() -> None:
    lists = lists_of([2, 0, 3, 1])
    parts = [lists.select(places) for places in (np.array([0]), np.array([1, 2]), np.zeros(0, np.int64), np.array([3]))]
    assert_same(concatenate_lists(parts), lists)


@pytest.mark.parametrize(
    "lengths",
    [[], [0], [0, 0], [3], [9], [1] * 20, [0, 0, 9, 1], [9, 0, 0], [2, 3, 2, 8, 1, 1, 1, 0, 2, 4], [1, 1, 1, 6]],
)
def test_blocks_hold_every_row_once_and_little_padding(lengths: list[int]) -> None:
    """A list longer than a block stands alone; no block is empty, and none takes more room padded than it may."""
    lists = lists_of(lengths)
    blocks = list(lists.blocks(7))
    rows = [row for block in blocks for row in lists.rows_of(block)]
    assert rows == list(range(sum(lengths)))
    for block in blocks:
        _, present = lists.padded_rows(block)
        assert present.any()
        assert present.size <= 7 or len(block) == 1


def test_as_few_blocks_as_may_be() -> None:
    assert [block.tolist() for block in lists_of([3, 4, 4, 4, 2, 2]).blocks(12)] == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_features_that_are_not_finite(value: float) -> None:
    lists = lists_of([2, 2])
    lists.check_finite()
    pairs = lists.pairs.copy()
    pairs[3, 1] = value
    with pytest.raises(DivergenceError, match="ranker: feature 'half' is not finite in some rows"):
        replace(lists, pairs=pairs).check_finite()
