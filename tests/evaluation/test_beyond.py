"""Measures beyond accuracy against hand-worked values and a slow, plain counterpart."""

import json
import time
from itertools import combinations
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from belfry.dataset.interactions import Interactions
from belfry.dataset.vocabulary import Vocabulary
from belfry.evaluation import beyond

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "beyond.json").read_text())


@pytest.fixture
def context():
    users, items = zip(*GOLDEN["history"], strict=True)
    catalogue = Vocabulary(pa.array(GOLDEN["catalogue"]))
    table = pa.table({"user_id": users, "item_id": items})
    history = Interactions.from_table(table, items=catalogue)
    lists = np.zeros((4, 2), np.int32)
    for row, listed in enumerate(GOLDEN["lists"].values()):
        lists[row, : len(listed)] = [catalogue.number(item) for item in listed]
    return lists, history


def test_hand_worked_values(context):
    lists, history = context
    own = float(np.nanmean(beyond.history_popularity(np.array([1, 2, 3, 4], np.int32), history)))
    assert beyond.coverage(lists, 5) == GOLDEN["coverage"]
    assert beyond.gini(lists, 5) == pytest.approx(GOLDEN["gini"], abs=1e-15)
    per_user = {
        "novelty": beyond.novelty(lists, history),
        "mean_popularity": beyond.mean_popularity(lists, history),
        "popularity_lift": beyond.popularity_lift(lists, history, own),
        "intra_list_diversity": beyond.intra_list_diversity(lists, history),
    }
    for name, values in per_user.items():
        expected = np.array(GOLDEN[name], dtype=np.float64)  # null becomes NaN
        np.testing.assert_allclose(values, expected, rtol=0, atol=1e-12, err_msg=name)


def test_gini_of_an_even_and_of_a_single_minded_showing():
    assert beyond.gini(np.array([[1, 2], [3, 4]], np.int32), 4) == 0
    assert beyond.gini(np.array([[1, 0], [1, 0]], np.int32), 4) == pytest.approx(1 - 1 / 4)
    assert np.isnan(beyond.gini(np.zeros((2, 2), np.int32), 4))


def test_everything_is_as_new_where_nobody_has_a_history(context):
    lists, history = context
    assert beyond.novelty(lists, history.select(np.zeros(len(history), np.bool_)))[0] == 0


def test_one_item_has_no_diversity(context):
    lists, history = context
    assert np.isnan(beyond.intra_list_diversity(lists[:, :1], history)).all()


def random_history(n_users, n_items, n_events):
    generator = np.random.default_rng(1)
    users, items = (Vocabulary(pa.array(range(1, n + 1))) for n in (n_users, n_items))
    share = 1 / np.arange(1, n_items + 1)
    return Interactions(
        users,
        items,
        generator.integers(1, n_users + 1, n_events).astype(np.int32),
        (1 + generator.choice(n_items, n_events, p=share / share.sum())).astype(np.int32),
    )


def test_diversity_is_one_minus_the_mean_cosine(monkeypatch):
    monkeypatch.setattr(beyond, "_WORDS_PER_BLOCK", 16)  # many blocks
    history = random_history(n_users=150, n_items=30, n_events=900)
    generator = np.random.default_rng(2)
    lists = np.array([generator.permutation(30)[:5] for _ in range(20)], np.int32)  # item 0 is padding
    columns = history.matrix.toarray()
    for row, value in enumerate(beyond.intra_list_diversity(lists, history)):
        similarities = [
            columns[:, a] @ columns[:, b] / np.sqrt(columns[:, a].sum() * columns[:, b].sum())
            for a, b in combinations(lists[row][lists[row] > 0], 2)
        ]
        assert value == pytest.approx(1 - np.mean(similarities), abs=1e-6)


def test_diversity_of_ten_thousand_users_takes_seconds():
    history = random_history(n_users=10_000, n_items=3_000, n_events=300_000)
    lists = np.random.default_rng(2).integers(1, 3_001, (10_000, 10), dtype=np.int32)
    started = time.process_time()  # not the clock: other tests may share the cores
    beyond.intra_list_diversity(lists, history)
    assert time.process_time() - started < 2


def test_serendipity_counts_hits_that_popularity_would_have_missed(events):
    history = events({1: [1, 2], 2: [1, 2], 3: [1], 4: [3], 5: [4]}, n_users=5, n_items=6)
    users = np.array([4, 5], np.int32)
    lists = np.array([[1, 6], [1, 3]], np.int32)  # the popular two of user 4 are 1 and 2, of user 5 too
    hits = np.array([[True, True], [True, True]])
    assert beyond.serendipity(lists, hits, users, history).tolist() == [0.5, 0.5]
    seen_both = beyond.serendipity(
        np.array([[3, 4]], np.int32), np.array([[True, True]]), np.array([1], np.int32), history
    )
    assert seen_both.tolist() == [0]  # who has seen 1 and 2 would get 3 and 4


def test_miscalibration_is_the_divergence_of_shares(events):
    history = events({1: [1, 2], 2: [1], 3: []}, n_users=3, n_items=3)
    shares = np.array([[0, 0], [1, 0], [0, 1], [0, 0]], np.float64)
    users = np.array([1, 2, 3], np.int32)
    found = beyond.miscalibration(np.array([[1, 2], [2, 0], [1, 0]], np.int32), users, history, shares)
    assert found[0] == pytest.approx(0)
    assert found[1] == pytest.approx(np.log(1 / 0.01))
    assert np.isnan(found[2])
