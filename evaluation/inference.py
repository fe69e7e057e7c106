"""How sure a paired difference is: bootstrap interval, three tests, corrections for many, what could have been seen.

All draws are of units. A unit is a user; beyond `MAX_UNITS` users it is a group of users drawn at random, all groups of
one size give or take one. Means over independent groups are as good a basis as the users themselves, the sign of a
whole group may be flipped as that of a user may, and time and memory no longer grow with the number of users.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import stats

from belfry.evaluation.intervals import LEVEL
from belfry.evaluation.metrics import PerUser

ALPHA = 1 - LEVEL
POWER = 0.8
N_RESAMPLES = 10_000  # the correction for bias asks for more than plain percentiles do
N_FLIPS = 10_000
MAX_UNITS = 4_000
MIN_USERS = 10  # fewer get no interval and no test

Matrix = npt.NDArray[np.float64]

_DRAWN_AT_ONCE = 64


@dataclass(frozen=True)
class Tested:
    """A paired difference over users, challenger minus baseline, and how sure it is. NaN: cannot be said."""

    difference: float
    low: float  # 95% interval, BCa bootstrap
    high: float
    n_users: int  # with both values
    deviation: float  # standard deviation of the differences
    p_t: float
    p_wilcoxon: float
    p_randomisation: float
    wins: int  # users for whom the challenger's value is higher
    ties: int
    losses: int
    detectable: float  # smallest true difference that such a test would have found in `POWER` of samples

    @property
    def effect_size(self) -> float:
        """Difference in standard deviations of the differences (Cohen's d for pairs)."""
        return self.difference / self.deviation if self.deviation > 0 else 0.0 * self.difference


def compare_columns(
    differences: Iterable[PerUser], *, n_users: int, seed: int, n_resamples: int = N_RESAMPLES, n_flips: int = N_FLIPS
) -> list[Tested]:
    """Every column by itself, all by the same draws.

    Args:
        differences: [n_users] each, NaN for a user without one; one column is held at a time.
        n_users: rows of every column.
        seed: of the groups, the resamples and the flips.
    """
    generator = np.random.default_rng(seed)
    unit = np.arange(n_users) if n_users <= MAX_UNITS else generator.permutation(np.arange(n_users) % MAX_UNITS)
    n_units = min(n_users, MAX_UNITS)
    sums, counts, tested = [], [], []
    for column in differences:
        kept = ~np.isnan(column)
        sums.append(np.bincount(unit[kept], weights=column[kept], minlength=n_units))
        counts.append(np.bincount(unit[kept], minlength=n_units))
        tested.append(_tested(column[kept]))
    if not tested:
        return []
    low, high = bca(np.column_stack(sums), np.column_stack(counts), generator, n_resamples=n_resamples)
    p_flipped = randomisation(np.column_stack(sums), generator, n_flips=n_flips)
    return [
        one
        if one.n_users < MIN_USERS or one.deviation == one.difference == 0
        else replace(one, low=float(low[place]), high=float(high[place]), p_randomisation=float(p_flipped[place]))
        for place, one in enumerate(tested)
    ]


def _tested(values: PerUser) -> Tested:
    """All that needs no draws."""
    n, nan = len(values), float("nan")
    signs = (int(np.sum(values > 0)), int(np.sum(values == 0)), int(np.sum(values < 0)))
    mean = float(values.mean()) if n else nan
    if n < MIN_USERS:
        return Tested(mean, nan, nan, n, nan, nan, nan, nan, *signs, nan)
    if not values.any():
        return Tested(mean, 0.0, 0.0, n, 0.0, 1.0, 1.0, 1.0, *signs, 0.0)
    deviation = float(values.std(ddof=1))
    p_t = 0.0 if deviation == 0 else float(stats.ttest_1samp(values, 0).pvalue)
    # The normal approximation from 50 users on, as ties are many; below, SciPy takes the exact one where it can.
    p_wilcoxon = float(stats.wilcoxon(values, method="approx" if n > 50 else "auto").pvalue)
    return Tested(mean, nan, nan, n, deviation, p_t, p_wilcoxon, nan, *signs, smallest_detectable(deviation, n))


def smallest_detectable(deviation: float, n_users: int, *, alpha: float = ALPHA, power: float = POWER) -> float:
    """True difference that a two-sided paired t test at `alpha` finds in a share `power` of samples of such users.

    Source: Cohen, Statistical power analysis for the behavioral sciences, 1988; solved by statsmodels.
    """
    from statsmodels.stats.power import TTestPower

    return deviation * float(TTestPower().solve_power(nobs=n_users, alpha=alpha, power=power, alternative="two-sided"))


def bca(
    sums: Matrix, counts: Matrix, generator: np.random.Generator, *, n_resamples: int = N_RESAMPLES
) -> tuple[PerUser, PerUser]:
    """95% interval of sum / count of every column over units: bootstrap, bias-corrected and accelerated.

    Written out, for SciPy's draws each column by itself and holds n_units^2 values for the jackknife, which for a ratio
    of sums has a closed form.

    Args:
        sums: [n_units, n_columns] sum of a unit's values.
        counts: [n_units, n_columns] how many there are of them.

    Returns:
        low, high: [n_columns]; NaN for a column without values.

    Source: Efron, Better bootstrap confidence intervals, JASA 1987.
    """
    n_units, n_columns = sums.shape
    total, n_values = sums.sum(axis=0), counts.sum(axis=0)
    low = np.full(n_columns, np.nan)
    high = low.copy()
    if not n_units:
        return low, high
    means = np.empty((n_resamples, n_columns))
    different, which = np.unique(counts, axis=1, return_inverse=True)  # most columns know the same users
    for place, drawn in _drawn(n_units, n_resamples, generator):
        with np.errstate(invalid="ignore", divide="ignore"):
            means[place] = (drawn @ sums) / (drawn @ different)[:, which]
    tails = stats.norm.ppf([ALPHA / 2, 1 - ALPHA / 2])
    for column in np.flatnonzero(n_values):
        found = means[np.isfinite(means[:, column]), column]
        mean = total[column] / n_values[column]
        left = n_values[column] - counts[:, column]
        kept = left > 0
        if not kept.any():
            low[column] = high[column] = mean
            continue
        jackknife = (total[column] - sums[kept, column]) / left[kept]
        bends = jackknife.mean() - jackknife
        spread = float((bends**2).sum())
        if spread <= 1e-30 * max(1.0, mean**2) or not len(found):
            low[column] = high[column] = mean
            continue
        acceleration = float((bends**3).sum()) / (6 * spread**1.5)
        below = (np.sum(found < mean) + np.sum(found <= mean)) / 2 / len(found)
        bias = stats.norm.ppf(np.clip(below, 0.5 / len(found), 1 - 0.5 / len(found)))
        shifted = bias + tails
        low[column], high[column] = np.quantile(found, stats.norm.cdf(bias + shifted / (1 - acceleration * shifted)))
    return low, high


def randomisation(sums: Matrix, generator: np.random.Generator, *, n_flips: int = N_FLIPS) -> PerUser:
    """[n_columns] two-sided p value of the paired randomisation test: which of the two systems is which is tossed anew.

    All 2^n ways are tried where they are no more than `n_flips`; else as many are drawn, and the observed one counts
    as one of them, so that p is never 0 and never too small.

    Source: Smucker, Allan and Carterette, A comparison of statistical significance tests for information retrieval
    evaluation, CIKM 2007; Phipson and Smyth, Permutation p-values should never be zero, 2010.
    """
    n_units = len(sums)
    observed = np.abs(sums.sum(axis=0)) * (1 - 1e-12) - 1e-15
    as_far = np.zeros(sums.shape[1], np.int64)
    is_exact = n_units < 63 and 2**n_units <= n_flips
    if is_exact:
        ways = np.arange(2**n_units)[:, None] >> np.arange(n_units) & 1
        as_far += (np.abs((2.0 * ways - 1) @ sums) >= observed).sum(axis=0)
        return np.asarray(as_far / 2**n_units)
    for start in range(0, n_flips, _DRAWN_AT_ONCE):
        n = min(_DRAWN_AT_ONCE, n_flips - start)
        bits = np.unpackbits(generator.integers(256, size=(n, -(-n_units // 8)), dtype=np.uint8), axis=1)
        signs = 2.0 * bits[:, :n_units] - 1
        as_far += (np.abs(signs @ sums) >= observed).sum(axis=0)
    return np.asarray((1 + as_far) / (1 + n_flips))


@dataclass(frozen=True)
class Corrected:
    """p values as if only one question had been asked."""

    holm: PerUser  # chance of any false finding among all stays below alpha
    benjamini_hochberg: PerUser  # share of false findings among the found ones stays below alpha


def correct(p_values: Sequence[float]) -> Corrected:
    """Corrections over a family of tests; NaN stays NaN and does not count.

    Source: Holm 1979; Benjamini and Hochberg 1995; both by statsmodels.
    """
    from statsmodels.stats.multitest import multipletests

    values = np.asarray(p_values, np.float64)
    holm, bh = np.full(len(values), np.nan), np.full(len(values), np.nan)
    known = np.flatnonzero(~np.isnan(values))
    if len(known):
        holm[known] = multipletests(values[known], ALPHA, method="holm")[1]
        bh[known] = multipletests(values[known], ALPHA, method="fdr_bh")[1]
    return Corrected(holm, bh)


def _drawn(n_units: int, n_resamples: int, generator: np.random.Generator) -> Iterator[tuple[slice, Matrix]]:
    """How often each unit is in each resample, some resamples at a time: their places, [n, n_units]."""
    for start in range(0, n_resamples, _DRAWN_AT_ONCE):
        n = min(_DRAWN_AT_ONCE, n_resamples - start)
        keys = generator.integers(n_units, size=(n, n_units)) + n_units * np.arange(n)[:, None]
        counts = np.bincount(keys.ravel(), minlength=n * n_units).astype(np.float64)
        yield slice(start, start + n), counts.reshape(n, n_units)
