"""PureSVD: the promises, and the whole decomposition as the oracle."""

import numpy as np
import pyarrow as pa
import pytest

from belfry.dataset.errors import InputError
from belfry.dataset.interactions import Interactions
from belfry.retrieval.models.pure_svd import PureSVD, PureSVDConfig
from tests.contracts.checkerboard import Checkerboard, checkerboard, features_of
from tests.contracts.factors import ITEMS, USERS, FactorTowersPromises


class TestPureSVDPromises(FactorTowersPromises):
    config = PureSVDConfig(embedding_size=2)
    tells_epochs = False

    @pytest.fixture
    def board(self) -> Checkerboard:
        """One more odd user than even ones: were they equal, singular vectors would be a chance mix of both sides."""
        return checkerboard(n_users=25)


def test_scores_are_the_best_approximation_of_the_table() -> None:
    board = checkerboard()
    towers = PureSVD(PureSVDConfig(embedding_size=3)).fit(board.history, board.features, seed=0)
    scores = towers.encode_queries(USERS, board.features) @ towers.encode_candidates(ITEMS, board.features).T
    values = np.linalg.svd(board.history.matrix.toarray(), compute_uv=False)
    # The values after the first two are all equal, so which of their directions is the third is chance.
    error = np.linalg.norm(board.history.matrix.toarray() - scores)
    assert error == pytest.approx(np.linalg.norm(values[3:]), rel=1e-4)


def test_directions_without_watches_are_no_factors() -> None:
    """Two users with equal rows: the table has rank one."""
    history = Interactions.from_table(pa.table({"user_id": [1, 1, 1, 2, 2, 2], "item_id": [1, 2, 3] * 2}))
    towers = PureSVD(PureSVDConfig(embedding_size=2)).fit(history, features_of(history), seed=0)
    factors = towers.encode_candidates(np.arange(1, 4, dtype=np.int32), features_of(history))
    assert np.count_nonzero(factors.any(axis=0)) == 1
    np.testing.assert_allclose(factors @ factors.T, 1 / 3, atol=1e-6)


def test_more_factors_than_the_table_can_have_are_refused() -> None:
    board = checkerboard()
    with pytest.raises(
        InputError, match="pure_svd: embedding_size=13 is more than 24 users and 12 items can have; lower it"
    ):
        PureSVD(PureSVDConfig(embedding_size=13)).fit(board.history, board.features, seed=0)
    towers = PureSVD(PureSVDConfig(embedding_size=12)).fit(board.history, board.features, seed=0)
    scores = towers.encode_queries(USERS, board.features) @ towers.encode_candidates(ITEMS, board.features).T
    np.testing.assert_allclose(scores, board.history.matrix.toarray(), atol=1e-5)
