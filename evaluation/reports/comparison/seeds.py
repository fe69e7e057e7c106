"""Runs of training: how much a difference owes to the seeds of training, apart from which users were judged."""

import numpy as np
from scipy import stats

from belfry.evaluation.intervals import Matrix
from belfry.evaluation.reports.comparison.inference import ALPHA
from belfry.evaluation.reports.comparison.result import SeedAnalysis


def analyse_seeds(baseline: Matrix, challenger: Matrix) -> SeedAnalysis:
    """Difference of two systems, of which at least one was trained several times, with errors from users and training.

    The model has crossed effects for each system: value = mean + user + run + rest. The error from users is that of the
    mean difference per user, runs averaged. The error from training is the spread of a system's means over its runs,
    less what the choice of users gives to that spread; a system with one run cannot show its own and adds none.
    Degrees of freedom of the sum follow Satterthwaite.

    Args:
        baseline: [n_users, n_runs] a metric without NaN, of the same users in the same order.
        challenger: likewise; the numbers of runs may differ.

    Source: Searle, Casella and McCulloch, Variance components, 1992, two-way crossed without replication.
    """
    n_users = len(baseline)
    difference = challenger.mean(axis=1) - baseline.mean(axis=1)
    parts = [(float(difference.var(ddof=1)) / n_users, n_users - 1.0)]
    for runs in (baseline, challenger):
        n_runs = runs.shape[1]
        if n_runs > 1:
            spread = float(runs.mean(axis=0).var(ddof=1))
            rest = runs - runs.mean(axis=0) - runs.mean(axis=1, keepdims=True) + runs.mean()
            from_users = float((rest**2).sum()) / ((n_users - 1) * (n_runs - 1)) / n_users
            parts.append((max(0.0, spread - from_users) / n_runs, n_runs - 1.0))
    total = sum(variance for variance, _ in parts)
    freedom = total**2 / sum(variance**2 / df for variance, df in parts) if total else n_users - 1.0
    mean, error = float(difference.mean()), float(np.sqrt(total))
    reach = float(stats.t.ppf(1 - ALPHA / 2, freedom)) * error
    return SeedAnalysis(
        n_runs_baseline=baseline.shape[1],
        n_runs_challenger=challenger.shape[1],
        difference=mean,
        error_users=float(np.sqrt(parts[0][0])),
        error_training=float(np.sqrt(total - parts[0][0])),
        degrees_of_freedom=float(freedom),
        low=mean - reach,
        high=mean + reach,
        p=float(2 * stats.t.sf(abs(mean) / error, freedom)) if error else float(mean == 0),
    )
