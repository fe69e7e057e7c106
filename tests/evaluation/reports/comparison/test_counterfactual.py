"""Counterfactual estimates of a made-up log whose truth is known, and refusals in words."""

import numpy as np
import pyarrow as pa
import pytest

from belfry.evaluation.reports.comparison.counterfactual import Log, evaluate_log

N_USERS, N_ITEMS, N = 400, 12, 3
WORTH = np.linspace(0.05, 0.6, N_ITEMS)  # chance that a shown item is taken, by item


@pytest.fixture
def judged(context, nothing_seen):
    users = range(1, N_USERS + 1)
    return context({u: [1] for u in users}, {u: [2, 3] for u in users}, n_items=N_ITEMS, seen=nothing_seen)


@pytest.fixture
def systems(judged, score):
    """A lists the three items of the least worth to everybody, B those of the most."""
    found = []
    for items in ([1, 2, 3], [10, 11, 12]):
        user = np.repeat(np.arange(1, N_USERS + 1), N)
        table = pa.table({"user_id": user, "item_id": items * N_USERS, "rank": [1, 2, 3] * N_USERS})
        found.append(score(table, judged, N))
    return found


def made_log(generator, chances, n_rows=20):
    """Rows of every user, items drawn with `chances`."""
    row = np.repeat(np.arange(N_USERS), n_rows)
    item = generator.choice(N_ITEMS, len(row), p=chances)
    reward = (generator.random(len(row)) < WORTH[item]).astype(np.float64)
    return Log(row, item + 1, reward, chances[item])


def test_every_estimator_finds_the_truth_under_a_skewed_log(judged, systems):
    chances = np.linspace(3, 1, N_ITEMS) / np.linspace(3, 1, N_ITEMS).sum()
    truth = WORTH[:3].mean(), WORTH[-3:].mean()
    inside = 0
    for seed in range(10):
        found = evaluate_log(made_log(np.random.default_rng(seed), chances), *systems, judged, seed=0)
        assert not found.refused
        assert found.support_baseline == pytest.approx(1, abs=0.15)
        for value in found.values:
            assert value.baseline == pytest.approx(truth[0], abs=0.05)
            assert value.challenger == pytest.approx(truth[1], abs=0.06)
            inside += value.low <= truth[1] - truth[0] <= value.high
    assert inside >= 26  # of 30, which 95% intervals fall short of in 1 of 50 cases
    widths = {value.estimator: value.high - value.low for value in found.values}
    assert widths["doubly robust"] < widths["IPS"]
    # All weights are equal for the items of a list only where the log is uniform; here some rows are worth less.
    n_shown = sum(item >= 10 for item in made_log(np.random.default_rng(9), chances).item_num)
    assert 0.9 * n_shown < found.effective_challenger <= n_shown


def test_a_list_that_the_log_never_shows_is_refused(judged, systems):
    chances = np.append(np.full(N_ITEMS - 3, 1 / (N_ITEMS - 3)), np.zeros(3))
    found = evaluate_log(made_log(np.random.default_rng(0), chances), *systems, judged, seed=0)
    assert found.refused == ("no row of the log shows an item that the challenger lists for its user",)
    assert found.values == ()


def test_a_list_that_the_log_shows_in_part_is_refused(judged, systems):
    chances = np.append(np.full(N_ITEMS - 2, 1 / (N_ITEMS - 2)), np.zeros(2))
    found = evaluate_log(made_log(np.random.default_rng(0), chances), *systems, judged, seed=0)
    assert len(found.refused) == 1
    assert "could have shown only 3" in found.refused[0]  # a third


def test_a_log_of_a_few_rows_is_refused(judged, systems):
    log = made_log(np.random.default_rng(0), np.full(N_ITEMS, 1 / N_ITEMS))
    few = Log(log.row[:60], log.item_num[:60], log.reward[:60], log.propensity[:60])
    assert "at least 30 are needed" in evaluate_log(few, *systems, judged, seed=0).refused[0]
