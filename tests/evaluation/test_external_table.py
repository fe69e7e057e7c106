"""Anybody's recommendations table: read right, or refused with every reason."""

import re

import numpy as np
import pyarrow as pa
import pytest

from belfry.dataset.errors import TableError
from belfry.dataset.interactions import SeenItems
from belfry.dataset.vocabulary import Vocabulary
from belfry.evaluation.external_table import candidates_of_table
from belfry.evaluation.metrics import lists_of

USERS = Vocabulary.from_values(["ann", "bob", "eve"])
ITEMS = Vocabulary.from_values(["a", "b", "c", "d"])


def made(**table):
    return candidates_of_table(pa.table(table), USERS, ITEMS)


def test_ranks_give_the_order_in_any_order_of_rows():
    candidates = made(user_id=["eve", "ann", "eve"], item_id=["c", "d", "b"], rank=[2, 1, 1])
    assert candidates.users.tolist() == [1, 3]
    assert lists_of(candidates, 2).tolist() == [[4, 0], [2, 3]]
    assert candidates.score.tolist() == [-1, -1, -2]
    assert candidates.origins == ("table",)


def test_scores_give_the_order_as_finely_as_they_were_given():
    score = np.array([1.0, 1.0 + 1e-12, 0.5, 0.5])
    candidates = made(user_id=["ann"] * 4, item_id=["a", "b", "d", "c"], score=score)
    assert lists_of(candidates, 4).tolist() == [[2, 1, 3, 4]]
    assert candidates.rank.tolist() == [1, 2, 3, 4]
    assert candidates.score.dtype == np.float32


def test_ranks_and_scores_may_both_be_there():
    candidates = made(user_id=["bob", "bob"], item_id=["a", "b"], rank=[2, 1], score=[0.1, 0.7])
    assert lists_of(candidates, 2).tolist() == [[2, 1]]
    assert candidates.score.tolist() == [np.float32(0.7), np.float32(0.1)]


def test_unknown_users_stay_apart_and_missing_users_get_empty_lists():
    table = pa.table({"user_id": ["zoe", "ann", "kim"], "item_id": ["a", "b", "c"], "rank": [1, 1, 1]})
    candidates = candidates_of_table(table, USERS, ITEMS, asked=np.array([3, 1], np.int32))
    assert candidates.users.tolist() == [1, 0, 0, 3]
    assert lists_of(candidates, 1).ravel().tolist() == [2, 3, 1, 0]


def test_chunks_and_dictionaries_are_read():
    ids = pa.chunked_array([["ann"], ["ann", "eve"]]).dictionary_encode()
    candidates = made(user_id=ids, item_id=["a", "b", "c"], rank=pa.array([1, 2, 1], pa.uint8()))
    assert lists_of(candidates, 2).tolist() == [[1, 2], [3, 0]]


BAD = {
    "column 'item_id' is missing\n- columns 'rank' and 'score' are both missing; one of them must give order\n"
    "- found columns: 'user_id', 'title'": {"user_id": ["ann"], "title": ["x"]},
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
def test_bad_tables_are_refused_in_words(message):
    with pytest.raises(TableError, match="recommendations: the table cannot be judged\n- .*" + re.escape(message)):
        made(**BAD[message])


def test_seen_items_are_refused():
    seen = SeenItems(np.array([0, 0, 0, 1, 1]), np.array([2], np.int32))  # bob has seen b
    table = pa.table({"user_id": ["ann", "bob", "zoe"], "item_id": ["b", "b", "b"], "rank": [1, 1, 1]})
    with pytest.raises(TableError, match=r"1 row with an item that its user has seen \(first in row 1\)"):
        candidates_of_table(table, USERS, ITEMS, seen=seen)


def test_one_message_lists_every_problem():
    with pytest.raises(TableError) as refusal:
        made(
            user_id=["ann", "ann", "ann", None, "bob"],
            item_id=["a", "a", "x", "b", "c"],
            rank=[1, 2, 3, 1, 2],
            score=[0.3, 0.2, 0.1, 0.5, float("nan")],
        )
    lines = str(refusal.value).splitlines()
    assert [line.split(" (")[0] for line in lines] == [
        "recommendations: the table cannot be judged",
        "- 1 row with a null user_id",
        "- 1 row with an item that the catalogue lacks",
        "- 1 row with a user and an item of an earlier row",
        "- 1 row with a score that is null, NaN or infinite",
        "- 1 user with ranks that do not run 1, 2, 3, ...",
    ]
