"""Attribution: the three parts of 1, by hand and on any lists."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from belfry.dataset.candidates import take_top_k
from belfry.dataset.history.seen_items import SeenItems
from belfry.evaluation.reports.attribution import attribute_loss, attribution_lines


def second(place):
    return 1 / math.log2(place + 1)


def test_by_hand(events, lists):
    """User 1: one of two test items is a candidate, at place 3. User 2: all found and in front. User 3: no list."""
    test = events({1: [5, 9], 2: [1, 2], 3: [4]}, n_users=3, n_items=9).seen_items
    handed = lists({3: [], 1: [1, 2, 5, 6], 2: [2, 1, 3]})
    found = attribute_loss(handed, np.array([1, 2, 3], np.int32), test, n=3, seed=0)
    ideal = 1 + second(2)
    assert (found.n, found.depth) == (3, 4)
    assert found.reached.mean == pytest.approx((second(3) / ideal + 1) / 3)
    assert found.lost_by_retrieval.mean == pytest.approx((1 - 1 / ideal + 1) / 3)
    assert found.lost_by_ranking.mean == pytest.approx((1 - second(3)) / ideal / 3)
    assert found.candidate_recall.mean == pytest.approx((0.5 + 1) / 3)
    assert found.reached.n_users == 3


def test_what_is_found_beyond_n_is_no_loss_of_retrieval(events, lists):
    test = events({1: [5]}, n_users=1, n_items=9).seen_items
    found = attribute_loss(lists({1: [1, 2, 3, 5]}), np.array([1], np.int32), test, n=2, seed=0)
    assert (found.reached.mean, found.lost_by_retrieval.mean, found.lost_by_ranking.mean) == (0, 0, 1)


def test_lists_shorter_than_n(events, lists):
    test = events({1: [5, 6, 7]}, n_users=1, n_items=9).seen_items
    found = attribute_loss(lists({1: [5]}), np.array([1], np.int32), test, n=10, seed=0)
    assert found.depth == 1
    assert found.lost_by_ranking.mean == 0
    assert found.reached.mean == pytest.approx(1 / (1 + second(2) + second(3)))


@settings(deadline=None, max_examples=30)
@given(
    ranked=st.lists(st.permutations(range(1, 13)), min_size=1, max_size=4),
    length=st.integers(0, 12),
    n=st.integers(1, 12),
    n_test=st.integers(1, 12),
)
def test_the_parts_add_up_and_none_is_negative(ranked, length, n, n_test):
    n_users = len(ranked)
    users = np.arange(1, n_users + 1, dtype=np.int32)
    lengths = np.full(n_users, length)
    items = np.array([items[:length] for items in ranked], np.int32).ravel()
    handed = take_top_k(
        users, np.repeat(np.arange(n_users), lengths), items, np.zeros(len(items), np.float32), top_k=12, origin="o"
    )
    starts = np.append(0, np.arange(n_users + 1) * n_test).astype(np.int64)
    test = SeenItems(starts, np.tile(np.arange(1, n_test + 1, dtype=np.int32), n_users))
    found = attribute_loss(handed, users, test, n=n, seed=0)
    parts = [found.reached, found.lost_by_retrieval, found.lost_by_ranking]
    assert sum(part.mean for part in parts) == pytest.approx(1)
    assert min(part.mean for part in parts) > -1e-12


def test_the_lines_say_both_losses(events, lists):
    test = events({1: [5, 9]}, n_users=1, n_items=9).seen_items
    found = attribute_loss(lists({1: [5, 1]}), np.array([1], np.int32), test, n=1, seed=0)
    first, retrieval, ranking = attribution_lines(found)
    assert "NDCG@1 of 1. These lists reach 1.000" in first
    assert "Retrieval loses 0.000" in retrieval
    assert "up to 2 of them for a user" in retrieval
    assert "hold 50% of a user's test items" in retrieval
    assert ranking.startswith("Ranking loses 0.000")
