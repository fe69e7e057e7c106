"""How sure a mean over users is: percentile bootstrap, one system or the paired difference of two."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from belfry.evaluation.metrics import PerUser

LEVEL = 0.95
N_RESAMPLES = 2000


@dataclass(frozen=True)
class Interval:
    """A mean over users, and where it would lie in 95% of samples of as many users."""

    mean: float
    low: float  # NaN where there is no interval
    high: float
    n_users: int  # users with a value

    @classmethod
    def of_all_lists(cls, value: float, n_users: int) -> "Interval":
        """A property of all lists together, such as coverage: resampled users cover less, so it has no interval."""
        return cls(value, float("nan"), float("nan"), n_users)


def mean_intervals(values: npt.NDArray[np.float64], *, seed: int) -> list[Interval]:
    """The mean of each column with its interval; NaN marks a user without a value, who is in no mean of that column.

    Every resample draws users once for all columns and one resample is held at a time, so that time and memory suit a
    million users; SciPy's bootstrap gathers the values themselves, per column.

    Args:
        values: [n_users, n_metrics], one row per user.
        seed: the same seed and the same number of users draw the same resamples.

    Source: Efron and Tibshirani, An introduction to the bootstrap, 1993, chapter 13.
    """
    n_users = len(values)
    defined = ~np.isnan(values)
    filled = np.where(defined, values, 0)
    sums = np.empty((N_RESAMPLES, values.shape[1]))
    counts = np.empty_like(sums)
    generator = np.random.default_rng(seed)
    for resample in range(N_RESAMPLES if n_users else 0):
        drawn = np.bincount(generator.integers(n_users, size=n_users), minlength=n_users).astype(np.float64)
        sums[resample] = drawn @ filled
        counts[resample] = drawn @ defined
    return [
        _interval(values[defined[:, column], column], sums[:, column], counts[:, column])
        for column in range(values.shape[1])
    ]


def paired_intervals(
    baseline: npt.NDArray[np.float64], system: npt.NDArray[np.float64], *, seed: int
) -> list[Interval]:
    """The mean of `system - baseline`, column by column, over users with both values; rows are the same users.

    An interval that leaves out 0 is a difference that another sample of users would be unlikely to undo.
    """
    return mean_intervals(system - baseline, seed=seed)


def _interval(values: PerUser, sums: PerUser, counts: PerUser) -> Interval:
    if not len(values):
        return Interval.of_all_lists(float("nan"), 0)
    drawn = counts > 0  # a resample may hold no user with a value
    low, high = np.quantile(sums[drawn] / counts[drawn], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(values.mean()), float(low), float(high), len(values))
