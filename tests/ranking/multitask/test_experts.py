"""Sharing layers: what tasks get of one input, which weights are whose, and that tasks start from their input."""

from collections.abc import Callable

import numpy as np
import pytest

from belfry.layers.backend import keras, tf
from belfry.ranking.multitask.config import MultitaskConfig
from belfry.ranking.multitask.experts import ProgressiveExtraction, SharedBottom, Sharing

N_TASKS, SIZE = 3, 5


def bottom(widths: tuple[int, ...] = (4,)) -> Sharing:
    return SharedBottom(widths, SIZE, n_tasks=N_TASKS, dropout=0.0, name="bottom")


def mmoe() -> Sharing:
    return experts(sharing="mmoe")


def ple() -> Sharing:
    return experts(sharing="ple", n_own_experts=2, n_levels=2)


def experts(**settings: object) -> Sharing:
    config = MultitaskConfig(embedding_size=SIZE, n_experts=2, expert_width=7, dropout=0.0, **settings)  # type: ignore[arg-type]
    return ProgressiveExtraction(config, n_tasks=N_TASKS, name="experts")


@pytest.fixture
def inputs() -> np.ndarray:
    keras.utils.set_random_seed(0)
    return np.random.default_rng(0).normal(size=(4, SIZE)).astype(np.float32)


@pytest.mark.parametrize("make", [bottom, mmoe, ple])
def test_one_output_per_task(make: Callable[[], Sharing], inputs: np.ndarray) -> None:
    outputs = make()(inputs)
    assert [output.shape for output in outputs] == [(4, SIZE)] * N_TASKS


@pytest.mark.parametrize("make", [lambda: bottom(()), mmoe, ple])
def test_tasks_start_from_the_embeddings_as_they_are(make: Callable[[], Sharing], inputs: np.ndarray) -> None:
    for output in make()(inputs):
        np.testing.assert_allclose(output, inputs, atol=1e-6)


def test_a_bottom_is_the_same_for_all(inputs: np.ndarray) -> None:
    layer = bottom()
    first, *others = layer(inputs)
    for other in others:
        np.testing.assert_array_equal(first, other)
    assert {id(weight) for weight in layer.shared_weights} == {id(weight) for weight in layer.trainable_variables}


@pytest.mark.parametrize("make", [mmoe, ple])
def test_one_task_trains_shared_experts_and_leaves_those_of_others(
    make: Callable[[], Sharing], inputs: np.ndarray
) -> None:
    layer = make()
    layer(inputs)
    for weight in layer.trainable_variables:  # an expert that adds nothing passes no gradient to what is inside
        weight.assign(np.random.default_rng(1).normal(size=weight.shape, scale=0.5))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(inputs)[0] ** 2)
    gradients = tape.gradient(loss, layer.trainable_variables)
    moved = {id(weight) for weight, g in zip(layer.trainable_variables, gradients, strict=True) if g is not None}
    last = layer.levels[-1]
    parts_of_others = [*last.gates[1:], *(expert for own in last.own[1:] for expert in own)]
    assert {id(weight) for weight in layer.shared_weights} <= moved
    assert not moved & {id(weight) for part in parts_of_others for weight in part.trainable_variables}


def test_an_output_mixes_the_experts_by_the_gate_of_its_task(inputs: np.ndarray) -> None:
    """Two shared experts that add 1 and 3."""
    layer = mmoe()
    layer(inputs)
    for expert, added in zip(layer.levels[0].shared, (1.0, 3.0), strict=True):
        expert.outer.bias.assign(np.full(SIZE, added))
    added = np.stack([output - inputs for output in layer(inputs)])
    for task, gate in enumerate(layer.levels[0].gates):
        shares = gate(inputs).numpy()
        np.testing.assert_allclose(added[task], np.tile(shares @ [1, 3], (SIZE, 1)).T, atol=1e-5)
