"""What the autoencoders do beside the promises, which test_profiles.py keeps."""

import numpy as np
import pytest
from pydantic import ValidationError

from belfry.dataset.vocabulary import Numbers
from belfry.retrieval.config import AutoencoderConfig
from belfry.retrieval.models.neural.autoencoder import Autoencoder
from tests.contracts.checkerboard import Checkerboard, checkerboard

TINY = AutoencoderConfig(embedding_size=8, batch_users=8, learning_rate=0.03, l2=0, epochs=60)
ITEMS: Numbers = np.arange(1, 13, dtype=np.int32)


def scores_of(config: AutoencoderConfig, board: Checkerboard) -> np.ndarray:
    towers = Autoencoder(config).fit(board.history, board.features, seed=0)
    queries = towers.encode_queries(board.users, board.features)
    return np.asarray(queries @ towers.encode_candidates(ITEMS, board.features).T)


def test_a_huge_kl_weight_leaves_one_list_for_all() -> None:
    board = checkerboard()
    free, held = (
        np.ptp(scores_of(TINY.model_copy(update={"variant": "variational", "kl_weight": weight}), board), axis=0).max()
        for weight in (0.01, 100.0)
    )
    assert held < 0.05 * free


def test_a_huge_l2_leaves_one_list_for_all() -> None:
    board = checkerboard()
    assert np.ptp(scores_of(TINY.model_copy(update={"l2": 1e5}), board), axis=0).max() < 0.01


def test_scores_come_from_the_last_layer() -> None:
    board = checkerboard()
    towers = Autoencoder(TINY.model_copy(update={"hidden": (6, 4), "epochs": 1}))
    towers.fit(board.history, board.features, seed=0)
    assert towers.encode_queries(board.users, board.features).shape == (24, 7)
    assert towers.encode_candidates(ITEMS, board.features).shape == (12, 7)


def test_hidden_widths_of_zero_are_refused() -> None:
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        AutoencoderConfig(hidden=(0,))
