"""Variance of training, apart from that of users."""

import numpy as np
import pytest
from scipy import stats

from belfry.evaluation.reports.comparison.seeds import analyse_seeds


def made(n_users, run_effects, *, spread=0.3, rest=0.1, mean=0.0, seed=0):
    """[n_users, n_runs] values with a given effect of each run."""
    generator = np.random.default_rng(seed)
    users = generator.normal(mean, spread, (n_users, 1))
    return users + np.asarray(run_effects) + generator.normal(0, rest, (n_users, len(run_effects)))


def test_runs_that_differ_widen_the_interval():
    baseline, challenger = made(3_000, [0, 0, 0, 0]), made(3_000, [-0.05, 0.05, 0.02, -0.02], mean=0.01, seed=1)
    found = analyse_seeds(baseline, challenger)
    expected = np.std([-0.05, 0.05, 0.02, -0.02], ddof=1) / np.sqrt(4)
    assert found.error_training == pytest.approx(expected, rel=0.15)
    assert found.high - found.low > 4 * found.error_users
    assert found.degrees_of_freedom < 10
    assert found.low < found.difference < found.high


def test_equal_runs_leave_the_interval_over_users():
    baseline, challenger = made(500, [0, 0, 0]), made(500, [0, 0, 0], mean=0.05, seed=1)
    found = analyse_seeds(baseline, challenger)
    difference = challenger.mean(axis=1) - baseline.mean(axis=1)
    assert found.error_training < found.error_users / 2
    plain = stats.ttest_1samp(difference, 0)
    assert found.p == pytest.approx(plain.pvalue, rel=0.5, abs=0.02)


def test_one_run_each_side_may_stand_alone():
    baseline, challenger = made(200, [0]), made(200, [0.1, -0.1], seed=1)
    found = analyse_seeds(baseline, challenger)
    assert (found.n_runs_baseline, found.n_runs_challenger) == (1, 2)
    assert found.error_training > 0


def test_equal_systems_are_told_apart_in_5_of_100():
    """Crossed effects of users and runs; without the variance of training, half of these would be false alarms."""
    generator = np.random.default_rng(0)
    p_values, naive = [], []
    for _ in range(400):
        sides = []
        users = generator.normal(0, 0.3, (80, 1))
        for _ in range(2):
            sides.append(users + generator.normal(0, 0.05, 5) + generator.normal(0, 0.1, (80, 5)))
        p_values.append(analyse_seeds(*sides).p)
        naive.append(stats.ttest_1samp(sides[1].mean(axis=1) - sides[0].mean(axis=1), 0).pvalue)
    assert np.mean(np.array(p_values) < 0.05) < 0.08
    assert np.mean(np.array(naive) < 0.05) > 0.3


def test_equal_values_give_no_error_and_no_alarm():
    same = np.ones((30, 2))
    found = analyse_seeds(same, same)
    assert (found.difference, found.low, found.high, found.p) == (0, 0, 0, 1)
