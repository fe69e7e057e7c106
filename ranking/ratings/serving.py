"""Rankers by rating in their serving form. No TensorFlow."""

from pathlib import Path

import numpy as np

from belfry.dataset.candidates import Candidates
from belfry.dataset.features import FeatureTables
from belfry.layers.onnx import open_session
from belfry.ranking.base import Ranker, Scores
from belfry.ranking.ratings.bayesian import BayesianFactorisation
from belfry.ranking.ratings.config import BayesianFactorisationConfig, RegressorConfig
from belfry.ranking.ratings.rated_pairs import ROWS_PER_BLOCK

NETWORK_FILE = "rating.onnx"


def load_rating_ranker(
    directory: Path, config: BayesianFactorisationConfig | RegressorConfig, features: FeatureTables
) -> Ranker:
    """What `export` wrote into `directory`."""
    if isinstance(config, BayesianFactorisationConfig):
        return BayesianFactorisation.load(directory, features)
    return OnnxRegressor(directory / NETWORK_FILE)


class OnnxRegressor:
    """Meets the protocol `Ranker` out of an exported network of ids; features are inside."""

    def __init__(self, network: Path) -> None:
        self._session = open_session(network)

    def score(self, candidates: Candidates, features: FeatureTables) -> Scores:
        """[n_rows] float32 expected ratings, on the scale of the data."""
        users, items = candidates.user_num, candidates.item_num
        blocks = [np.zeros(0, np.float32)]
        for first in range(0, len(candidates), ROWS_PER_BLOCK):
            rows = slice(first, first + ROWS_PER_BLOCK)
            blocks.append(self._session.run(None, {"user": users[rows], "item": items[rows]})[0])
        return np.concatenate(blocks)
