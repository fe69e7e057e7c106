"""The protocol of the second stage; structural, so a model need not import it."""

from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from dataset.candidates import Candidates
from dataset.features import FeatureTables

Scores: TypeAlias = npt.NDArray[np.float32]
Matrix: TypeAlias = npt.NDArray[np.float32]


class PairScorer(Protocol):
    """A trained network over pair features, in training form or serving form."""

    def score_pairs(self, pairs: Matrix) -> Scores:
        """[n_rows] float32 of `pairs` [n_rows, n_features]."""
        ...


class Ranker(Protocol):
    """One score per row, in row order; drops, sorts and filters nothing."""

    def score(self, candidates: Candidates, features: FeatureTables) -> Scores:
        """[n_rows] float32, higher is better."""
        ...
