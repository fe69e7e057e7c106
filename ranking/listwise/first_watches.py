"""FirstWatches: how much a ranker's word counts after a user's first watches, beside what is popular.

A ranker learns from users with a history. Of somebody who has watched one item or two it knows little, and popular
items are the better guess; how much better is learned from newcomers whom it has not learned from.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import scipy  # its solvers load when something is fitted

from belfry.dataset.folds import MIN_NEWCOMERS
from belfry.ranking.calibration import Calibration
from belfry.ranking.examples import Examples
from belfry.ranking.lists import Lists

LENGTH = "history_length"  # the feature log(1 + events of the user)
# How features begin that say what is popular, and for whom.
POPULARITY = ("popularity", "near_", "lift_", "segment.", "user_vector.")
MANY = (40, 20, 10)  # events from which the newcomers' order counts no more: the first that validation users bear
FEW = 1 / 4  # of these, up to which it counts alone
_LARGEST = 1e15  # of a weight: sums of such times features are finite
_PENALTY = 1.0  # of standardised terms, against the ranker's own log-odds

LogOdds = npt.NDArray[np.float64]
Terms = npt.NDArray[np.float64]  # [n_rows, n_terms]
Labels = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class FirstWatches:
    """Log-odds of a watch after h = log(1 + n) events, from the ranker's log-odds r:

        (1 - t) * (a + sum over x of (v_x + w_x h) x) + t * r        x: r, and each of `columns`

    where t goes from 0 at `FEW` times `many` events to 1 at `many`, evenly in h.
    """

    columns: tuple[str, ...]  # that say what is popular
    level: float  # a
    weights: tuple[float, ...]  # v, then w
    many: int  # events

    def __post_init__(self) -> None:
        has_all = len(self.weights) == 2 * (1 + len(self.columns)) and 0 < self.many <= MANY[0]
        if not has_all or not np.abs([self.level, *self.weights]).max() <= _LARGEST:
            raise ValueError(
                f"wanted weights up to {_LARGEST:g}: two, and two more for each column; and many from 1 to {MANY[0]}"
            )

    @classmethod
    def fit(
        cls, log_odds: LogOdds, newcomers: Examples, known: LogOdds, validation: Examples, *, share: float = 1.0
    ) -> Self | None:
        """None where there are few newcomers, or lists are not clearly the better for it.

        A softmax over each list gives the order, which is calibrated then. Clearly: halves of the newcomers are
        ordered by what the others teach, and mean NDCG@10 rises by more than its standard error.

        Args:
            log_odds: [n_rows] of the ranker, of the rows of `newcomers`, from whose lists it has not learned.
            known: [n_rows] of the ranker, of the rows of `validation`: lists of users with a history.
            share: of what is positive here, that would be with other users.
        """
        names = tuple(name for name in newcomers.names if name.startswith(POPULARITY))
        if len(newcomers) < MIN_NEWCOMERS or LENGTH not in newcomers.names:
            return None
        lists, labels = newcomers.lists, newcomers.labels > 0
        terms = _terms(log_odds, lists, names)
        half, better = lists.row_list % 2 == 0, np.zeros(len(log_odds))
        for part in (half, ~half):
            better[part] = terms[part] @ _order(terms[~part], labels[~part], lists.row_list[~part])
        gain = newcomers.ndcg(better) - newcomers.ndcg(log_odds)
        if gain.mean() <= gain.std(ddof=1) / np.sqrt(len(gain)):
            return None
        order = _order(terms, labels, lists.row_list)
        calibration = Calibration.fit(terms @ order, labels)
        level, weights = calibration.intercept + float(np.log(share)), tuple((calibration.slope * order).tolist())
        bar = validation.ndcg(known).mean()
        for many in MANY:
            learned = cls(names, level, weights, many)
            if validation.ndcg(learned(known, validation.lists)).mean() >= bar:
                return learned
        return None

    def __call__(self, log_odds: LogOdds, lists: Lists) -> LogOdds:
        """[n_rows] the log-odds that lists go by."""
        length = lists.column(LENGTH)
        few, many = np.log1p(FEW * self.many), np.log1p(self.many)
        early = (length < many).nonzero()[0]
        if not len(early):
            return log_odds
        t = np.clip((length[early] - few) / (many - few), 0, 1)
        by_terms = self.level + _terms(log_odds, lists, self.columns, early) @ np.array(self.weights)
        order = log_odds.astype(np.float64)
        order[early] = (1 - t) * by_terms + t * order[early]
        return order


def _terms(
    log_odds: LogOdds, lists: Lists, names: tuple[str, ...], rows: npt.NDArray[np.integer] | slice = slice(None)
) -> Terms:
    """The ranker's log-odds and the columns, then each times the length; of some rows."""
    own = np.stack([log_odds[rows], *(lists.column(name)[rows] for name in names)], axis=1)
    return np.concatenate([own, own * lists.column(LENGTH)[rows, np.newaxis]], axis=1)


def _order(terms: Terms, labels: Labels, row_list: npt.NDArray[np.integer]) -> LogOdds:
    """[n_terms] weights of a softmax over each list, drawn towards the ranker's own order."""
    units = np.maximum(terms.std(axis=0), 1e-6)
    own = np.where(np.arange(terms.shape[1]) == 0, units, 0)
    scaled, starts = terms / units, np.flatnonzero(np.diff(row_list, prepend=-1))
    counts = np.diff(np.append(starts, len(row_list)))
    n_positive = np.repeat(np.add.reduceat(labels, starts, dtype=np.int64), counts)

    def loss(weights: LogOdds) -> tuple[float, LogOdds]:
        scores, change = scaled @ weights, weights - own
        scores -= np.repeat(np.maximum.reduceat(scores, starts), counts)
        raised = np.exp(scores)
        totals = np.repeat(np.add.reduceat(raised, starts), counts)
        value = float((labels * (np.log(totals) - scores)).sum() + _PENALTY * change @ change / 2)
        return value, scaled.T @ (n_positive * raised / totals - labels) + _PENALTY * change

    return np.asarray(scipy.optimize.minimize(loss, own, jac=True, method="L-BFGS-B").x / units)
