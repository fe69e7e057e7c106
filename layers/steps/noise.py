"""Random numbers of a training step, which follow from the seed of the step and not from what ran before it.

TensorFlow fixes the seeds of a graph when it is traced, and its generators go on from call to call: one graph that
serves several trainings would give each of them other numbers.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from belfry.layers.backend import Tensor, keras, tf

_STRIDE = 7919  # between the seeds of two draws in a step; a prime, so that draws of neighbouring steps differ


class _Seeds:
    def __init__(self, seed: Tensor) -> None:
        self._seed, self._n_draws = seed, 0

    def next(self) -> Tensor:
        self._n_draws += 1
        return self._seed + tf.constant([self._n_draws * _STRIDE, 0], tf.int32)


_seeds: ContextVar[_Seeds | None] = ContextVar("seeds", default=None)


@contextmanager
def seeded(seed: Tensor) -> Iterator[None]:
    """What is drawn inside follows from `seed` [2] int32 and the order of the draws."""
    token = _seeds.set(_Seeds(seed))
    try:
        yield
    finally:
        _seeds.reset(token)


def uniform(shape: Any, minval: float = 0.0) -> Tensor:
    """float32 in [minval, 1)."""
    seeds = _seeds.get()
    if seeds is None:
        return tf.random.uniform(shape, minval)
    return tf.random.stateless_uniform(shape, seeds.next(), minval, 1.0)


def normal(shape: Any) -> Tensor:
    """float32 of the standard normal."""
    seeds = _seeds.get()
    return tf.random.normal(shape) if seeds is None else tf.random.stateless_normal(shape, seeds.next())


class Dropout(keras.layers.Dropout):  # type: ignore[misc]
    """Keras's, with the numbers of the step where one is running."""

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        seeds = _seeds.get()
        if seeds is None or not training or not self.rate:
            return super().call(inputs, training=training)
        return tf.nn.experimental.stateless_dropout(inputs, self.rate, seeds.next())
