"""Metrics against two independent libraries, per user and as means, to 1e-9."""

import ir_measures
import numpy as np
import pytest

from belfry.evaluation.systems import evaluate_lists

N_USERS, N_ITEMS = 60, 80
METRICS = ("ndcg", "recall", "precision", "mrr", "map", "hit_rate")


@pytest.fixture(scope="module")
def ranx():
    """ranx without Numba's compiler: compiling its metrics takes minutes, running them here does not."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NUMBA_DISABLE_JIT", "1")
        import ranx

        return ranx


@pytest.fixture
def random_lists():
    """Lists of 0 to 25 items and test parts of 0 to 20 items, of users who are asked in no order."""
    generator = np.random.default_rng(3)
    items = np.arange(1, N_ITEMS + 1)
    users = generator.permutation(np.arange(1, N_USERS + 1)).tolist()
    recommended = {user: generator.permutation(items)[: generator.integers(0, 26)].tolist() for user in users}
    withheld = {user: generator.permutation(items)[: generator.integers(0, 21)].tolist() for user in users}
    assert not all(recommended.values())
    assert not all(withheld.values())
    return recommended, withheld


@pytest.fixture(params=[1, 5, 10, 50])
def result(request, random_lists, events, lists):
    recommended, withheld = random_lists
    test = events(withheld, n_users=N_USERS, n_items=N_ITEMS)
    return request.param, evaluate_lists(
        "random", lists(recommended), test.seen_items, test, top_k=50, cutoffs=(), n=request.param, seed=0
    )


def test_agrees_with_ranx(result, random_lists, ranx):
    n, ours = result
    recommended, withheld = random_lists
    qrels = ranx.Qrels({f"{u:03}": {str(i): 1 for i in items} for u, items in withheld.items() if items})
    run = ranx.Run(
        {f"{u:03}": {str(i): -float(rank) for rank, i in enumerate(items)} for u, items in recommended.items() if items}
    )
    names = [f"{metric}@{n}" for metric in METRICS]
    theirs = ranx.evaluate(qrels, run, names, return_mean=False, make_comparable=True)
    for name in names:  # ranx gives users in the order of their ids
        np.testing.assert_allclose(ours.per_user[name], theirs[name], rtol=0, atol=1e-9, err_msg=name)
        assert ours.metrics[name].mean == pytest.approx(np.mean(theirs[name]), abs=1e-9)


def test_agrees_with_ir_measures(result, random_lists):
    n, ours = result
    recommended, withheld = random_lists
    qrels = [ir_measures.Qrel(str(u), str(i), 1) for u, items in withheld.items() for i in items]
    run = [
        ir_measures.ScoredDoc(str(u), str(i), -float(rank))
        for u, items in recommended.items()
        for rank, i in enumerate(items)
    ]
    measures = dict(
        zip(
            METRICS,
            (ir_measures.nDCG, ir_measures.R, ir_measures.P, ir_measures.RR, ir_measures.AP, ir_measures.Success),
            strict=True,
        )
    )
    for metric, measure in measures.items():
        values = {value.query_id: value.value for value in ir_measures.iter_calc([measure @ n], qrels, run)}
        theirs = [values[str(user)] for user in ours.users]
        np.testing.assert_allclose(ours.per_user[f"{metric}@{n}"], theirs, rtol=0, atol=1e-9, err_msg=metric)
        mean = ir_measures.calc_aggregate([measure @ n], qrels, run)[measure @ n]
        assert ours.metrics[f"{metric}@{n}"].mean == pytest.approx(mean, abs=1e-9)
