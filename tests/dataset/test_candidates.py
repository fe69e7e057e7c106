import math
from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from belfry.dataset.candidates import order_by, take_top_k

scores = st.sampled_from([0.0, -0.0, 0.5, 0.5, 1.0, -2.0, math.inf, -math.inf, math.nan])
rows = st.lists(st.tuples(st.integers(0, 3), st.integers(1, 9), scores), max_size=40, unique_by=lambda row: row[:2])


def columns_of(rows):
    row_user = np.array([row[0] for row in rows], np.int64)
    item_num = np.array([row[1] for row in rows], np.int32)
    score = np.array([row[2] for row in rows], np.float32)
    return row_user, item_num, score


@settings(deadline=None)
@given(rows=rows, top_k=st.integers(0, 6))
def test_take_top_k_is_a_plain_sort_per_user(rows, top_k):
    users = np.array([7, 0, 7, 2], np.int32)
    row_user, item_num, score = columns_of(rows)
    found = take_top_k(users, row_user, item_num, score, top_k=top_k, origin="one")

    wanted = []
    for asked in range(len(users)):
        own = [(item, value) for user, item, value in rows if user == asked]
        own.sort(key=lambda row: (math.isnan(row[1]), 0 if math.isnan(row[1]) else -row[1], row[0]))
        wanted += [(asked, item, rank) for rank, (item, _) in enumerate(own[:top_k], start=1)]
    assert list(zip(found.row_user, found.item_num, found.rank, strict=True)) == wanted

    score_of = {row[:2]: row[2] for row in rows}
    expected = [score_of[user, item] for user, item in zip(found.row_user, found.item_num, strict=True)]
    np.testing.assert_array_equal(found.score, np.array(expected, np.float32))
    assert found.origins == ("one",) and not found.origin.any()
    assert found.rank.dtype == found.item_num.dtype == np.int32 and found.score.dtype == np.float32


@settings(deadline=None)
@given(rows=rows, seed=st.integers(0, 99))
def test_order_of_the_rows_does_not_matter(rows, seed):
    users = np.array([1, 2, 3, 4], np.int32)
    row_user, item_num, score = columns_of(rows)
    shuffled = np.random.default_rng(seed).permutation(len(rows))

    straight = take_top_k(users, row_user, item_num, score, top_k=3, origin="one")
    mixed = take_top_k(users, row_user[shuffled], item_num[shuffled], score[shuffled], top_k=3, origin="one")

    np.testing.assert_array_equal(straight.row_user, mixed.row_user)
    np.testing.assert_array_equal(straight.item_num, mixed.item_num)


def test_equal_scores_go_by_item_number():
    found = take_top_k(
        np.array([5], np.int32),
        np.zeros(4, np.int64),
        np.array([9, 2, 4, 3], np.int32),
        np.array([1, 1, 2, 1], np.float32),
        top_k=3,
        origin="one",
    )
    assert found.item_num.tolist() == [4, 2, 3]


def test_an_asked_user_without_rows_stays_visible():
    users = np.array([4, 0, 6], np.int32)
    row_user, item_num, score = columns_of([(2, 1, 0.5), (0, 3, 0.5), (0, 2, 1.0)])
    found = take_top_k(users, row_user, item_num, score, top_k=5, origin="one")

    assert found.users.tolist() == [4, 0, 6]
    assert found.starts.tolist() == [0, 2, 2, 3]
    assert found.user_num.tolist() == [4, 4, 6]
    assert len(found) == 3


def test_select_keeps_the_asked_users():
    users = np.array([4, 6], np.int32)
    row_user, item_num, score = columns_of([(0, 1, 0.5), (1, 3, 0.5)])
    found = take_top_k(users, row_user, item_num, score, top_k=5, origin="one")
    kept = found.select(found.item_num == 3)

    assert kept.users.tolist() == [4, 6]
    assert kept.starts.tolist() == [0, 0, 1]
    assert (kept.item_num.tolist(), kept.rank.tolist(), kept.origin.tolist()) == ([3], [1], [0])


def test_of_users_asks_for_some_alone():
    users = np.array([4, 0, 6, 9], np.int32)
    row_user, item_num, score = columns_of([(0, 1, 0.5), (0, 2, 0.4), (2, 3, 0.5), (3, 7, 0.5), (3, 8, 0.1)])
    found = take_top_k(users, row_user, item_num, score, top_k=5, origin="one")
    source_score = np.arange(10, dtype=np.float32).reshape(5, 2)
    found = replace(found, origins=("one", "two"), source_score=source_score, source_rank=source_score.astype(np.int32))
    own = found.of_users(np.array([1, 3]))

    assert own.users.tolist() == [0, 9]
    assert own.row_user.tolist() == [1, 1]
    assert own.starts.tolist() == [0, 0, 2]
    assert (own.item_num.tolist(), own.rank.tolist()) == ([7, 8], [1, 2])
    assert own.source_score.tolist() == [[6, 7], [8, 9]] == own.source_rank.tolist()
    nobody = found.of_users(np.zeros(0, np.int64))
    assert (len(nobody), nobody.users.tolist(), nobody.starts.tolist()) == (0, [], [0])


def test_origins_and_scores_and_ranks_of_sources_go_with_their_row():
    users = np.array([4, 6], np.int32)
    row_user, item_num, score = columns_of([(1, 5, 0.1), (0, 1, 0.5), (0, 3, 0.7), (0, 2, 0.6)])
    found = take_top_k(users, row_user, item_num, score, top_k=5, origin="one")
    assert found.sources == ()
    by_source = np.stack([found.item_num, -found.item_num], axis=1)
    found = replace(found, source_score=by_source.astype(np.float32), source_rank=by_source.astype(np.int32))
    found = replace(found, origin=(found.item_num % 2).astype(np.int8), origins=("one", "two"))
    turned = order_by(found, -found.score, top_k=2)

    assert turned.sources == ("one", "two")
    assert turned.item_num.tolist() == [1, 2, 5]
    assert turned.origin.tolist() == [1, 0, 1]
    assert turned.rank.tolist() == [1, 2, 1]
    assert turned.score.tolist() == [-0.5, np.float32(-0.6), np.float32(-0.1)]
    assert turned.source_score.tolist() == [[1, -1], [2, -2], [5, -5]]
    assert turned.source_rank.tolist() == [[1, -1], [2, -2], [5, -5]]
    assert turned.select(turned.item_num == 2).source_rank.tolist() == [[2, -2]]


def test_many_lists_of_unlike_length_are_sorted_as_by_one_long_sort() -> None:
    generator = np.random.default_rng(0)
    lengths = generator.integers(0, 40, 700)
    row_user = np.arange(700).repeat(lengths)
    item_num = generator.permutation(len(row_user)).astype(np.int32)
    score = generator.integers(-3, 4, len(row_user)).astype(np.float32)
    users = np.arange(700, dtype=np.int32)
    found = take_top_k(users, row_user, item_num, score, top_k=10_000, origin="one")

    order = np.lexsort((item_num, -score, row_user))
    assert found.item_num.tolist() == item_num[order].tolist()
    assert found.rank.tolist() == [place for length in lengths for place in range(1, length + 1)]
    top = take_top_k(users, row_user, item_num, score, top_k=7, origin="one")
    assert top.item_num.tolist() == found.item_num[found.rank <= 7].tolist()
