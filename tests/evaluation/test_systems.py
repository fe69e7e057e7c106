"""evaluate_lists: who is judged, at which depths, and what is refused."""

import numpy as np
import pytest

from belfry.dataset.errors import InputError
from belfry.evaluation.systems import LeftOut, evaluate_lists


@pytest.fixture
def judge(events, lists):
    def run(recommended, withheld, **options):
        history = events({1: [9], 2: [8]}, n_users=6, n_items=9)
        test = events(withheld, n_users=6, n_items=9).seen_items
        return evaluate_lists("mine", lists(recommended), test, history, **{"top_k": 10, "seed": 0} | options)

    return run


def test_users_without_a_test_part_are_left_out_and_counted(judge):
    result = judge({3: [1], 1: [2], 0: [4], 5: [2]}, {1: [2], 3: [9], 2: [1], 6: [1]})
    assert result.users.tolist() == [1, 3]
    assert result.per_user["hit_rate@10"].tolist() == [1, 0]
    assert result.left_out == (
        LeftOut("asked for, but without a known item in the test part", 2),
        LeftOut("in the test part, but not asked for", 2),
    )


def test_an_empty_list_counts_with_zeros(judge):
    result = judge({1: [2], 2: []}, {1: [2], 2: [3]})
    assert result.metrics["recall@10"].mean == 0.5
    assert result.metrics["recall@10"].n_users == 2
    assert result.metrics["novelty@10"].n_users == 1
    assert result.left_out == ()


def test_recall_is_taken_as_deep_as_lists_were_asked_for(judge):
    names = judge({1: [2]}, {1: [2]}, top_k=100).metrics
    assert [name for name in names if name.startswith("recall")] == ["recall@10", "recall@50", "recall@100"]
    names = judge({1: [2]}, {1: [2]}, top_k=10, n=5, cutoffs=(10, 20)).metrics
    assert [name for name in names if name.startswith("recall")] == ["recall@5", "recall@10"]


def test_every_metric_is_there(judge):
    assert list(judge({1: [2]}, {1: [2]}).metrics) == [
        "ndcg@10",
        "recall@10",
        "precision@10",
        "mrr@10",
        "map@10",
        "hit_rate@10",
        "novelty@10",
        "mean_popularity@10",
        "popularity_lift@10",
        "intra_list_diversity@10",
        "coverage@10",
        "gini@10",
    ]


def test_the_order_of_asking_changes_nothing(judge):
    recommended = {user: [user, user + 1] for user in (1, 2, 3, 4)}
    withheld = {1: [2], 2: [9], 3: [3], 4: [5, 6]}
    forwards = judge(recommended, withheld)
    backwards = judge(dict(reversed(recommended.items())), withheld)
    assert forwards.metrics.keys() == backwards.metrics.keys()
    for name, values in forwards.per_user.items():
        np.testing.assert_array_equal(backwards.per_user[name], values, err_msg=name)


def test_short_lists_and_foreign_tests_are_refused(judge):
    with pytest.raises(InputError, match="mine: lists of 5 cannot be judged at 10; ask for at least 10 items"):
        judge({1: [2]}, {1: [2]}, top_k=5)
    with pytest.raises(InputError, match="none of the 2 asked users has a known item in the test part"):
        judge({1: [2], 2: [3]}, {3: [2]})
