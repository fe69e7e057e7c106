"""Errors of a system by user, the measures made of them, and how sure a difference is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from belfry.evaluation.intervals import LEVEL
from belfry.evaluation.metrics import PerUser
from benchmarks.transfer.parts import Arrays

N_RESAMPLES = 2_000


@dataclass(frozen=True)
class Errors:
    """How one system's predictions miss, by user number: [n_users + 1] each."""

    squares: PerUser  # sum over the user's test ratings
    distances: PerUser  # the same of absolute errors
    counts: PerUser
    pairs: PerUser  # share of pairs of unequal ratings that are put in the right order; NaN where there is none


Measure: TypeAlias = Callable[[Errors, PerUser], float]  # of errors and of how often each user counts


def rmse(errors: Errors, weight: PerUser) -> float:
    return float(np.sqrt(errors.squares @ weight / (errors.counts @ weight)))


def absolute_errors(errors: Errors, weight: PerUser) -> float:
    """MAE."""
    return float(errors.distances @ weight / (errors.counts @ weight))


def pair_accuracy(errors: Errors, weight: PerUser) -> float:
    """Mean over the users who have pairs."""
    known = ~np.isnan(errors.pairs)
    return float(errors.pairs[known] @ weight[known] / weight[known].sum())


def mean_of(measure: Measure, seeds: Sequence[Errors]) -> float:
    return float(np.mean([measure(errors, np.ones(len(errors.counts))) for errors in seeds]))


def relative_gain(baseline: Sequence[Errors], system: Sequence[Errors]) -> str:
    """By how many percent the RMSE falls, mean over seeds, with its interval; a resample draws users for all seeds."""

    def gain(weight: PerUser) -> float:
        pairs = zip(baseline, system, strict=True)
        return float(np.mean([1 - rmse(after, weight) / rmse(before, weight) for before, after in pairs])) * 100

    n_users = len(baseline[0].counts)
    low, high = _quantiles([gain(weight) for weight in _resamples(n_users)])
    return f"{gain(np.ones(n_users)):+.1f}% [{low:+.1f}, {high:+.1f}]"


def difference(measure: Measure, baseline: Sequence[Errors], system: Sequence[Errors]) -> str:
    """How much higher the measure is, mean over seeds, with its interval as in `relative_gain`."""

    def higher_by(weight: PerUser) -> float:
        pairs = zip(baseline, system, strict=True)
        return float(np.mean([measure(after, weight) - measure(before, weight) for before, after in pairs]))

    n_users = len(baseline[0].counts)
    low, high = _quantiles([higher_by(weight) for weight in _resamples(n_users)])
    return f"{higher_by(np.ones(n_users)):+.4f} [{low:+.4f}, {high:+.4f}]"


def rating_difference(baseline: Sequence[Arrays], system: Sequence[Arrays]) -> str:
    """How much higher the mean rating of hits is, mean over seeds, with its interval; seeds are drawn each for itself.

    Args:
        baseline, system: `TradeOff` of one row, by seed; a seed's two have the same users.
    """
    sums, hits = (
        [np.stack([one[field][0], other[field][0]]) for one, other in zip(baseline, system, strict=True)]
        for field in ("rating_sums", "rated")
    )

    def higher_by(weights: Sequence[PerUser]) -> float:
        means = [s @ weight / (n @ weight) for s, n, weight in zip(sums, hits, weights, strict=True)]  # [2] each
        return float(np.mean([after - before for before, after in means]))

    drawn = [higher_by(weights) for weights in zip(*(_resamples(n.shape[1]) for n in hits), strict=True)]
    low, high = _quantiles(drawn)
    return f"{higher_by([np.ones(n.shape[1]) for n in hits]):+.3f} [{low:+.3f}, {high:+.3f}]"


def mean_and_interval(differences: Sequence[PerUser]) -> str:
    """The mean over seeds of means over users, with an interval over users; [n_users] each, the same users or not."""
    drawn = np.array(
        [[values @ weight / weight.sum() for weight in _resamples(len(values))] for values in differences]
    ).mean(axis=0)
    low, high = _quantiles(drawn)
    return f"{np.mean([values.mean() for values in differences]):+.4f} [{low:+.4f}, {high:+.4f}]"


def _quantiles(drawn: npt.ArrayLike) -> npt.NDArray[np.float64]:
    return np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])


def _resamples(n_users: int) -> Sequence[PerUser]:
    """How often each user is drawn, over and over; equal calls give equal draws."""
    generator = np.random.default_rng(0)
    return [
        np.bincount(generator.integers(n_users, size=n_users), minlength=n_users).astype(np.float64)
        for _ in range(N_RESAMPLES)
    ]
