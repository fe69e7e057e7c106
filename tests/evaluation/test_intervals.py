"""Bootstrap intervals: cover as often as they say, agree with SciPy, respect pairs."""

import numpy as np
import pytest
from scipy import stats

from belfry.evaluation.intervals import N_RESAMPLES, mean_intervals, paired_intervals


def test_the_interval_covers_the_truth_about_95_times_in_100():
    experiments = np.random.default_rng(0).exponential(1.0, (300, 1000))  # one experiment per column
    covered = [interval.low <= 1.0 <= interval.high for interval in mean_intervals(experiments, seed=1)]
    assert 0.92 < np.mean(covered) < 0.97


def test_agrees_with_scipy():
    values = np.random.default_rng(4).random((400, 1))
    (ours,) = mean_intervals(values, seed=5)
    theirs = stats.bootstrap(
        (values[:, 0],), np.mean, method="percentile", n_resamples=N_RESAMPLES, rng=np.random.default_rng(6)
    ).confidence_interval
    width = theirs.high - theirs.low
    assert ours.mean == pytest.approx(values.mean(), abs=1e-15)
    assert ours.low == pytest.approx(theirs.low, abs=0.1 * width)
    assert ours.high == pytest.approx(theirs.high, abs=0.1 * width)


def test_the_seed_decides():
    values = np.random.default_rng(7).random((50, 2))
    assert mean_intervals(values, seed=1) == mean_intervals(values, seed=1)
    assert mean_intervals(values, seed=1) != mean_intervals(values, seed=2)


def test_a_pair_is_surer_than_its_halves():
    generator = np.random.default_rng(8)
    baseline = generator.random((300, 1))
    system = baseline + 0.02 + 0.01 * generator.standard_normal((300, 1))
    (difference,) = paired_intervals(baseline, system, seed=9)
    (alone,) = mean_intervals(system, seed=9)
    assert 0 < difference.low < difference.mean < difference.high
    assert difference.high - difference.low < 0.1 * (alone.high - alone.low)


def test_equal_systems_differ_by_nothing():
    values = np.random.default_rng(10).random((40, 3))
    for difference in paired_intervals(values, values, seed=0):
        assert (difference.mean, difference.low, difference.high) == (0, 0, 0)


def test_a_user_without_a_value_is_in_no_mean():
    values = np.array([[1.0, np.nan, np.nan], [3.0, 2.0, np.nan]])
    full, half, none = mean_intervals(values, seed=0)
    assert (full.mean, full.n_users) == (2, 2)
    assert (half.mean, half.low, half.high, half.n_users) == (2, 2, 2, 1)
    assert np.isnan([none.mean, none.low, none.high]).all()
    assert none.n_users == 0


def test_no_users_have_no_mean():
    (interval,) = mean_intervals(np.empty((0, 1)), seed=0)
    assert np.isnan(interval.mean)
    assert interval.n_users == 0
