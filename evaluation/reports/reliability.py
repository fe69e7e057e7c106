"""Reliability: where a ranker says 30%, is it right in 30 of 100 cases?"""

from dataclasses import dataclass

import numpy as np

from belfry.dataset.candidates import Candidates
from belfry.dataset.history.seen_items import SeenItems
from belfry.evaluation.metrics import PerUser

N_BINS = 10


@dataclass(frozen=True)
class Bin:
    """Candidates with like probabilities."""

    predicted: float  # mean probability
    observed: float  # share that are test items
    n_rows: int


@dataclass(frozen=True)
class Reliability:
    """Probabilities of candidates against what was watched; the rows of all users count alike."""

    bins: tuple[Bin, ...]  # by probability, rising
    calibration_error: float  # mean over rows of |predicted - observed| of their bin
    brier: float  # mean squared difference of probability and outcome
    observed: float  # share of all rows that are test items
    n_rows: int

    @property
    def brier_of_constant(self) -> float:
        """The Brier score of saying `observed` of every row: a ranker that knows anything is below it."""
        return self.observed * (1 - self.observed)


def measure_reliability(lists: Candidates, test: SeenItems) -> Reliability | None:
    """How well the scores of `lists`, which are probabilities, foretell test items; None without rows.

    Bins hold about as many rows each; rows of equal probability share one, so there may be fewer.

    Args:
        lists: every candidate of the judged users.
        test: the withheld items of each user.

    Sources: Brier, Verification of forecasts expressed in terms of probability, 1950; Naeini et al., Obtaining well
    calibrated probabilities using Bayesian binning, AAAI 2015 (expected calibration error, there with bins of equal
    width).
    """
    if not len(lists):
        return None
    probability = lists.score.astype(np.float64)
    is_hit = test.contains(lists.user_num, lists.item_num)
    edges = np.quantile(probability, np.arange(1, N_BINS) / N_BINS, method="higher")
    bin_of = np.searchsorted(np.unique(edges), probability, side="right")
    n_rows = np.bincount(bin_of)
    used = n_rows > 0
    predicted, observed = (
        np.bincount(bin_of, values)[used] / n_rows[used] for values in (probability, is_hit.astype(np.float64))
    )
    n_rows = n_rows[used]
    return Reliability(
        bins=tuple(Bin(*row) for row in zip(predicted.tolist(), observed.tolist(), n_rows.tolist(), strict=True)),
        calibration_error=_mean(np.abs(predicted - observed), n_rows),
        brier=float(((probability - is_hit) ** 2).mean()),
        observed=float(is_hit.mean()),
        n_rows=len(lists),
    )


def _mean(values: PerUser, weights: np.ndarray) -> float:
    return float(values @ weights / weights.sum())
