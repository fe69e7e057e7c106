"""Metrics against hand-worked values and as properties."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from belfry.dataset.history.seen_items import SeenItems
from belfry.evaluation import metrics

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "metrics.json").read_text())


def every_metric(hits, n_relevant):
    return {
        "ndcg": metrics.ndcg(hits, n_relevant),
        "recall": metrics.recall(hits, n_relevant),
        "precision": metrics.precision(hits),
        "mrr": metrics.mrr(hits),
        "map": metrics.average_precision(hits, n_relevant),
        "hit_rate": metrics.hit_rate(hits),
    }


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: case["name"])
def test_hand_worked_values(case, events, lists):
    test = events({1: case["test"]}, n_users=1, n_items=9).seen_items
    users = np.array([1], np.int32)
    hits = metrics.hits(metrics.lists_of(lists({1: case["list"]}), case["n"]), users, test)
    for name, values in every_metric(hits, test.count(users)).items():
        assert values == pytest.approx([case[name]], abs=1e-15), name


def test_lists_are_padded_cut_and_in_the_order_asked(lists):
    made = metrics.lists_of(lists({7: [4, 2, 9], 3: [], 5: [1]}), 2)
    assert made.dtype == np.int32
    assert made.tolist() == [[4, 2], [0, 0], [1, 0]]


def test_hits_look_at_the_right_user(events):
    test = events({1: [1, 3], 3: [2]}, n_users=3, n_items=3).seen_items
    listed = np.array([[2, 1, 0], [1, 3, 2], [3, 2, 1]], np.int32)
    assert metrics.hits(listed, np.array([3, 2, 1], np.int32), test).tolist() == [
        [True, False, False],
        [False, False, False],
        [True, False, True],
    ]


def test_nothing_is_among_no_pairs():
    users, items = np.array([0, 1], np.int32), np.array([0, 3], np.int32)
    assert not SeenItems.nothing(2).contains(users, items).any()


@st.composite
def judged_lists(draw):
    """hits [n_users, n] and n_relevant [n_users], at least as many as hits."""
    n_users, n = draw(st.integers(1, 6)), draw(st.integers(1, 8))
    rows = st.lists(st.lists(st.booleans(), min_size=n, max_size=n), min_size=n_users, max_size=n_users)
    hits = np.array(draw(rows))
    missed = draw(st.lists(st.integers(0, 9), min_size=n_users, max_size=n_users))
    return hits, np.maximum(hits.sum(axis=1) + missed, 1)


@given(judged_lists())
def test_no_order_surpasses_the_one_with_all_hits_in_front(judged):
    hits, n_relevant = judged
    in_front = np.sort(hits, axis=1)[:, ::-1]
    best = metrics.ndcg_of_best_order(hits.sum(axis=1), n_relevant, hits.shape[1])
    np.testing.assert_allclose(best, metrics.ndcg(in_front, n_relevant), rtol=1e-12)


def test_more_hits_than_places_fill_the_list():
    found = metrics.ndcg_of_best_order(np.array([0, 1, 3]), np.array([3, 3, 4]), 2)
    assert found == pytest.approx([0, 1 / (1 + 1 / np.log2(3)), 1])


def test_gains_by_hand():
    gains = np.array([[0.0, 2.0, 0.0], [0.0, 0.0, 0.0], [1.0, 1.0, 0.0]])
    np.testing.assert_array_equal(
        metrics.weighted_recall(gains, np.array([4.0, 0.0, 2.0])), [0.5, np.nan, 1], strict=True
    )
    row, gain = np.array([2, 0, 0, 2, 2]), np.array([1.0, 2.0, 3.0, 0.5, 0.25])
    ideal = metrics.ideal_gain(row, gain, 4, 2)
    third = 1 / np.log2(3)
    np.testing.assert_allclose(ideal, [3 + 2 * third, 0, 1 + 0.5 * third, 0], strict=True)
    wanted = [2 * third / (3 + 2 * third), np.nan, (1 + third) / (1 + 0.5 * third)]
    np.testing.assert_allclose(metrics.weighted_ndcg(gains, ideal[:3]), wanted, strict=True)


@given(judged_lists())
def test_every_metric_lies_between_0_and_1(judged):
    hits, n_relevant = judged
    for name, values in every_metric(hits, n_relevant).items():
        assert (values.shape, values.dtype) == ((len(hits),), np.float64), name
        assert (values >= 0).all(), name
        assert (values <= 1 + 1e-12).all(), name
        assert (values[~hits.any(axis=1)] == 0).all(), name


@given(judged_lists(), st.randoms(use_true_random=False))
def test_values_follow_their_users(judged, random):
    hits, n_relevant = judged
    order = np.array(random.sample(range(len(hits)), len(hits)))
    shuffled = every_metric(hits[order], n_relevant[order])
    for name, values in every_metric(hits, n_relevant).items():
        np.testing.assert_allclose(shuffled[name], values[order], rtol=1e-12, err_msg=name)


@given(judged_lists(), st.data())
def test_one_more_hit_never_lowers_a_metric(judged, data):
    hits, n_relevant = judged
    row = data.draw(st.integers(0, len(hits) - 1))
    n_relevant[row] = max(n_relevant[row], hits[row].sum() + 1)
    more = hits.copy()
    more[row, data.draw(st.integers(0, hits.shape[1] - 1))] = True
    before = every_metric(hits, n_relevant)
    for name, values in every_metric(more, n_relevant).items():
        assert (values >= before[name] - 1e-12).all(), name


@given(judged_lists(), st.data())
def test_a_hit_moved_up_never_lowers_a_metric(judged, data):
    hits, n_relevant = judged
    rank = data.draw(st.integers(0, hits.shape[1] - 1))
    moved = hits.copy()
    moved[:, : rank + 1] = np.roll(hits[:, : rank + 1], 1, axis=1)
    moved = np.where(hits[:, [rank]], moved, hits)
    before = every_metric(hits, n_relevant)
    for name, values in every_metric(moved, n_relevant).items():
        assert (values >= before[name] - 1e-12).all(), name
