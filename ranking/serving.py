"""OnnxScorer: the ranker's network in its serving form. No TensorFlow."""

from pathlib import Path

import numpy as np

from layers.sessions import open_session
from ranking.base import Matrix, Scores

_ROWS_PER_BLOCK = 1 << 16


class OnnxScorer:
    """Meets the protocol `PairScorer` out of an exported network."""

    def __init__(self, network: Path) -> None:
        self._session = open_session(network)

    def score_pairs(self, pairs: Matrix) -> Scores:
        """[n_rows] float32."""
        blocks = [np.zeros(0, np.float32)]
        for first in range(0, len(pairs), _ROWS_PER_BLOCK):
            blocks.append(self._session.run(None, {"pairs": pairs[first : first + _ROWS_PER_BLOCK]})[0])
        return np.concatenate(blocks)
