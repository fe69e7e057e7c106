"""Every metric of the registry against ranx and ir-measures: ties, short and missing lists, graded ratings."""

import ir_measures
import numpy as np
import pyarrow as pa
import pytest

from belfry.evaluation.engine import evaluate
from belfry.evaluation.groups import Categories
from belfry.evaluation.lists import CandidateLists
from belfry.evaluation.plan import Plan
from belfry.evaluation.registry import ACCURACY, METRICS, METRICS_OF_ALL, better, label_of
from belfry.evaluation.reports.comparison.judged import ScoredSystem

N_USERS, N_ITEMS = 60, 70
CUTOFFS = (1, 5, 10, 50)


@pytest.fixture(scope="module")
def ranx():
    """ranx without Numba's compiler: compiling its metrics takes minutes, running them here does not."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NUMBA_DISABLE_JIT", "1")
        import ranx

        return ranx


@pytest.fixture(params=[0, 1])
def scored(request, context, score, nothing_seen):
    """(scores, lists by user, test part by user, ratings) of random tables; the order is that of scores, many tied."""
    generator = np.random.default_rng(request.param)
    users = range(1, N_USERS + 1)
    later = {u: (generator.permutation(N_ITEMS)[: generator.integers(0, 15)] + 1).tolist() for u in users}
    before = {u: (generator.permutation(N_ITEMS)[: generator.integers(0, 9)] + 1).tolist() for u in users}
    before[1] = [1, 2]
    later[N_USERS] = [3]
    ratings = {(u, i): float(generator.integers(1, 6)) for u, items in later.items() for i in items}
    rows = []
    for user in users:
        n = generator.integers(1, 60) * (generator.random() > 0.1)
        items = (generator.permutation(N_ITEMS)[:n] + 1).tolist()
        rows += [(user, item, float(value)) for item, value in zip(items, generator.integers(0, 6, n), strict=True)]
    order = generator.permutation(len(rows))
    names = ("user_id", "item_id", "score")
    table = pa.table({name: [rows[place][column] for place in order] for column, name in enumerate(names)})
    lists: dict[int, list[int]] = {}
    for user, item, _ in sorted(rows, key=lambda row: (row[0], -row[2], row[1])):  # ties by item id
        lists.setdefault(user, []).append(item)
    judged = context(before, later, n_items=N_ITEMS, ratings=ratings, seen=nothing_seen, liked_from=4.0)
    scores = score(table, judged, 10, CUTOFFS, n_parts=7)
    assert len(lists) < N_USERS
    assert not all(later.values())
    return scores, lists, {u: items for u, items in later.items() if items}, ratings


def as_run(lists):
    """Ranks as falling scores, for the libraries break ties otherwise."""
    return {f"{u:03}": {f"{i:03}": -float(rank) for rank, i in enumerate(items)} for u, items in lists.items()}


def test_agrees_with_ranx(scored, ranx):
    scores, lists, later, _ = scored
    qrels = ranx.Qrels({f"{u:03}": {f"{i:03}": 1 for i in items} for u, items in later.items()})
    run = ranx.Run(as_run({u: items for u, items in lists.items() if u in later}))
    names = [f"{metric}@{n}" for metric in ACCURACY for n in CUTOFFS]
    theirs = ranx.evaluate(qrels, run, names, return_mean=False, make_comparable=True)
    for name in names:
        np.testing.assert_allclose(scores.per_user[name], theirs[name], rtol=0, atol=1e-9, err_msg=name)
        assert scores.per_user[name].mean() == pytest.approx(theirs[name].mean(), abs=1e-9)


def test_agrees_with_ir_measures(scored):
    scores, lists, later, ratings = scored
    run = [ir_measures.ScoredDoc(u, i, s) for u, items in as_run(lists).items() for i, s in items.items()]
    plain = [ir_measures.Qrel(f"{u:03}", f"{i:03}", 1) for u, items in later.items() for i in items]
    graded = [ir_measures.Qrel(f"{u:03}", f"{i:03}", int(ratings[u, i])) for u, items in later.items() for i in items]
    liked = [
        ir_measures.Qrel(f"{u:03}", f"{i:03}", int(ratings[u, i] >= 4)) for u, items in later.items() for i in items
    ]
    kinds = {
        "ndcg": ir_measures.nDCG,
        "recall": ir_measures.R,
        "precision": ir_measures.P,
        "mrr": ir_measures.RR,
        "map": ir_measures.AP,
        "hit_rate": ir_measures.Success,
    }
    wanted = [(f"{name}@{n}", kind @ n, plain) for name, kind in kinds.items() for n in CUTOFFS]
    wanted += [("ndcg_rated@10", ir_measures.nDCG @ 10, graded), ("ndcg_liked@10", ir_measures.nDCG @ 10, liked)]
    wanted += [("recall_liked@10", ir_measures.R @ 10, liked)]
    for name, measure, qrels in wanted:
        theirs = {value.query_id: value.value for value in ir_measures.iter_calc([measure], qrels, run)}
        ours = dict(zip(sorted(later), scores.per_user[name], strict=True))
        known = {u: value for u, value in ours.items() if not np.isnan(value)}
        for user, value in known.items():
            assert value == pytest.approx(theirs[f"{user:03}"], abs=1e-9), (name, user)
        if qrels is not liked:  # who liked nothing has no value of ours, and a 0 of theirs
            assert len(known) == len(later)
            mean = ir_measures.calc_aggregate([measure], qrels, run)[measure]
            assert np.mean(list(known.values())) == pytest.approx(mean, abs=1e-9)


def test_debiased_metrics_are_what_their_formula_says(scored, context):
    found = scored[0].per_user["recall_debiased@10"]
    assert ((found >= 0) & (found <= 1)).all()
    judged = context({1: [1, 2], 2: [1], 3: [1, 3], 4: [1]}, {1: [3, 4]}, n_items=4)
    weight = judged.item_weight
    assert weight.tolist() == pytest.approx([0, 0.5, 1, 1, 1])  # item 1 has 4 watchers, item 4 none: as one


def test_debiased_recall_by_hand(context, score):
    judged = context({1: [5], 2: [1], 3: [1], 4: [1], 5: [1]}, {1: [1, 2]}, n_items=5)
    table = pa.table({"user_id": [1, 1], "item_id": [1, 3], "rank": [1, 2]})
    scores = score(table, judged, 2)
    assert scores.per_user["recall_debiased@2"].tolist() == pytest.approx([0.5 / 1.5])
    ideal = 1 + 0.5 / np.log2(3)  # the rare item first
    assert scores.per_user["ndcg_debiased@2"].tolist() == pytest.approx([0.5 / ideal])
    assert scores.per_user["recall@2"].tolist() == [0.5]


def test_rating_of_hits_is_over_rated_hits(context, score):
    judged = context({1: [5], 2: [5]}, {1: [1, 2, 3], 2: [1]}, n_items=5, ratings={(1, 1): 4.0, (1, 2): 1.0})
    table = pa.table({"user_id": [1, 1, 1, 2], "item_id": [1, 2, 3, 4], "rank": [1, 2, 3, 1]})
    values = score(table, judged, 3).per_user["rating_of_hits@3"]
    assert values[0] == 2.5
    assert np.isnan(values[1])


def test_runs_of_training_are_averaged_per_user(context, score):
    judged = context({1: [5], 2: [5]}, {1: [1], 2: [1]}, n_items=5)
    tables = [pa.table({"user_id": [1, 2], "item_id": items, "rank": [1, 1]}) for items in ([1, 2], [1, 1])]
    merged = ScoredSystem("both", tuple(score(table, judged, 1) for table in tables), ()).merged
    assert merged.per_user["ndcg@1"].tolist() == [1, 0.5]
    assert merged.exposure.tolist() == [0, 3, 1, 0, 0, 0]


def test_lift_is_unknown_when_nobody_has_a_history(context, score):
    judged = context({}, {1: [1], 2: [2]}, n_items=5)
    table = pa.table({"user_id": [1, 2], "item_id": [1, 4], "rank": [1, 1]})
    assert np.isnan(score(table, judged, 1).per_user["popularity_lift@1"]).all()


def test_no_name_is_there_twice():
    names = [metric.name for metric in (*METRICS, *METRICS_OF_ALL)]
    assert len(set(names)) == len(names)
    assert (better("ndcg@10"), better("gini@5"), better("novelty@10")) == ("higher", "lower", None)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_lists_in_parts_have_the_values_of_lists_as_a_whole(metric, context, lists):
    """What a metric says of a user depends on no other user's lists, and every need is declared."""
    users = range(1, 13)
    judged = context({u: [u] for u in users}, {u: [u + 1, u + 2] for u in users}, n_items=20)
    if metric.needs - judged.known:
        judged = context(
            {u: [u] for u in users},
            {u: [u + 1, u + 2] for u in users},
            n_items=20,
            ratings={(u, u + 1): float(u % 5 + 1) for u in users},
            liked_from=3.0,
            categories=Categories("genres", ("a", "b"), np.tile([[1.0, 0.0], [0.5, 0.5]], (11, 1))[:21]),
        )
    plan = Plan(5, ((metric, 5),))
    listed = {u: [u + 2, u + 3, u + 1][: u % 4] for u in users}
    whole = evaluate(CandidateLists([lists(listed)], judged.users), judged, plan)
    parts = [lists({u: listed[u]}) for u in reversed(users) if listed[u]]
    (values,) = evaluate(CandidateLists(parts, judged.users), judged, plan).per_user.values()
    np.testing.assert_array_equal(values, whole.per_user[f"{metric.name}@5"])
    assert values.shape == (12,)
    assert not np.isnan(values).all()


def test_names_for_people():
    assert [label_of(name) for name in ("ndcg@10", "hit_rate@5", "has_list@10")] == [
        "NDCG@10",
        "hit rate@5",
        "share of users with a list",
    ]
