"""evaluate: who is judged, at which depths, what an empty list counts, and what is refused."""

import numpy as np
import pytest

from belfry.dataset.errors import InputError
from belfry.dataset.history.seen_items import SeenItems
from belfry.evaluation import engine
from belfry.evaluation.context import UserCount, make_context
from belfry.evaluation.engine import evaluate
from belfry.evaluation.lists import CandidateLists
from belfry.evaluation.plan import Plan


@pytest.fixture
def judge(events, lists):
    def run(recommended, withheld, *, depth=10, n=10, cutoffs=(10, 50, 100, 500)):
        history = events({1: [9], 2: [8]}, n_users=6, n_items=9)
        context, _ = make_context(history, events(withheld, n_users=6, n_items=9), seen=SeenItems.nothing(6))
        plan = Plan.of_evaluation("mine", n, depth=depth, cutoffs=cutoffs)
        return evaluate(CandidateLists([lists(recommended)], context.users), context, plan)

    return run


def test_only_users_with_a_test_item_are_judged(judge):
    scores = judge({3: [1], 1: [2], 0: [4], 5: [2]}, {1: [2], 3: [9]})
    assert scores.per_user["hit_rate@10"].tolist() == [1, 0]
    assert scores.exposure.sum() == 2


def test_a_short_an_empty_and_no_list_count_with_zeros(judge):
    scores = judge({1: [2], 2: []}, {1: [2], 2: [3], 4: [5]})
    found = scores.intervals(seed=0)
    assert found["recall@10"].mean == pytest.approx(1 / 3)
    assert found["recall@10"].n_users == 3
    assert found["novelty@10"].n_users == 1
    assert scores.has_list.tolist() == [True, False, False]


def test_recall_is_taken_as_deep_as_lists_were_asked_for(judge):
    names = judge({1: [2]}, {1: [2]}, depth=100).per_user
    assert [name for name in names if name.startswith("recall")] == ["recall@10", "recall@50", "recall@100"]
    names = judge({1: [2]}, {1: [2]}, depth=10, n=5, cutoffs=(10, 20)).per_user
    assert [name for name in names if name.startswith("recall")] == ["recall@5", "recall@10"]


def test_an_evaluation_has_these_metrics(judge):
    assert list(judge({1: [2]}, {1: [2]}).intervals(seed=0)) == [
        "ndcg@10",
        "recall@10",
        "precision@10",
        "hit_rate@10",
        "mrr@10",
        "map@10",
        "novelty@10",
        "mean_popularity@10",
        "popularity_lift@10",
        "intra_list_diversity@10",
        "coverage@10",
        "gini@10",
    ]


def test_the_order_of_asking_and_the_size_of_chunks_change_nothing(judge, monkeypatch):
    recommended = {user: [user, user + 1] for user in (1, 2, 3, 4)}
    withheld = {1: [2], 2: [9], 3: [3], 4: [5, 6]}
    forwards = judge(recommended, withheld)
    monkeypatch.setattr(engine, "USERS_PER_CHUNK", 3)
    backwards = judge(dict(reversed(recommended.items())), withheld)
    assert forwards.of_all == backwards.of_all
    for name, values in forwards.per_user.items():
        np.testing.assert_array_equal(backwards.per_user[name], values, err_msg=name)


def test_lists_that_are_too_short_are_refused():
    with pytest.raises(InputError, match="mine: lists of 5 cannot be judged at 10; ask for at least 10 items"):
        Plan.of_evaluation("mine", 10, depth=5, cutoffs=())


class TestContext:
    def test_who_is_left_out_and_why(self, events):
        history = events({1: [9], 2: [8, 7], 3: [1, 2, 3]}, n_users=6, n_items=9)
        later = events({0: [1], 1: [2, 9], 2: [1], 3: [1], 4: [0, 5], 5: [0]}, n_users=6, n_items=9)
        context, left_out = make_context(
            history, later, seen=history.seen_items, min_history=2, told=[UserCount("told before", 7)]
        )
        assert context.users.tolist() == [2]
        assert context.test.of(2).tolist() == [1]
        assert left_out == [
            UserCount("told before", 7),
            UserCount("no test row of an item that is in the catalogue and was not seen before", 2),
            UserCount("fewer than 2 earlier events", 2),
            UserCount("in part: 2 test rows of items outside of the catalogue", 2),
            UserCount("in part: 2 test rows of items that they had seen before", 2),
        ]

    def test_the_cold_are_judged_unless_a_history_is_asked_for(self, events):
        history, later = events({1: [9]}, n_users=2, n_items=9), events({1: [2], 2: [3]}, n_users=2, n_items=9)
        context, left_out = make_context(history, later, seen=history.seen_items)
        assert context.users.tolist() == [1, 2]
        assert left_out == [UserCount("judged without any history (cold)", 1)]

    def test_nobody_to_judge_is_refused(self, events):
        history = events({1: [9]}, n_users=2, n_items=9)
        with pytest.raises(InputError, match=r"test: no user can be judged \(it has no rows of known users\)"):
            make_context(history, events({0: [1]}, n_users=2, n_items=9), seen=history.seen_items)
