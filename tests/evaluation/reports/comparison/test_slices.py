"""Where a difference comes from."""

import numpy as np
import pyarrow as pa
import pytest

from belfry.dataset.vocabulary import Vocabulary
from belfry.evaluation.groups import Groups, categories_of, groups_of_column, quarters
from belfry.evaluation.reports.comparison.slices import slices

N_USERS = 40


@pytest.fixture
def found(context, score):
    """B hits item 1 for the left users and nothing else, A hits nothing; item 1 alone is a drama."""
    users = range(1, N_USERS + 1)
    items = pa.table({"item_id": range(1, 10), "genres": [["drama"], *[["comedy"]] * 8]})
    code = np.array([-1, *[u % 2 for u in users]])
    judged = context(
        {u: [9] for u in users if u > 10},
        {u: [1, 2] for u in users},
        n_items=9,
        categories=categories_of(items, Vocabulary(items["item_id"])),
        user_columns={"side": Groups(("left", "right"), code)},
    )

    def system(item_of):
        table = pa.table({"user_id": list(users), "item_id": [item_of(u) for u in users], "rank": [1] * N_USERS})
        return score(table, judged, 1)

    a, b = system(lambda u: 3), system(lambda u: 1 if u % 2 == 0 else 3)
    every = slices(judged, a, b, "ndcg@1", judged=np.ones(N_USERS, np.bool_), seed=0)
    return {(one.dimension, one.group): one for one in every}


def test_groups_say_for_whom(found):
    assert found["side", "left"].difference == 1
    assert found["side", "right"].difference == 0
    assert found["side", "left"].n_users == 20
    assert found["side", "left"].p_holm < 0.05
    assert found["side", "right"].p_holm == 1


def test_cold_users_are_apart(found):
    assert found["known or cold", "cold"].n_users == 10
    assert found["known or cold", "known"].n_users == 30


def test_categories_judge_by_their_own_test_items(found):
    assert found["genres of test items", "drama"].challenger == 0.5
    assert found["genres of test items", "comedy"].challenger == 0


def test_corrections_count_all_slices(found):
    p = [one.p for one in found.values() if not np.isnan(one.p)]
    smallest = min(p)
    assert found["side", "left"].p_holm == pytest.approx(min(1, len(p) * smallest))


def test_quarters_follow_the_users_and_leave_equal_values_together():
    groups = quarters(np.array([1.0, 2, 3, 4, np.nan]))
    assert groups.code.tolist() == [0, 1, 2, 3, -1]
    assert groups.labels == ("up to 1.75", "over 1.75 to 2.5", "over 2.5 to 3.25", "over 3.25")
    assert quarters(np.ones(5)).labels == ("all",)


def test_a_users_column_becomes_groups():
    groups = groups_of_column(pa.array(["x", "y", "x", None]), np.array([1, 2, 3, 4], np.int32), 5)
    assert groups is not None
    assert (groups.labels, groups.code.tolist()) == (("x", "y"), [-1, 0, 1, 0, -1, -1])
    assert groups_of_column(pa.array(["x", "x"]), np.array([1, 2], np.int32), 2) is None


def test_genres_may_be_joined_by_bars():
    items = pa.table({"item_id": [1, 2], "genres": ["drama|crime", "crime"]})
    categories = categories_of(items, Vocabulary(items["item_id"]))
    assert categories is not None
    assert categories.labels == ("crime", "drama")
    assert categories.shares.tolist() == [[0, 0], [0.5, 0.5], [1, 0]]
    assert categories_of(pa.table({"item_id": [1], "title": ["a|b"]}), Vocabulary(pa.array([1]))) is None
