"""ALS: the promises, and the library's own user step as the oracle of ours."""

from dataclasses import replace

import numpy as np
import pytest

from belfry.retrieval.models.als import ALS, ALSConfig
from tests.contracts.checkerboard import checkerboard, features_of
from tests.contracts.factors import FactorTowersPromises

TINY = ALSConfig(embedding_size=2, alpha=10, l2=1.0, epochs=10)


class TestALSPromises(FactorTowersPromises):
    config = TINY


@pytest.mark.parametrize("weighed", [False, True])
def test_queries_are_the_library_s_own_user_step(weighed: bool) -> None:
    from implicit.cpu.als import AlternatingLeastSquares
    from threadpoolctl import threadpool_limits

    board, config = checkerboard(), ALSConfig(embedding_size=4, alpha=7, l2=0.3, epochs=3)
    weight = 1 + np.arange(len(board.history), dtype=np.float32) % 5 if weighed else None
    history = replace(board.history, weight=weight)
    features = features_of(history)
    towers = ALS(config).fit(history, features, seed=0)
    with threadpool_limits(1, "blas"):
        library = AlternatingLeastSquares(factors=4, regularization=0.3, alpha=7, use_cg=False, num_threads=1)
    library.item_factors = towers.encode_candidates(np.arange(1, 13, dtype=np.int32), board.features)
    library.user_factors = np.zeros((24, 4), np.float32)
    confidence = history.relative_matrix[1:, 1:]
    assert weighed == (confidence.data != 1).any()
    confidence.data = (1 + 7 * confidence.data) / 7
    expected = library.recalculate_user(np.arange(24), confidence)
    np.testing.assert_allclose(towers.encode_queries(board.users, features), expected, atol=1e-4)


def test_an_empty_history_gives_zeros_and_the_unknown_item_is_zero() -> None:
    board = checkerboard()
    towers = ALS(TINY).fit(board.history, board.features, seed=0)
    assert not towers.encode_queries(np.zeros(1, np.int32), board.features).any()
    assert not towers.encode_candidates(np.zeros(1, np.int32), board.features).any()
