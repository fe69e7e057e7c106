"""Errors of a system by user, the measures made of them, and how sure a difference is."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.transfer.parts import Arrays
from evaluation.intervals import LEVEL, N_RESAMPLES
from evaluation.metrics import PerUser


@dataclass(frozen=True)
class Errors:
    """How one system's predictions miss, by user number: [n_users + 1] each."""

    squares: PerUser  # sum over the user's test ratings
    distances: PerUser  # the same of absolute errors
    counts: PerUser
    pairs: PerUser  # share of pairs of unequal ratings that are put in the right order; NaN where there is none


def rmse(errors: Errors) -> float:
    return float(np.sqrt(errors.squares.sum() / errors.counts.sum()))


def absolute_errors(errors: Errors) -> float:
    """MAE."""
    return float(errors.distances.sum() / errors.counts.sum())


def pair_accuracy(errors: Errors) -> float:
    return float(np.nanmean(errors.pairs))


def relative_gain(baseline: Sequence[Errors], system: Sequence[Errors]) -> str:
    """By how many percent the RMSE falls, mean over seeds, with its interval; a resample draws users for all seeds."""
    squares = np.array([[one.squares, other.squares] for one, other in zip(baseline, system, strict=True)])
    counts = np.array([one.counts for one in baseline])  # [n_seeds, n_users + 1]

    def gain(weight: PerUser) -> float:
        roots = np.sqrt(squares @ weight / (counts @ weight)[:, np.newaxis])  # [n_seeds, 2]
        return float(np.mean(1 - roots[:, 1] / roots[:, 0])) * 100

    drawn = [gain(weight) for weight in _resamples(counts.shape[1])]
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return f"{gain(np.ones(counts.shape[1])):+.1f}% [{low:+.1f}, {high:+.1f}]"


def rating_difference(baseline: Sequence[Arrays], system: Sequence[Arrays]) -> str:
    """How much higher the mean rating of hits is, mean over seeds, with its interval; seeds are drawn each for itself.

    Args:
        baseline, system: `TradeOff` of one row, by seed; a seed's two have the same users.
    """
    sums, hits = (
        [np.stack([one[field][0], other[field][0]]) for one, other in zip(baseline, system, strict=True)]
        for field in ("rating_sums", "rated")
    )

    def difference(weights: Sequence[PerUser]) -> float:
        means = [s @ weight / (n @ weight) for s, n, weight in zip(sums, hits, weights, strict=True)]  # [2] each
        return float(np.mean([after - before for before, after in means]))

    drawn = [difference(weights) for weights in zip(*(_resamples(n.shape[1]) for n in hits), strict=True)]
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return f"{difference([np.ones(n.shape[1]) for n in hits]):+.3f} [{low:+.3f}, {high:+.3f}]"


def mean_and_interval(differences: Sequence[PerUser]) -> str:
    """The mean over seeds of means over users, with an interval over users; [n_users] each, the same users or not."""
    drawn = np.array(
        [[values @ weight / weight.sum() for weight in _resamples(len(values))] for values in differences]
    ).mean(axis=0)
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return f"{np.mean([values.mean() for values in differences]):+.4f} [{low:+.4f}, {high:+.4f}]"


def _resamples(n_users: int) -> Sequence[PerUser]:
    """How often each user is drawn, over and over; equal calls give equal draws."""
    generator = np.random.default_rng(0)
    return [
        np.bincount(generator.integers(n_users, size=n_users), minlength=n_users).astype(np.float64)
        for _ in range(N_RESAMPLES)
    ]
