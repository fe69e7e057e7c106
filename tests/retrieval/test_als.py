"""ALS: the promises, and the library's own user step as the oracle of ours."""

from pathlib import Path

import numpy as np
import pytest

from dataset.errors import InputError
from retrieval.als import ALS, ALSConfig
from retrieval.config import TowerConfig
from retrieval.index.exact import ExactIndex
from retrieval.indexed import IndexedRetriever
from retrieval.serving import load_towers
from tests.contracts.checkerboard import Checkerboard, checkerboard
from tests.contracts.retriever import RetrieverPromises

TINY: TowerConfig = ALSConfig(factors=2, alpha=10, l2=1.0, epochs=10)


def fitted(board: Checkerboard, *, seed: int = 0) -> ALS:
    assert isinstance(TINY, ALSConfig)
    return ALS(TINY).fit(board.history, board.features, seed=seed)


class TestALSPromises(RetrieverPromises):
    @pytest.fixture
    def retriever(self, board: Checkerboard) -> IndexedRetriever:
        towers, items = fitted(board), np.arange(1, len(board.history.items) + 1, dtype=np.int32)
        return IndexedRetriever(towers, ExactIndex.build(towers.encode_candidates(items, board.features), items))


def test_queries_are_the_library_s_own_user_step() -> None:
    from implicit.cpu.als import AlternatingLeastSquares
    from threadpoolctl import threadpool_limits

    board, config = checkerboard(), ALSConfig(factors=4, alpha=7, l2=0.3, epochs=3)
    towers = ALS(config).fit(board.history, board.features, seed=0)
    with threadpool_limits(1, "blas"):
        library = AlternatingLeastSquares(factors=4, regularization=0.3, alpha=7, use_cg=False, num_threads=1)
    library.item_factors = towers.encode_candidates(np.arange(1, 13, dtype=np.int32), board.features)
    library.user_factors = np.zeros((24, 4), np.float32)
    expected = library.recalculate_user(np.arange(24), board.history.matrix[1:, 1:] * np.float32(8 / 7))
    np.testing.assert_allclose(towers.encode_queries(board.users, board.features), expected, atol=1e-4)


def test_an_empty_history_gives_zeros_and_the_unknown_item_is_zero() -> None:
    board = checkerboard()
    towers = fitted(board)
    assert not towers.encode_queries(np.zeros(1, np.int32), board.features).any()
    assert not towers.encode_candidates(np.zeros(1, np.int32), board.features).any()


def test_equal_seeds_give_equal_factors_and_a_refit_forgets() -> None:
    board, other = checkerboard(), checkerboard(n_users=10, n_items=8)
    items = np.arange(13, dtype=np.int32)
    once = fitted(board)
    again = fitted(other, seed=3).fit(board.history, board.features, seed=0)
    np.testing.assert_array_equal(
        once.encode_candidates(items, board.features), again.encode_candidates(items, board.features)
    )


def test_the_serving_form_gives_the_same_queries(tmp_path: Path) -> None:
    board = checkerboard()
    towers, items = fitted(board), np.arange(13, dtype=np.int32)
    towers.export(tmp_path / "als", board.features)
    served = load_towers(tmp_path / "als", TINY, towers.encode_candidates(items, board.features))
    users = np.arange(25, dtype=np.int32)
    np.testing.assert_array_equal(
        served.encode_queries(users, board.features), towers.encode_queries(users, board.features)
    )


def test_reading_before_fit_is_refused() -> None:
    board = checkerboard()
    with pytest.raises(InputError, match=r"als: not fitted; call fit\(\) or load\(\) first"):
        ALS().encode_queries(board.users, board.features)


def test_progress_is_told_of_every_epoch() -> None:
    board, told = checkerboard(), []
    ALS(ALSConfig(factors=2, epochs=3)).fit(
        board.history, board.features, seed=0, progress=lambda done, total: told.append((done, total))
    )
    assert told == [(1, 3), (2, 3), (3, 3)]
