"""LogisticMF: the promises, and a general optimiser as the oracle of the fold-in."""

import numpy as np
import pytest
from scipy.optimize import minimize

from belfry.dataset.errors import DivergenceError
from belfry.dataset.interactions import Interactions
from belfry.retrieval.models.logistic_mf import LogisticMF, LogisticMFConfig
from tests.contracts.checkerboard import checkerboard, features_of
from tests.contracts.factors import ITEMS, FactorTowersPromises

TINY = LogisticMFConfig(embedding_size=4, l2=0.1, learning_rate=1.0, epochs=40)


class TestLogisticMFPromises(FactorTowersPromises):
    config = TINY


def test_queries_maximise_the_objective() -> None:
    board, config = checkerboard(), LogisticMFConfig(embedding_size=3, alpha=2.0, l2=0.4, n_negatives=1, epochs=5)
    towers = LogisticMF(config).fit(board.history, board.features, seed=0)
    factors = towers.encode_candidates(ITEMS, board.features).astype(np.float64)
    counts = board.history.item_counts
    for user in (1, 2):
        watched = board.history.matrix[user].toarray()[0]

        def loss(free: np.ndarray, watched: np.ndarray = watched) -> float:
            scores = factors @ np.concatenate([free[:3], [1], free[3:]])
            rose = config.alpha * watched @ np.logaddexp(0, -scores)
            fell = min(watched.sum(), 5) * (counts / counts.sum()) @ np.logaddexp(0, scores)
            return float(rose + fell + config.l2 / 2 * free @ free)

        best = minimize(loss, np.zeros(4), tol=1e-10).x
        query = towers.encode_queries(np.array([user], np.int32), board.features)[0]
        assert query[3] == 1
        np.testing.assert_allclose(query[[0, 1, 2, 4]], best, atol=1e-3)


def test_an_empty_history_gets_the_biases_and_an_unwatched_item_the_lowest() -> None:
    board = checkerboard()
    history = board.history.select(board.history.item_num != 5)
    towers = LogisticMF(TINY).fit(history, features_of(history), seed=0)
    (query,) = towers.encode_queries(np.zeros(1, np.int32), features_of(history))
    assert query.tolist() == [0, 0, 0, 0, 1, 0]
    candidates = towers.encode_candidates(ITEMS, features_of(history))
    assert candidates[1:, 4].min() == candidates[5, 4]
    assert not candidates[5, :4].any()


def test_a_large_catalogue_is_solved_with_sampled_negatives(monkeypatch: pytest.MonkeyPatch) -> None:
    """And users in many blocks."""
    board = checkerboard()
    whole = LogisticMF(TINY).fit(board.history, board.features, seed=0)
    monkeypatch.setattr("belfry.retrieval.models.logistic_mf._MAX_NEGATIVES", 11)
    monkeypatch.setattr("belfry.retrieval.models.logistic_mf._CELLS_PER_BLOCK", 200)
    drawn = LogisticMF(TINY).fit(board.history, board.features, seed=0)
    share = drawn.learned["negative_share"]
    assert share.sum() == pytest.approx(1)
    assert np.count_nonzero(share) < 12
    exact, close = (towers.encode_queries(board.users, board.features) for towers in (whole, drawn))
    cosines = (exact * close).sum(axis=1) / np.linalg.norm(exact, axis=1) / np.linalg.norm(close, axis=1)
    assert cosines.min() > 0.9


def test_divergence_names_the_epoch_and_the_array() -> None:
    board = checkerboard()
    with pytest.raises(DivergenceError, match=r"'item_factors' reach 1e\+30 in epoch 1; lower its learning_rate"):
        LogisticMF(LogisticMFConfig(learning_rate=1e30)).fit(board.history, board.features, seed=0)


def test_users_without_watches_stay_finite() -> None:
    board = checkerboard()
    nothing = Interactions(board.history.users, board.history.items, np.zeros(0, np.int32), np.zeros(0, np.int32))
    towers = LogisticMF(TINY).fit(board.history, board.features, seed=0)
    assert np.isfinite(towers.encode_queries(board.users, features_of(nothing))).all()
