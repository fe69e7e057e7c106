"""External tables of lists: read right, or refused with every reason."""

import re
from dataclasses import replace
from functools import partial

import numpy as np
import pyarrow as pa
import pytest

from belfry.dataset.errors import TableError
from belfry.dataset.history.seen_items import SeenItems
from belfry.dataset.interactions import Interactions
from belfry.dataset.vocabulary import Vocabulary
from belfry.evaluation.context import make_context
from belfry.evaluation.table_lists import TableInfo, repeats_of_table

USERS = Vocabulary(pa.array(["ann", "bob", "eve"]))
ITEMS = Vocabulary(pa.array(["a", "b", "c", "d"]))


@pytest.fixture
def judged():
    """Every user has one test item, and has seen nothing."""
    later = Interactions(USERS, ITEMS, np.array([1, 2, 3], np.int32), np.array([4, 4, 4], np.int32))
    return make_context(later.select(np.zeros(3, np.bool_)), later, seen=SeenItems.nothing(3))[0]


def lists(judged, lists_of, **table):
    """User -> items by rank, as ids, of those who have a list."""
    (block,) = lists_of(pa.table(table), judged).blocks(4)
    return {
        USERS.ids[place].as_py(): ITEMS.take(items[items > 0]).to_pylist()
        for place, items in zip(block.position, block.lists, strict=True)
    }


@pytest.fixture
def made(judged, lists_of):
    return partial(lists, judged, lists_of)


def test_ranks_give_the_order_in_any_order_of_rows(made):
    found = made(user_id=["eve", "ann", "eve"], item_id=["c", "d", "b"], rank=[2, 1, 1])
    assert found == {"ann": ["d"], "eve": ["b", "c"]}


def test_scores_give_the_order_as_finely_as_they_were_given(made):
    score = np.array([1.0, 1.0 + 1e-12, 0.5, 0.5])
    assert made(user_id=["ann"] * 4, item_id=["a", "b", "d", "c"], score=score) == {"ann": ["b", "a", "c", "d"]}


def test_ranks_and_scores_may_both_be_there(made):
    assert made(user_id=["bob", "bob"], item_id=["a", "b"], rank=[2, 1], score=[0.1, 0.7]) == {"bob": ["b", "a"]}


def test_a_stream_says_what_it_repeats_and_has_its_rows_still():
    table = pa.table({"user_id": ["ann"], "item_id": ["a"]}).replace_schema_metadata({"belfry.repeats": "only"})
    stream = table.to_reader()
    assert repeats_of_table(stream) == repeats_of_table(table) == "only"
    assert stream.read_all().num_rows == 1


def test_unknown_users_are_counted_and_not_judged(judged, lists_of):
    table = pa.table({"user_id": ["zoe", "ann", "kim"], "item_id": ["a", "b", "c"], "rank": [1, 1, 1]})
    found = lists_of(table, judged)
    assert found.info == TableInfo("made", 3, 3, 1, n_users_not_judged=2, n_users_unknown=2, n_judged_without_list=2)
    (block,) = found.blocks(1)
    assert (block.position.tolist(), block.lists.tolist()) == ([0], [[2]])


def test_chunks_and_dictionaries_are_read(made):
    ids = pa.chunked_array([["ann"], ["ann", "eve"]]).dictionary_encode()
    found = made(user_id=ids, item_id=["a", "b", "c"], rank=pa.array([1, 2, 1], pa.uint8()))
    assert found == {"ann": ["a", "b"], "eve": ["c"]}


