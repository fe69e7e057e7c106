"""The protocol of the second stage; structural, so a model need not import it."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from dataset.candidates import Candidates
from dataset.features import FeatureTables
from dataset.interactions import Interactions

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


class EventRanker(Ranker, Protocol):
    """A ranker in training form that learns from the events of a history alone, as towers do; no candidate lists."""

    def check(self, history: Interactions, features: FeatureTables) -> None:
        """Refuse data that this ranker cannot learn from.

        Raises:
            InputError: names what the data lack.
        """
        ...

    def fit(
        self,
        history: Interactions,
        features: FeatureTables,
        *,
        seed: int,
        progress: Callable[[int, int], None] = ...,
    ) -> Self:
        """Train from nothing and return itself; a second fit forgets the first."""
        ...

    def save(self, directory: Path) -> None:
        """Write config and weights, the training form."""
        ...

    @classmethod
    def load(cls, directory: Path, features: FeatureTables) -> Self:
        """What `save` wrote."""
        ...

    def export(self, directory: Path, features: FeatureTables) -> None:
        """Write the serving form, which takes no TensorFlow to read."""
        ...
