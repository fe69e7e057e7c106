"""A table that is read in parts is checked and read as if it were whole."""

import numpy as np
import pyarrow as pa
import pytest

from belfry.dataset.errors import InputError, TableError
from belfry.evaluation import table_lists as tables

N_USERS, N_ITEMS, N = 40, 50, 6


@pytest.fixture
def judged(context):
    return context(
        {u: [u % N_ITEMS + 1] for u in range(1, N_USERS + 1)},
        {u: [u % 7 + 3, u % 11 + 20] for u in range(1, N_USERS + 1) if u % 5},
        n_items=N_ITEMS,
    )


@pytest.fixture
def table(judged):
    generator = np.random.default_rng(0)
    rows = []
    for user in range(1, N_USERS + 3):  # two users whom nobody knows
        own = {user % N_ITEMS + 1}
        items = [item for item in (generator.permutation(N_ITEMS) + 1).tolist() if item not in own][:N]
        rows += [(user, item, rank) for rank, item in enumerate(items, 1)]
    generator.shuffle(rows)
    user_id, item_id, rank = zip(*rows, strict=True)
    return pa.table({"user_id": user_id, "item_id": item_id, "rank": rank})


def test_blocks_and_parts_change_nothing(judged, table, lists_of, score, monkeypatch):
    whole = score(table, judged, 5)
    monkeypatch.setattr(tables, "ROWS_PER_BLOCK", 37)
    found = lists_of(table, judged, n_parts=9).info
    assert found.longest_list == N
    assert (found.n_users, found.n_users_unknown, found.n_users_not_judged) == (42, 2, 10)
    parts = score(table, judged, 5, n_parts=9)
    np.testing.assert_array_equal(parts.lists, whole.lists)
    for name, values in whole.per_user.items():
        np.testing.assert_array_equal(parts.per_user[name], values)


def damaged(table: pa.Table) -> pa.Table:
    """Of everything something: nulls, unknown items, repeats, NaN, gaps, rising scores, seen items."""
    user, item, rank = (table[name].to_pylist() for name in ("user_id", "item_id", "rank"))
    score = [float(-one) for one in rank]
    user[3], item[5], item[8], item[100] = None, None, 999, 998
    rank[20], rank[21] = None, 77
    score[30], score[31], score[40] = float("nan"), float("inf"), 5.0
    user[51], item[51] = user[50], item[50]
    item[60] = user[60] % N_ITEMS + 1
    return pa.table({"user_id": user, "item_id": item, "rank": rank, "score": score})


def test_errors_are_those_of_the_whole_table(judged, table, score, monkeypatch):
    bad = damaged(table)
    with pytest.raises(TableError) as whole:
        score(bad, judged, 5)
    monkeypatch.setattr(tables, "ROWS_PER_BLOCK", 37)
    with pytest.raises(TableError) as parts:
        score(bad, judged, 5, n_parts=9)
    assert str(parts.value) == str(whole.value)
    kinds = (
        "null user_id",
        "null item_id",
        "catalogue lacks",
        "earlier row",
        "NaN",
        "null rank",
        "1, 2, 3",
        "higher score",
    )
    for kind in (*kinds, "has seen"):
        assert kind in str(parts.value)


def test_origins_are_counted_in_the_lists_that_are_judged(judged, table, score):
    origin = pa.array(["tower" if rank < 3 else None if rank == 3 else "knn" for rank in table["rank"].to_pylist()])
    found = score(table.append_column("origin", origin), judged, 6, n_parts=3)
    assert found.origins == pytest.approx({"tower": 0.4, "knn": 0.6})


def test_a_table_of_strangers_is_refused(judged, table, lists_of):
    strangers = table.set_column(0, "user_id", pa.array([user + 1_000 for user in table["user_id"].to_pylist()]))
    with pytest.raises(InputError, match="none of its 42 users has a test item; 42 of them are in neither"):
        lists_of(strangers, judged)
