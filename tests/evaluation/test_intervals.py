"""Bootstrap intervals: cover as often as they say, agree with SciPy, respect pairs."""

import numpy as np
import pytest
from scipy import stats

from belfry.evaluation.intervals import FEW, MIN_USERS, bca, mean_intervals, paired_intervals, widened_tails


@pytest.fixture
def skewed():
    """150 differences with a long right tail."""
    return np.random.default_rng(4).exponential(size=150) - 0.9


def test_the_interval_covers_the_truth_about_95_times_in_100():
    experiments = np.random.default_rng(0).exponential(1.0, (300, 1000))  # one experiment per column
    covered = [interval.low <= 1.0 <= interval.high for interval in mean_intervals(experiments, seed=1)]
    assert 0.92 < np.mean(covered) < 0.97


def zero_or_good(random, shape):
    """Like NDCG of users: half of them have 0."""
    return np.where(random.random(shape) < 0.5, 0, random.beta(1.2, 3, shape)), 0.5 * 1.2 / 4.2


def differences(random, shape):
    """Of two systems that are equally good; 40% of the users see none."""
    both = random.beta(1.2, 3, (2, *shape))
    return np.where(random.random(shape) < 0.4, 0, both[0] - both[1]), 0


def lopsided(random, shape):
    return random.exponential(1.0, shape), 1


@pytest.mark.parametrize("n_users", [10, 12, 20, 30, 60, FEW])
@pytest.mark.parametrize("world", [zero_or_good, differences, lopsided])
def test_row_24_intervals_of_few_users_hold_the_truth(n_users, world):
    """The number of misses among 600 is that of 5%, or less: its 99.9% bound. Of lopsided values it may be of 7%."""
    values, truth = world(np.random.default_rng(n_users), (n_users, 600))
    n_missed = sum(not one.low <= truth <= one.high for one in mean_intervals(values, seed=2))
    assert n_missed <= stats.binom.ppf(0.999, 600, 0.07 if world is lopsided else 0.05)


def test_the_correction_for_few_users_ends():
    assert widened_tails(30)[1] / 1.96 == pytest.approx(1.06, abs=0.005)
    assert widened_tails(4_000)[1] == pytest.approx(1.96, abs=0.002)


def test_bca_is_scipys_on_the_same_draws(skewed):
    low, high = bca(skewed[:, None], np.ones((150, 1)), np.random.default_rng(7), n_resamples=3_000)
    theirs = stats.bootstrap(
        (skewed,),
        np.mean,
        n_resamples=3_000,
        method="BCa",
        confidence_level=1 - 2 * stats.norm.cdf(widened_tails(150)[0]),
        rng=np.random.default_rng(7),
    ).confidence_interval
    # SciPy draws by itself in other batches; the generator gives the same numbers in either.
    np.testing.assert_allclose([low[0], high[0]], [theirs.low, theirs.high], rtol=0, atol=1e-12)


def test_bca_of_a_ratio_uses_the_jackknife_of_the_ratio(skewed):
    """Units of several users: the interval is that of a bootstrap over whole units."""
    sums, counts = skewed[:148].reshape(37, 4).sum(axis=1), np.full(37, 4.0)
    counts[:5], sums[:5] = 3.0, skewed[:20].reshape(5, 4)[:, :3].sum(axis=1)
    low, high = bca(sums[:, None], counts[:, None], np.random.default_rng(0), n_resamples=20_000)

    def ratio(sums, counts, axis=-1):
        return sums.sum(axis=axis) / counts.sum(axis=axis)

    theirs = stats.bootstrap(
        (sums, counts),
        ratio,
        paired=True,
        n_resamples=20_000,
        rng=np.random.default_rng(1),
        method="BCa",
        confidence_level=1 - 2 * stats.norm.cdf(widened_tails(37)[0]),
    ).confidence_interval
    np.testing.assert_allclose([low[0], high[0]], [theirs.low, theirs.high], rtol=0, atol=0.02)


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
    values = np.random.default_rng(10).random((100, 3))
    for difference in paired_intervals(values, values, seed=0):
        assert (difference.mean, difference.low, difference.high) == (0, 0, 0)


def test_a_user_without_a_value_is_in_no_mean():
    values = np.full((40, 3), np.nan)
    values[:, 0], values[:20, 1] = np.arange(40), 2.0
    full, half, none = mean_intervals(values, seed=0)
    assert (full.mean, full.n_users) == (19.5, 40)
    assert (half.mean, half.n_users) == (2, 20)
    assert np.isnan([half.low, half.high]).all()  # 20 that are all alike say little of others
    assert np.isnan([none.mean, none.low, none.high]).all()
    assert none.n_users == 0


def test_no_users_have_no_mean():
    (interval,) = mean_intervals(np.empty((0, 1)), seed=0)
    assert np.isnan(interval.mean)
    assert interval.n_users == 0


def test_too_few_users_have_a_mean_and_no_interval():
    (few,) = mean_intervals(np.arange(MIN_USERS - 1.0)[:, None], seed=0)
    assert (few.mean, few.n_users) == ((MIN_USERS - 2) / 2, MIN_USERS - 1)
    assert np.isnan([few.low, few.high]).all()
