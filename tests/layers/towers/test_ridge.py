import numpy as np
import pytest
import scipy.sparse as sp

from belfry.layers.towers.ridge import impute_biases, ridge


def some_rows(seed: int = 0) -> tuple[sp.csr_matrix, np.ndarray, np.ndarray]:
    """features [30, 6], targets [30, 3], counts [30] of which some are 0."""
    generator = np.random.default_rng(seed)
    features = sp.csr_matrix((generator.random((30, 6)) < 0.4).astype(np.float32))
    targets = generator.standard_normal((30, 3)).astype(np.float32)
    return features, targets, generator.integers(0, 5, 30)


def test_it_is_the_weighted_ridge_solution() -> None:
    features, targets, counts = some_rows()
    used = counts > 0
    dense, weights = features.toarray()[used].astype(np.float64), np.diag(counts[used] / counts[used].mean())
    expected = np.linalg.solve(dense.T @ weights @ dense + 5 * np.eye(6), dense.T @ weights @ targets[used])
    np.testing.assert_allclose(ridge(features, targets, counts), expected, atol=1e-3)


def test_without_weights_slopes_are_zero() -> None:
    features, targets, counts = some_rows()
    assert not ridge(features, targets * 0, counts).any()
    assert ridge(sp.csr_matrix(np.zeros((30, 6), np.float32)), targets, counts).shape == (6, 3)


def test_biases_of_cold_items_are_imputed_from_features() -> None:
    """Of 100 rows with feature 0 and bias 2, and 100 with feature 1 and bias -1, half of each are new."""
    features = sp.csr_matrix(np.concatenate([np.zeros((1, 2)), np.repeat(np.eye(2), 100, axis=0)]).astype(np.float32))
    counts = np.tile([3, 0], 100)
    counts = np.append(0, counts)
    biases = np.append(0, np.repeat([2.0, -1.0], 100))[:, None].astype(np.float32) * (counts[:, None] > 0)
    found = impute_biases(features, biases, counts)
    assert (found[counts > 0] == biases[counts > 0]).all()
    assert found[0] == 0
    for of, bias in ((slice(1, 101), 2.0), (slice(101, 201), -1.0)):
        new = found[of][counts[of] == 0]
        assert new == pytest.approx(bias * 50 / 55, abs=1e-3)


def test_a_row_without_features_gets_the_lowest_bias() -> None:
    features = sp.csr_matrix(np.array([[0], [1], [1], [0]], np.float32))
    biases = np.array([[0], [4], [-2], [0]], np.float32)
    assert impute_biases(features, biases, np.array([0, 1, 1, 0]))[3] == -2
    without = sp.csr_matrix(np.zeros((0, 0), np.float32))
    assert impute_biases(without, biases, np.array([0, 1, 1, 0]))[3] == -2
