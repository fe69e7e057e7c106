"""Tests of differences: the same as SciPy's where SciPy can, right where it cannot."""

import numpy as np
import pytest
from scipy import stats

from belfry.evaluation import intervals
from belfry.evaluation.reports.comparison.inference import compare_columns, correct, randomisation, smallest_detectable


@pytest.fixture
def skewed():
    """150 differences with a long right tail."""
    return np.random.default_rng(4).exponential(size=150) - 0.9


@pytest.mark.parametrize("n", [5, 9, 12])
def test_few_users_are_flipped_in_every_way(n):
    differences = np.random.default_rng(n).normal(0.4, 1, n)
    ours = randomisation(differences[:, None], np.random.default_rng(0))[0]
    theirs = stats.permutation_test(
        (differences, np.zeros(n)),
        lambda one, other, axis: (one - other).mean(axis=axis),
        permutation_type="samples",
        n_resamples=np.inf,
    ).pvalue
    assert ours == pytest.approx(theirs, abs=1e-12)


def test_drawn_flips_agree_with_scipys():
    differences = np.random.default_rng(3).normal(0.25, 1, 60)
    ours = randomisation(differences[:, None], np.random.default_rng(0))[0]
    theirs = stats.permutation_test(
        (differences, np.zeros(60)),
        lambda one, other, axis: (one - other).mean(axis=axis),
        permutation_type="samples",
        n_resamples=9_999,
        rng=np.random.default_rng(1),
    ).pvalue
    assert ours == pytest.approx(theirs, abs=4 * np.sqrt(2 * theirs / 10_000))
    assert 0 < ours < 0.2


def test_p_is_never_0_and_equal_systems_get_1():
    assert randomisation(np.full((100, 1), 0.5), np.random.default_rng(0))[0] == pytest.approx(1 / 10_001)
    assert randomisation(np.zeros((100, 1)), np.random.default_rng(0))[0] == 1
    (same,) = compare_columns([np.zeros(100)], n_users=100, seed=0)
    assert (same.difference, same.low, same.high, same.p_randomisation, same.ties) == (0, 0, 0, 1, 100)


@pytest.mark.parametrize("value", [0.0, 0.25])
def test_few_users_who_are_all_alike_give_no_interval(value):
    (few,) = compare_columns([np.full(99, value)], n_users=99, seed=0)
    assert (few.difference, few.n_users, few.ties) == (value, 99, 99 if value == 0 else 0)
    assert np.isnan([few.low, few.high]).all()


def test_tests_are_scipys(skewed):
    (ours,) = compare_columns([skewed], n_users=150, seed=0)
    assert ours.p_t == pytest.approx(stats.ttest_1samp(skewed, 0).pvalue)
    assert ours.p_wilcoxon == pytest.approx(stats.wilcoxon(skewed, method="asymptotic").pvalue)
    assert ours.effect_size == pytest.approx(skewed.mean() / skewed.std(ddof=1))
    assert (ours.wins, ours.ties, ours.losses) == ((skewed > 0).sum(), 0, (skewed < 0).sum())


@pytest.mark.parametrize("values", [np.array([3, -1, 0, 2, 2, -2, 1, 0, 4, 5]) / 8, np.arange(-3.0, 10) + 0.1])
def test_few_signed_ranks_are_those_of_scipy_with_ties_and_without(values):
    (ours,) = compare_columns([values], n_users=len(values), seed=0)
    assert ours.p_wilcoxon == pytest.approx(stats.wilcoxon(values).pvalue, abs=1e-12)


def test_users_without_a_value_count_in_nothing(skewed):
    holed = np.append(skewed, np.full(30, np.nan))
    ours, other = compare_columns([holed, np.zeros(180)], n_users=180, seed=0)
    (without,) = compare_columns([skewed], n_users=150, seed=0)
    assert ours.n_users == 150
    assert ours.difference == without.difference
    assert [ours.low, ours.high] == pytest.approx([without.low, without.high], abs=0.02)
    assert other.n_users == 180


def test_many_users_in_groups_say_the_same(skewed, monkeypatch):
    many = np.random.default_rng(0).choice(skewed, 12_000)
    (grouped,) = compare_columns([many], n_users=12_000, seed=0, n_resamples=4_000, n_flips=2_000)
    monkeypatch.setattr(intervals, "MAX_UNITS", 20_000)
    (single,) = compare_columns([many], n_users=12_000, seed=0, n_resamples=4_000, n_flips=2_000)
    width = single.high - single.low
    assert grouped.difference == single.difference
    assert [grouped.low, grouped.high] == pytest.approx([single.low, single.high], abs=0.08 * width)
    assert grouped.p_randomisation == pytest.approx(single.p_randomisation, abs=0.03)


def test_too_few_users_get_a_mean_and_nothing_else():
    (few,) = compare_columns([np.arange(9.0)], n_users=9, seed=0)
    assert few.difference == 4
    assert np.isnan([few.low, few.high, few.p_t, few.p_wilcoxon, few.p_randomisation, few.detectable]).all()
    (none,) = compare_columns([np.full(20, np.nan)], n_users=20, seed=0)
    assert none.n_users == 0
    assert np.isnan(none.difference)


def test_corrections_by_hand_and_nan_is_no_test():
    corrected = correct([0.01, float("nan"), 0.04, 0.03])
    np.testing.assert_allclose(corrected.holm, [0.03, np.nan, 0.06, 0.06])
    np.testing.assert_allclose(corrected.benjamini_hochberg, [0.03, np.nan, 0.04, 0.04])


def test_the_smallest_detectable_difference_is_found_in_80_of_100():
    detectable, generator = smallest_detectable(2.0, 100), np.random.default_rng(0)
    samples = generator.normal(detectable, 2.0, (4_000, 100))
    assert np.mean(stats.ttest_1samp(samples, 0, axis=1).pvalue < 0.05) == pytest.approx(0.8, abs=0.03)
    assert detectable == pytest.approx(2.0 / 10 * (1.96 + 0.8416), rel=0.03)