BAD = {
    "column 'item_id' is missing\n- columns 'rank' and 'score' are both missing; one of them must give order\n"
    "- found columns: 'user_id', 'title': add it, or say which one holds it: --columns item_id=NAME": {
        "user_id": ["ann"],
        "title": ["x"],
    },
    "column 'user_id' is missing\n- found columns: 'userId', 'item_id', 'rank': rename 'userId' to 'user_id', or pass "
    "--columns user_id=userId": {"userId": ["ann"], "item_id": ["a"], "rank": [1]},
    "there are no rows": {"user_id": pa.array([], pa.string()), "item_id": pa.array([], pa.string()), "rank": []},
    "column 'user_id' is int64 and the data has string ids; cast it": {"user_id": [1], "item_id": ["a"], "rank": [1]},
    "column 'item_id' is double and the data has string ids; cast it": {
        "user_id": ["ann"],
        "item_id": [1.0],
        "rank": [1],
    },
    "column 'rank' is double; cast it to integers": {"user_id": ["ann"], "item_id": ["a"], "rank": [1.0]},
    "column 'score' is string; cast it to a number": {"user_id": ["ann"], "item_id": ["a"], "score": ["high"]},
    "1 row with a null user_id (first in row 1); drop them": {
        "user_id": ["ann", None],
        "item_id": ["a", "b"],
        "rank": [1, 2],
    },
    "2 rows with a null item_id (first in rows 0, 1); drop them": {
        "user_id": ["ann", "ann"],
        "item_id": pa.array([None, None], pa.string()),
        "rank": [1, 2],
    },
    "4 rows with an item that the catalogue lacks (first in rows 0, 2, 3); pass its items, or drop them": {
        "user_id": ["ann", "bob", "bob", "eve", "eve"],
        "item_id": ["x", "a", "x", "y", "z"],
        "rank": [1, 1, 2, 1, 2],
    },
    "1 row with a user and an item of an earlier row (first in row 2); keep one of each": {
        "user_id": ["ann", "bob", "ann"],
        "item_id": ["a", "a", "a"],
        "rank": [1, 1, 2],
    },
    "3 users with ranks that do not run 1, 2, 3, ... (first in rows 1, 2, 4); leave no gap and use no rank twice": {
        "user_id": ["ann", "ann", "bob", "eve", "eve"],
        "item_id": ["a", "b", "a", "a", "b"],
        "rank": [1, 3, 0, 1, 1],
    },
    "1 row with a null rank (first in row 1); number each user's rows 1, 2, 3, ...": {
        "user_id": ["ann", "ann"],
        "item_id": ["a", "b"],
        "rank": [1, None],
    },
    "3 rows with a score that is null, NaN or infinite (first in rows 0, 1, 2); drop them or mend the scores": {
        "user_id": ["ann", "ann", "ann"],
        "item_id": ["a", "b", "c"],
        "score": pa.array([float("nan"), None, float("inf")]),
    },
    "1 row with a higher score than the rank before (first in row 1); drop the column that does not give order": {
        "user_id": ["ann", "ann", "bob"],
        "item_id": ["a", "b", "c"],
        "rank": [1, 2, 1],
        "score": [0.1, 0.2, 0.3],
    },
}


@pytest.mark.parametrize("message", BAD)
def test_bad_tables_are_refused_in_words(message, made):
    with pytest.raises(TableError, match="made: the table cannot be judged\n- .*" + re.escape(message)):
        made(**BAD[message])


def test_seen_items_are_refused(judged, lists_of):
    bob_b = SeenItems(np.array([0, 0, 0, 1, 1]), np.array([2], np.int32))
    table = pa.table({"user_id": ["ann", "bob", "zoe"], "item_id": ["b", "b", "b"], "rank": [1, 1, 1]})
    with pytest.raises(TableError, match=r"1 row with an item that its user has seen \(first in row 1\)"):
        list(lists_of(table, replace(judged, seen=bob_b)).blocks(1))


def test_one_message_lists_every_problem(made):
    with pytest.raises(TableError) as refusal:
        made(
            user_id=["ann", "ann", "ann", None, "bob"],
            item_id=["a", "a", "x", "b", "c"],
            rank=[1, 2, 3, 1, 2],
            score=[0.3, 0.2, 0.1, 0.5, float("nan")],
        )
    lines = str(refusal.value).splitlines()
    assert [line.split(" (")[0] for line in lines] == [
        "made: the table cannot be judged",
        "- 1 row with a null user_id",
        "- 1 row with an item that the catalogue lacks",
        "- 1 row with a user and an item of an earlier row",
        "- 1 row with a score that is null, NaN or infinite",
        "- 1 user with ranks that do not run 1, 2, 3, ...",
    ]
