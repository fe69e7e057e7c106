"""ScoreBlend: from a ranker's score to what a list is sorted by: with retrieval and labels, as a probability."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from belfry.ranking.base import Scores
from belfry.ranking.calibration import Calibration, deviation
from belfry.ranking.examples import Examples
from belfry.ranking.lists import Lists
from belfry.ranking.listwise.first_watches import FirstWatches
from belfry.ranking.listwise.new_item_places import is_new, needed_shift, raise_new

RETRIEVAL = "standard_score"  # the feature that says where retrieval puts a candidate within its list
WEIGHTS = (0.0, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5)


class Utility(NamedTuple):
    """How much an expected label counts in the order of a list."""

    column: str  # of the features, which holds it
    share: float  # of the order; those of all labels are below 1 together, and the rest is the watch's
    spread: float  # standard deviation of the label


@dataclass(frozen=True)
class ScoreBlend:
    """The probability that belongs to

    score + retrieval_weight * standard score of retrieval + sum over labels of label_weights * expected label

    with `new_item_shift` for items without watches, as `raise_new` has it.
    """

    retrieval_weight: float = 0.0
    calibration: Calibration = field(default_factory=Calibration)
    label_weights: Mapping[str, float] = field(default_factory=dict)  # of columns of the features
    first_watches: FirstWatches | None = None  # how lists of newcomers differ; None where they do not
    new_item_shift: float = 0.0

    @classmethod
    def fit(
        cls,
        scores: Scores,
        validation: Examples,
        *,
        retrieval_weight: float | None,
        utilities: Sequence[Utility] = (),
    ) -> Self:
        """Weigh retrieval by NDCG@10 and calibrate, both on examples that the ranker has not learned from.

        With `utilities` lists go by

            (1 - sum of shares) * log-odds of a watch + sum of share * expected label / spread

        Args:
            scores: [n_rows] of the ranker, of any scale.
            retrieval_weight: in standard deviations of `scores` for each of retrieval's; None takes the best of
                `WEIGHTS`, the smallest of equal ones.
            utilities: of expected labels.
        """
        unit, retrieval = deviation(scores), validation.lists.column(RETRIEVAL)
        if retrieval_weight is None:
            worth = [validation.ndcg(_blend(scores, weight * unit, retrieval)).mean() for weight in WEIGHTS]
            retrieval_weight = WEIGHTS[int(np.argmax(worth))]
        is_positive = validation.labels > 0
        blended = _blend(scores, retrieval_weight * unit, retrieval)
        shift = needed_shift(blended, retrieval, validation.lists)
        watch = cls(retrieval_weight * unit, new_item_shift=shift)
        watch = replace(watch, calibration=Calibration.fit(watch.blend(scores, validation.lists), is_positive))
        if not any(utility.share for utility in utilities):
            return watch
        one = (1 - sum(utility.share for utility in utilities)) * watch.calibration.slope  # of log-odds, per score
        weights = {utility.column: utility.share / utility.spread / one for utility in utilities if utility.share}
        whole = replace(watch, label_weights=weights)
        return replace(whole, calibration=Calibration.fit(whole.blend(scores, validation.lists), is_positive))

    def __call__(self, scores: Scores, lists: Lists) -> Scores:
        """[n_rows] float32 probabilities, from the ranker's `scores` [n_rows] of the rows of `lists`."""
        if self.first_watches is None:
            return self.calibration(self.blend(scores, lists))
        followed = self.first_watches(self.log_odds(scores, lists), lists)
        return Calibration()(self._raised(followed, lists, self.calibration.slope * self.new_item_shift))

    def log_odds(self, scores: Scores, lists: Lists) -> npt.NDArray[np.float64]:
        """[n_rows] of a watch, as they are for users with a history, before new items rise."""
        return self.calibration.slope * self._plain(scores, lists) + self.calibration.intercept

    def blend(self, scores: Scores, lists: Lists) -> npt.NDArray[np.float64]:
        """[n_rows] the same before calibration, new items raised."""
        return self._raised(self._plain(scores, lists), lists, self.new_item_shift)

    def _plain(self, scores: Scores, lists: Lists) -> npt.NDArray[np.float64]:
        blended = _blend(scores, self.retrieval_weight, lists.column(RETRIEVAL))
        for name, weight in self.label_weights.items():
            blended += weight * lists.column(name)
        return blended

    def _raised(self, order: npt.NDArray[np.float64], lists: Lists, shift: float) -> npt.NDArray[np.float64]:
        new = is_new(lists) if shift else None
        return order if new is None else raise_new(order, lists, new, shift)


def _blend(scores: Scores, retrieval_weight: float, retrieval: Scores) -> npt.NDArray[np.float64]:
    """[n_rows] in double precision: scores that hardly differ weigh retrieval by hardly more than nothing."""
    return scores.astype(np.float64) + retrieval_weight * retrieval
