"""BlendedRanker: a ranker that scores by itself, and what is made of its score, together a Ranker."""

import numpy as np
import numpy.typing as npt

from dataset.candidates import Candidates
from dataset.features import FeatureTables
from ranking.base import Ranker, Scores
from ranking.opinion import Opinion

_LEAST_SPREAD = 1e-6


class BlendedRanker:
    """Has another ranker score the candidates and blends that with retrieval's order; the scores are probabilities."""

    def __init__(self, ranker: Ranker, opinion: Opinion) -> None:
        """`opinion` was fitted on standard scores of such a ranker."""
        self.ranker = ranker
        self.opinion = opinion

    def score(self, candidates: Candidates, features: FeatureTables) -> Scores:
        """[n_rows] float32 from 0 to 1; a row's depends on which others are in its list."""
        own = self.ranker.score(candidates, features)
        return self.opinion(standard_scores(candidates, own), standard_scores(candidates, candidates.score))


def standard_scores(candidates: Candidates, scores: Scores) -> Scores:
    """[n_rows] each score less the mean of its list, in standard deviations of the list; 0 where all are alike."""
    lengths = np.maximum(np.diff(candidates.starts), 1)

    def list_mean(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        means: npt.NDArray[np.float64] = np.bincount(candidates.row_user, values, len(lengths)) / lengths
        return means[candidates.row_user]

    centred = scores - list_mean(scores.astype(np.float64))
    standard: Scores = (centred / np.maximum(np.sqrt(list_mean(centred**2)), _LEAST_SPREAD)).astype(np.float32)
    return standard
