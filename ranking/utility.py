"""UtilityRanker: retrieval's order and the labels that are expected, by their shares, together a Ranker."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
from pydantic import PositiveFloat

from belfry.dataset import columns
from belfry.dataset.candidates import Candidates
from belfry.dataset.features import FeatureTables
from belfry.layers.config import Settings
from belfry.layers.saved.files import ReadablePath, read_settings
from belfry.ranking.base import EventRanker, LabelRanker, Matrix, Ranker, Scores
from belfry.ranking.calibration import Calibration

UTILITY_FILE = "utility.json"
_EPSILON = 1e-6  # below it the scores of a list are all alike


class _SavedUtility(Settings):
    """What `UTILITY_FILE` holds."""

    spreads: tuple[PositiveFloat, ...]  # standard deviation of each label
    slope: float
    intercept: float


@dataclass(frozen=True)
class UtilityRanker:
    """Lists that are watched and then liked; the scores are probabilities of a watch, rising with the utility."""

    labels: LabelRanker
    shares: tuple[float, ...]  # of each label in the utility
    spreads: tuple[float, ...]  # standard deviation of each label
    calibration: Calibration = field(default_factory=Calibration)

    def score(self, candidates: Candidates, features: FeatureTables) -> Scores:
        """[n_rows] float32 from 0 to 1; a row's depends on which others are in its list."""
        return self.calibration(self.utility(candidates, features))

    def utility(self, candidates: Candidates, features: FeatureTables) -> Scores:
        """[n_rows] the standard score that retrieval gives within the list stands for the log of a watch's probability.

        Retrieval knows more than one model does, such as what is popular now, and its standard deviation is about one
        of those logarithms (1.0 to 1.2 within lists of MovieLens 100K).
        """
        expected = self.labels.expected(candidates, features)
        return utility(standard_scores(candidates), expected, self.shares, self.spreads)

    @classmethod
    def load(cls, directory: ReadablePath, labels: LabelRanker, shares: tuple[float, ...]) -> Self:
        """What `TrainedUtilityRanker.export` wrote, with labels in serving form."""
        saved = read_settings(directory / UTILITY_FILE, _SavedUtility)
        return cls(labels, shares, saved.spreads, Calibration(saved.slope, saved.intercept))


@dataclass(frozen=True)
class RatingLabels:
    """A ranker by rating as what expects one label."""

    ranker: Ranker

    @property
    def label_names(self) -> tuple[str, ...]:
        """The rating."""
        return (columns.RATING,)

    def expected(self, candidates: Candidates, features: FeatureTables) -> Matrix:
        """[n_rows, 1]"""
        return self.ranker.score(candidates, features)[:, np.newaxis]

    @property
    def deviating_labels(self) -> tuple[str, ...]:
        """The rating, where the ranker says how far it may lie from what is expected."""
        return self.label_names if hasattr(self.ranker, "deviations") else ()

    def deviations(self, candidates: Candidates, features: FeatureTables) -> Matrix:
        """[n_rows, 1]"""
        return np.asarray(self.ranker.deviations(candidates), np.float32)[:, np.newaxis]  # type: ignore[attr-defined]


@dataclass(frozen=True)
class TrainedRatingLabels(RatingLabels):
    """A ranker by rating in training form."""

    ranker: EventRanker

    def save(self, directory: Path) -> None:
        self.ranker.save(directory)

    def export(self, directory: Path) -> None:
        self.ranker.export(directory)


@dataclass(frozen=True)
class TrainedUtilityRanker(UtilityRanker):
    """In training form: its labels can be saved."""

    labels: TrainedRatingLabels

    def save(self, directory: Path) -> None:
        """The labels, to go on from."""
        self.labels.save(directory)

    def export(self, directory: Path) -> None:
        """The labels, and what is made of them."""
        directory.mkdir(parents=True, exist_ok=True)
        saved = {"spreads": self.spreads, **asdict(self.calibration)}
        (directory / UTILITY_FILE).write_text(json.dumps(saved, indent=2))
        self.labels.export(directory)


def utility(watch: Scores, expected: Matrix, shares: Sequence[float], spreads: Sequence[float]) -> Scores:
    """[n_rows] `watch` and each column of `expected`, this in its standard deviations, by their shares of 1.

    Args:
        watch: [n_rows]
        expected: [n_rows, n_tasks]
        shares, spreads: of the tasks.
    """
    weights = np.array(shares) / np.array(spreads)
    return np.asarray((1 - sum(shares)) * watch + expected @ weights, np.float32)


def standard_scores(candidates: Candidates) -> Scores:
    """[n_rows] retrieval's score less its list's mean, in the list's standard deviations; 0 where all are alike."""
    score, lengths = candidates.score.astype(np.float64), np.maximum(np.diff(candidates.starts), 1)

    def list_mean(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        means: npt.NDArray[np.float64] = np.bincount(candidates.row_user, values, len(lengths)) / lengths
        return means[candidates.row_user]

    centred = score - list_mean(score)
    standard: Scores = (centred / np.maximum(np.sqrt(list_mean(centred**2)), _EPSILON)).astype(np.float32)
    return standard
