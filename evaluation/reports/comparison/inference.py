"""Paired differences tested: three tests beside the interval, corrections for many, what could have been seen.

All draws are of the units of `belfry.evaluation.intervals`: the sign of a whole group of users may be flipped as that
of one user may.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from belfry.evaluation.intervals import DRAWN_AT_ONCE, FEW, LEVEL, MIN_USERS, N_RESAMPLES, Matrix, Units, bca
from belfry.evaluation.metrics import PerUser

ALPHA = 1 - LEVEL
POWER = 0.8
N_FLIPS = 10_000
EXACT_RANKS = 13  # users; all ways to sign their ranks are tried up to here


@dataclass(frozen=True)
class Tested:
    """A paired difference over users, challenger minus baseline, and how sure it is. NaN: cannot be said."""

    difference: float
    n_users: int  # with both values
    low: float = math.nan  # 95% interval
    high: float = math.nan
    deviation: float = math.nan  # standard deviation of the differences
    p_t: float = math.nan
    p_wilcoxon: float = math.nan
    p_randomisation: float = math.nan
    wins: int = 0  # users for whom the challenger's value is higher
    ties: int = 0
    losses: int = 0
    detectable: float = math.nan  # smallest true difference that such a test would have found in `POWER` of samples

    @property
    def effect_size(self) -> float:
        """Difference in standard deviations of the differences (Cohen's d for pairs)."""
        return self.difference / self.deviation if self.deviation else 0.0


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
    units = Units.of(n_users, generator)
    sums, counts, tested = [], [], []
    for column in differences:
        of_units = units.totals(column)
        sums.append(of_units[0])
        counts.append(of_units[1])
        tested.append(_tested(column[~np.isnan(column)]))
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
    n = len(values)
    wins, ties, losses = (int(found.sum()) for found in (values > 0, values == 0, values < 0))
    counted = Tested(float(values.mean()) if n else math.nan, n, wins=wins, ties=ties, losses=losses)
    if n < MIN_USERS:
        return counted
    if not values.any():
        alike = replace(counted, deviation=0.0, p_t=1.0, p_wilcoxon=1.0, p_randomisation=1.0)
        return alike if n < FEW else replace(alike, low=0.0, high=0.0, detectable=0.0)
    deviation = float(values.std(ddof=1))
    return replace(
        counted,
        deviation=deviation,
        p_t=0.0 if deviation == 0 else float(stats.ttest_1samp(values, 0).pvalue),
        p_wilcoxon=_wilcoxon(values),
        detectable=smallest_detectable(deviation, n),
    )


def _wilcoxon(values: PerUser) -> float:
    """p value of the signed ranks: exact where there are few, ties or not, which SciPy takes seconds for."""
    n = len(values)
    if n <= EXACT_RANKS:
        found = values[values != 0]
        return float(_exact((np.sign(found) * stats.rankdata(np.abs(found)))[:, None])[0])
    # The normal approximation from 50 users on, as ties are many; below, SciPy takes the exact one where it can.
    return float(stats.wilcoxon(values, method="approx" if n > 50 else "auto").pvalue)


def smallest_detectable(deviation: float, n_users: int) -> float:
    """True difference that a two-sided paired t test at `ALPHA` finds in a share `POWER` of samples of such users.

    Source: Cohen, Statistical power analysis for the behavioral sciences, 1988; solved by statsmodels.
    """
    from statsmodels.stats.power import TTestPower

    return deviation * float(TTestPower().solve_power(nobs=n_users, alpha=ALPHA, power=POWER, alternative="two-sided"))


def randomisation(sums: Matrix, generator: np.random.Generator, *, n_flips: int = N_FLIPS) -> PerUser:
    """[n_columns] two-sided p value of the paired randomisation test: which of the two systems is which is tossed anew.

    All 2^n ways are tried where they are no more than `n_flips`; else as many are drawn, and the observed one counts
    as one of them, so that p is never 0 and never too small.

    Source: Smucker, Allan and Carterette, A comparison of statistical significance tests for information retrieval
    evaluation, CIKM 2007; Phipson and Smyth, Permutation p-values should never be zero, 2010.
    """
    n_units = len(sums)
    if n_units < 63 and 2**n_units <= n_flips:
        return _exact(sums)
    observed = _observed(sums)
    as_far = np.zeros(sums.shape[1], np.int64)
    for start in range(0, n_flips, DRAWN_AT_ONCE):
        n = min(DRAWN_AT_ONCE, n_flips - start)
        bits = np.unpackbits(generator.integers(256, size=(n, -(-n_units // 8)), dtype=np.uint8), axis=1)
        signs = 2.0 * bits[:, :n_units] - 1
        as_far += (np.abs(signs @ sums) >= observed).sum(axis=0)
    return np.asarray((1 + as_far) / (1 + n_flips))


def _exact(sums: Matrix) -> PerUser:
    """`randomisation` by all 2^n ways."""
    n_units = len(sums)
    ways = np.arange(2**n_units)[:, None] >> np.arange(n_units) & 1
    return np.asarray((np.abs((2.0 * ways - 1) @ sums) >= _observed(sums)).mean(axis=0))


def _observed(sums: Matrix) -> PerUser:
    """How far the sums are from 0, less what rounding may take."""
    return np.asarray(np.abs(sums.sum(axis=0)) * (1 - 1e-12) - 1e-15)


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
