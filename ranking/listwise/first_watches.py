"""FirstWatches: how much a ranker's word counts after a user's first watches, beside what is popular.

A ranker learns from users with a history. Of somebody who has watched one item or two it knows little, and popular
items are the better guess; how much better is learned from newcomers whom it has not learned from.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import scipy  # its solvers load when something is fitted

from belfry.ranking.examples import Examples
from belfry.ranking.lists import Lists

LENGTH = "history_length"  # the feature log(1 + events of the user)
POPULARITY = ("popularity", "near_", "lift_", "segment.")  # how features begin that say what is popular, and for whom
FEW, MANY = np.log1p(10), np.log1p(40)  # events: up to which the newcomers' order counts alone, and from which no more
MIN_LISTS = 30  # of newcomers: from fewer nothing is learned
_N_OWN = 4  # weights before those of columns
_PENALTY = 1.0  # of standardised columns, against the ranker's own log-odds

LogOdds = npt.NDArray[np.float64]


@dataclass(frozen=True)
class FirstWatches:
    """Log-odds of a watch after h = log(1 + n) events, from the ranker's log-odds r:

        (1 - t) * (w_0 + w_1 h + w_2 r + w_3 r h + sum over columns of w_c x_c) + t * r

    where t goes from 0 at `FEW` to 1 at `MANY`.
    """

    columns: tuple[str, ...]  # that say what is popular
    weights: tuple[float, ...]  # w

    def __post_init__(self) -> None:
        if len(self.weights) != _N_OWN + len(self.columns) or not np.isfinite(self.weights).all():
            raise ValueError(f"wanted {_N_OWN} finite weights, and one more for each column")

    @classmethod
    def fit(cls, log_odds: LogOdds, newcomers: Examples) -> Self | None:
        """By logistic regression; None where there are few newcomers, or lists are not clearly the better for it.

        Clearly: halves of the newcomers are ordered by what the others teach, and mean NDCG@10 rises by more than its
        standard error.

        Args:
            log_odds: [n_rows] of the ranker, of the rows of `newcomers`, from whose lists it has not learned.
        """
        names = tuple(name for name in newcomers.names if name.startswith(POPULARITY))
        if len(newcomers) < MIN_LISTS or LENGTH not in newcomers.names:
            return None
        inputs, labels = _inputs(log_odds, newcomers.lists, names), newcomers.labels > 0
        half, better = newcomers.lists.row_list % 2 == 0, np.zeros(len(log_odds))
        for part in (half, ~half):
            better[part] = inputs[part] @ _fit(inputs[~part], labels[~part])
        gain = newcomers.ndcg(better) - newcomers.ndcg(log_odds)
        if gain.mean() <= gain.std(ddof=1) / np.sqrt(len(gain)):
            return None
        return cls(names, tuple(_fit(inputs, labels).tolist()))

    def __call__(self, log_odds: LogOdds, lists: Lists) -> LogOdds:
        """[n_rows] the log-odds that lists go by."""
        length = lists.column(LENGTH)
        if length.min(initial=MANY) >= MANY:
            return log_odds
        share = np.clip((length - FEW) / (MANY - FEW), 0, 1)
        early = _inputs(log_odds, lists, self.columns) @ np.array(self.weights)
        return np.asarray((1 - share) * early + share * log_odds)


def _inputs(log_odds: LogOdds, lists: Lists, names: tuple[str, ...]) -> LogOdds:
    """[n_rows, n_weights]"""
    length = lists.column(LENGTH).astype(np.float64)
    popular = [lists.column(name).astype(np.float64) for name in names]
    return np.stack([np.ones(len(length)), length, log_odds, log_odds * length, *popular], axis=1)


def _fit(inputs: LogOdds, labels: npt.NDArray[np.bool_]) -> LogOdds:
    """[n_weights] drawn towards the ranker's own log-odds."""
    units = np.maximum(inputs.std(axis=0), 1e-6)
    units[0] = 1
    own = np.where(np.arange(inputs.shape[1]) == 2, units, 0)
    scaled = inputs / units

    def loss(weights: LogOdds) -> tuple[float, LogOdds]:
        logits, change = scaled @ weights, weights - own
        error = np.exp(-np.logaddexp(0, -logits)) - labels
        value = float((np.logaddexp(0, logits) - labels * logits).sum() + _PENALTY * change @ change / 2)
        return value, scaled.T @ error + _PENALTY * change

    return np.asarray(scipy.optimize.minimize(loss, own, jac=True, method="L-BFGS-B").x / units)
