"""Balancing: gradients without conflict, and weights that tasks learn."""

import numpy as np
import pytest

from belfry.layers.backend import keras, tf
from belfry.ranking.multitask.balancing import Uncertainty, norm, pcgrad


def as_gradients(*vectors: list[float]) -> list[list[tf.Tensor]]:
    """Each vector as the gradients of two weights."""
    return [[tf.constant(vector[:1]), tf.constant(vector[1:])] for vector in vectors]


def as_vector(gradients: list[tf.Tensor]) -> np.ndarray:
    return np.concatenate([gradient.numpy() for gradient in gradients])


def test_gradients_that_agree_stay() -> None:
    agreeing = as_gradients([1.0, 0.0, 2.0], [0.5, 1.0, 0.0])
    for kept, given in zip(pcgrad(agreeing), agreeing, strict=True):
        np.testing.assert_array_equal(as_vector(kept), as_vector(given))


def test_a_conflict_is_taken_out() -> None:
    """By hand: (1, 0) and (-1, 1) have the product -1; each loses its part along the other."""
    one, other = pcgrad(as_gradients([1.0, 0.0], [-1.0, 1.0]))
    np.testing.assert_allclose(as_vector(one), [0.5, 0.5])
    np.testing.assert_allclose(as_vector(other), [0.0, 1.0])


def test_nothing_points_against_another_task_of_two() -> None:
    generator = np.random.default_rng(0)
    for _ in range(20):
        given = as_gradients(*generator.normal(size=(2, 6)).astype(np.float32).tolist())
        for number, kept in enumerate(pcgrad(given)):
            assert as_vector(kept) @ as_vector(given[1 - number]) > -1e-5


def test_a_task_without_gradient_disturbs_none() -> None:
    given = as_gradients([1.0, -2.0], [0.0, 0.0])
    np.testing.assert_array_equal(as_vector(pcgrad(given)[0]), [1.0, -2.0])


def test_norm() -> None:
    assert float(norm(as_gradients([3.0, 0.0, 4.0])[0])) == 5


def test_uncertainty_settles_where_a_loss_weighs_one() -> None:
    """exp(-s) * loss + s is lowest at s = log(loss)."""
    layer, losses = Uncertainty(2), [tf.constant(0.5), tf.constant(4.0)]
    optimizer = keras.optimizers.Adam(0.05)
    for _ in range(400):
        with tf.GradientTape() as tape:
            total = tf.add_n(layer(losses))
        optimizer.apply_gradients([(tape.gradient(total, layer.log_variance), layer.log_variance)])
    assert layer.log_variance.numpy() == pytest.approx(np.log([0.5, 4.0]), abs=0.02)
