"""Rankers by rating in their serving form. No TensorFlow."""

from typing import cast

import numpy as np

from belfry.dataset.candidates import Candidates
from belfry.dataset.features import FeatureTables
from belfry.layers.onnx import Graph
from belfry.layers.saved.files import ReadablePath
from belfry.ranking.base import Ranker, SavedRanker, Scores
from belfry.ranking.ratings.bayesian import BayesianFactorisation
from belfry.ranking.ratings.config import RatingRankerConfig
from belfry.ranking.ratings.rated_pairs import ROWS_PER_BLOCK
from belfry.ranking.utility import RatingLabels, UtilityRanker

NETWORK_FILE = "rating.onnx"


def load_regressor(saved: SavedRanker) -> UtilityRanker:
    """A ranker whose ratings a network expects."""
    return _ranker(saved, OnnxRegressor(saved.folder))


def load_bayesian_factorisation(saved: SavedRanker) -> UtilityRanker:
    """A ranker whose ratings a factorisation expects."""
    return _ranker(saved, BayesianFactorisation.load(saved.folder))


def _ranker(saved: SavedRanker, ratings: Ranker) -> UtilityRanker:
    config = cast(RatingRankerConfig, saved.config)
    return UtilityRanker.load(saved.folder, RatingLabels(ratings), (config.utility,))


class OnnxRegressor:
    """Meets the protocol `Ranker` out of an exported network of ids; features are inside."""

    def __init__(self, directory: ReadablePath) -> None:
        self._graph = Graph(directory / NETWORK_FILE)

    def score(self, candidates: Candidates, features: FeatureTables) -> Scores:
        """[n_rows] float32 expected ratings, on the scale of the data."""
        users, items = candidates.user_num, candidates.item_num
        blocks = [np.zeros(0, np.float32)]
        for first in range(0, len(candidates), ROWS_PER_BLOCK):
            rows = slice(first, first + ROWS_PER_BLOCK)
            blocks.append(self._graph({"user": users[rows], "item": items[rows]}))
        return np.concatenate(blocks)
