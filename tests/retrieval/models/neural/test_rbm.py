"""The restricted Boltzmann machine by hand; the promises are kept in test_profiles.py."""

from itertools import product

import numpy as np

from belfry.layers.backend import tf
from belfry.retrieval.config import RBMConfig
from belfry.retrieval.models.neural.rbm import RBM
from tests.contracts.checkerboard import checkerboard

TINY = RBMConfig(embedding_size=3, l2=0.1, batch_users=8, learning_rate=0.05, epochs=5)


def test_the_free_energy_sums_over_every_state_of_the_hidden_units() -> None:
    board = checkerboard(n_users=10, n_items=4)
    machine = RBM(TINY).fit(board.history, board.features, seed=0).learned
    kernel, item_bias, hidden_bias = (np.asarray(weight, np.float64) for weight in machine.get_weights())
    profiles = np.array(list(product([0, 1], repeat=4)), np.float32)
    hidden = np.array(list(product([0, 1], repeat=3)), np.float64)
    energies = -(profiles @ kernel @ hidden.T + (profiles @ item_bias)[:, None] + hidden @ hidden_bias)
    expected = -np.log(np.exp(-energies).sum(axis=1))
    np.testing.assert_allclose(machine.free_energy(tf.constant(profiles)).numpy(), expected, rtol=1e-5)


def test_scores_are_the_log_odds_of_watching_given_the_mean_of_the_hidden_units() -> None:
    board = checkerboard()
    towers = RBM(TINY).fit(board.history, board.features, seed=0)
    kernel, item_bias, hidden_bias = towers.learned.get_weights()
    profiles = board.history.matrix[board.users, 1:].toarray()
    hidden = 1 / (1 + np.exp(-(profiles @ kernel + hidden_bias)))
    scores = (
        towers.encode_queries(board.users, board.features)
        @ towers.encode_candidates(np.arange(1, 13, dtype=np.int32), board.features).T
    )
    np.testing.assert_allclose(scores, hidden @ kernel.T + item_bias, atol=1e-4)


def test_with_a_zero_kernel_scores_are_the_log_odds_of_popularity() -> None:
    """A penalty that makes the kernel zero, and a rate that keeps the biases where they start."""
    board = checkerboard()
    config = TINY.model_copy(update={"l2": 1e6, "learning_rate": 1e-6})
    towers = RBM(config).fit(board.history, board.features, seed=0)
    n_watched = np.bincount(board.history.item_num, minlength=13)[1:]
    shares = (n_watched + 0.5) / 25
    biases = towers.encode_candidates(np.arange(1, 13, dtype=np.int32), board.features)[:, -1]
    np.testing.assert_allclose(biases, np.log(shares / (1 - shares)), atol=1e-3)
