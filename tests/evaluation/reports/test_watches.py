"""Lists by how often test items had been watched before: hand-worked."""

import pytest

from belfry.evaluation.context import EvaluationContext
from belfry.evaluation.engine import SystemScores, evaluate
from belfry.evaluation.lists import CandidateLists
from belfry.evaluation.plan import Plan
from belfry.evaluation.reports.comparison.slices import slices
from belfry.evaluation.reports.watches import slices_by_watches


@pytest.fixture
def judged(context):
    """Item 1 has six watches, item 2 one, item 3 none. Users 1 to 6 come to watch 3, user 1 also 2, user 7 also 1."""
    before = {user: [1] for user in range(1, 7)} | {7: [2]}
    later = {user: [3] for user in range(2, 7)} | {1: [2, 3], 7: [1]}
    return context(before, later, n_items=3)


@pytest.fixture
def systems(judged: EvaluationContext, lists) -> dict[str, SystemScores]:
    """One knows nothing of item 3; the other puts it first."""
    found = {}
    for name, listed in (
        ("old", {user: [2] for user in range(1, 7)} | {7: [1]}),
        ("new", {user: [3] for user in range(1, 8)}),
    ):
        plan = Plan.of_evaluation(name, 2, depth=2, cutoffs=())
        found[name] = evaluate(CandidateLists([lists(listed)], judged.users), judged, plan)
    return found


def test_each_kind_of_item_counts_for_those_who_watch_it_later(judged, systems) -> None:
    none, few, more = slices_by_watches(systems, judged, seed=0)
    assert [(part.watches, part.n_items, part.n_test) for part in (none, few, more)] == [
        ("0", 1, 6),
        ("1 to 5", 1, 1),
        ("over 5", 1, 1),
    ]
    assert [[system.ndcg.mean for system in part.systems] for part in (none, few, more)] == [[0, 1], [1, 0], [1, 0]]
    assert [system.ndcg.n_users for system in none.systems] == [6, 6]
    assert [[system.share for system in part.systems] for part in (none, few, more)] == [
        [0, 1],
        [pytest.approx(6 / 7), 0],
        [pytest.approx(1 / 7), 0],
    ]


def test_comparisons_have_the_same_slices(judged, systems) -> None:
    found = slices(judged, systems["old"], systems["new"], "ndcg@2", judged=judged.users > 0, seed=0)
    ours = [(one.group, one.n_users, one.difference) for one in found if one.dimension == "watches of test items"]
    assert ours == [("0", 6, 1.0), ("1 to 5", 1, -1.0), ("over 5", 1, -1.0)]
