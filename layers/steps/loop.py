"""Steps of training without Python between them: a block of batches goes in whole, and the graph loops over it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from belfry.dataset.arrays import Positions
from belfry.layers.backend import Tensor, keras, tf
from belfry.layers.steps.adam import Adam
from belfry.layers.steps.noise import seeded

Nest: TypeAlias = Any  # arrays or tensors in tuples and dicts
Batch: TypeAlias = Mapping[str, Nest]  # the rows of one step, under the names of the block's stacks
Step: TypeAlias = Callable[[Batch, Nest], Tensor]
Losses: TypeAlias = Callable[[Any, Batch, Nest], tuple[Tensor, Tensor]]  # of a network


class Stack(NamedTuple):
    """Arrays of all steps of a block, one step's rows after another's; those of step s are `starts[s]:starts[s+1]`."""

    starts: Positions  # [n_steps + 1]
    values: Nest  # arrays [starts[-1], ...]


Block: TypeAlias = Mapping[str, Stack]


def stacked(parts: Sequence[Nest]) -> Stack:
    """A stack of the arrays of each step, which have as many rows as the first of them."""
    n_rows = [len(tf.nest.flatten(part)[0]) for part in parts]
    return Stack(np.cumsum([0, *n_rows]), tf.nest.map_structure(lambda *arrays: np.concatenate(arrays), *parts))


class StepLoop:
    """`step`, compiled at the first block, whose axes may have other lengths in later ones."""

    def __init__(self, step: Step) -> None:
        """`step` takes a batch, and what all steps share, trains on it, and gives its loss or losses, float32."""
        self._step = step
        self._run: Callable[..., Tensor] | None = None

    def __call__(self, block: Block, shared: Nest, *, seed: int) -> npt.NDArray[np.float32]:
        """[n_steps, ...] what `step` gave, step by step.

        Args:
            shared: tensors that every step reads.
            seed: of the random numbers of these steps, see `belfry.layers.steps.noise`.
        """
        arguments = tf.nest.map_structure(tf.convert_to_tensor, (dict(block), shared, np.int32(seed)))
        if self._run is None:
            specs = tf.nest.map_structure(_any_length, arguments)
            self._run = tf.function(self._loop, input_signature=specs, autograph=False)
        found: npt.NDArray[np.float32] = self._run(*arguments).numpy()
        return found

    def _loop(self, block: Block, shared: Nest, seed: Tensor) -> Tensor:
        n_steps = tf.size(next(iter(block.values())).starts) - 1

        def train(number: Tensor, losses: Tensor) -> tuple[Tensor, Tensor]:
            batch = {name: _rows_of(stack, number) for name, stack in block.items()}
            with seeded(tf.stack([number, seed])):
                return number + 1, losses.write(number, self._step(batch, shared))

        losses = tf.TensorArray(tf.float32, size=n_steps)
        _, losses = tf.while_loop(
            lambda number, _: number < n_steps, train, (tf.constant(0), losses), parallel_iterations=1
        )
        return losses.stack()


class Trainer:
    """Trains networks of one shape, one after another, by one graph: weights are copied in, trained, and copied out."""

    def __init__(self, network: keras.Model, losses: Losses) -> None:
        """Train `network` in place of others.

        Args:
            losses: of a network, a batch and what all steps share, two scalars: the loss, which a step gives back, and
                the objective, which it lowers.
        """
        self._network, self._optimizer = network, Adam(network.trainable_variables)
        self._shared: Nest = ()

        def step(batch: Batch, shared: Nest) -> Tensor:
            rate, n_steps, rest = shared
            with tf.GradientTape() as tape:
                loss, objective = losses(network, batch, rest)
            weights = network.trainable_variables
            self._optimizer.apply(tape.gradient(objective, weights), weights, rate, n_steps)
            return loss

        self._loop = StepLoop(step)

    def start(self, network: keras.Model, *, rate: float, n_steps: int, shared: Nest = ()) -> None:
        """Begin a training of `n_steps` from the weights of `network`.

        Args:
            rate: learning rate at the start.
            shared: what all steps share.
        """
        _copy(network, self._network)
        self._optimizer.restart()
        self._shared = tf.nest.map_structure(tf.convert_to_tensor, (np.float32(rate), np.float32(n_steps), shared))

    def run(self, block: Block, *, seed: int) -> npt.NDArray[np.float32]:
        """[n_steps] the loss of each step, as in `StepLoop`."""
        return self._loop(block, self._shared, seed=seed)

    def copy_to(self, network: keras.Model) -> None:
        """Give `network` the weights as they are now."""
        _copy(self._network, network)

    def release(self) -> None:
        """Keep no memory of the training: there is no step more before another `start`."""
        self._optimizer.release()
        self._shared = ()


def _copy(source: keras.Model, target: keras.Model) -> None:
    for weight, own in zip(source.weights, target.weights, strict=True):
        own.assign(weight)


def _rows_of(stack: Stack, number: Tensor) -> Nest:
    rows = slice(stack.starts[number], stack.starts[number + 1])
    return tf.nest.map_structure(lambda values: values[rows], stack.values)


def _any_length(tensor: Tensor) -> Tensor:
    if isinstance(tensor, tf.SparseTensor):
        return tf.SparseTensorSpec([None, tensor.shape[1]], tensor.dtype)
    return tf.TensorSpec([None, *tensor.shape[1:]] if tensor.shape.rank else [], tensor.dtype)
