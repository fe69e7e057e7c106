"""Sharing: layers between the embeddings and the tasks, which turn one input into one output per task.

An expert is E(x) = x + W_2 swish(W_1 x + b_1) + b_2 with W_2 and b_2 zero at first: without a reason to differ, every
task reads the embeddings as they are.
"""

from belfry.layers.backend import Tensor, keras, tf
from belfry.layers.blocks import hidden_layers
from belfry.ranking.multitask.config import MultitaskConfig


class Sharing(keras.layers.Layer):  # type: ignore[misc]
    """One input [n, size] to a tuple of one output [n, size] per task."""

    @property
    def shared_weights(self) -> list[Tensor]:
        """The weights that several tasks train."""
        raise NotImplementedError


class SharedBottom(Sharing):
    """The same hidden layers, if any, for every task."""

    def __init__(self, widths: tuple[int, ...], size: int, *, n_tasks: int, dropout: float, name: str) -> None:
        super().__init__(name=name)
        self.n_tasks = n_tasks
        self.bottom = hidden_layers(widths, size, dropout=dropout, name=f"{name}_bottom")

    def call(self, inputs: Tensor, training: bool = False) -> tuple[Tensor, ...]:
        return (self.bottom(inputs, training=training),) * self.n_tasks

    @property
    def shared_weights(self) -> list[Tensor]:
        return list(self.bottom.trainable_variables)


class ProgressiveExtraction(Sharing):
    """Customised gate control, in one level or several (PLE); one level without own experts is MMoE.

    The output of task t on a level is sum over e of softmax(G_t x_t)_e E_e, over the shared experts, which read the
    shared input, and its own, which read its input x_t. The shared input of the next level mixes all experts likewise.

    Sources: Ma et al., Modeling task relationships in multi-task learning with multi-gate mixture-of-experts, KDD
    2018; Tang et al., Progressive layered extraction (PLE), RecSys 2020.
    """

    def __init__(self, config: MultitaskConfig, *, n_tasks: int, name: str) -> None:
        """On each level, `n_experts` shared experts and, under sharing=ple, `n_own_experts` of each task."""
        super().__init__(name=name)
        self.levels = [
            _Level(config, n_tasks=n_tasks, passes_on=number + 1 < config.n_levels, name=f"{name}_level{number}")
            for number in range(config.n_levels)
        ]
        self.n_tasks = n_tasks

    def call(self, inputs: Tensor, training: bool = False) -> tuple[Tensor, ...]:
        outputs = (inputs,) * (self.n_tasks + 1)  # the last is the shared input
        for level in self.levels:
            outputs = level(outputs, training=training)
        return outputs[: self.n_tasks]

    @property
    def shared_weights(self) -> list[Tensor]:
        return [weight for level in self.levels for expert in level.shared for weight in expert.trainable_variables]


class _Level(keras.layers.Layer):  # type: ignore[misc]
    def __init__(self, config: MultitaskConfig, *, n_tasks: int, passes_on: bool, name: str) -> None:
        super().__init__(name=name)
        n_shared, n_own = config.n_experts, config.n_own_experts if config.sharing == "ple" else 0
        self.shared = [_Expert(config, f"{name}_shared{i}") for i in range(n_shared)]
        self.own = [[_Expert(config, f"{name}_task{task}_{i}") for i in range(n_own)] for task in range(n_tasks)]
        self.gates = [_gate(n_shared + n_own, f"{name}_gate{task}") for task in range(n_tasks)]
        self.shared_gate = _gate(n_shared + n_tasks * n_own, f"{name}_shared_gate") if passes_on else None

    def call(self, inputs: tuple[Tensor, ...], training: bool = False) -> tuple[Tensor, ...]:
        """One output per task, and the shared input of the next level."""
        *of_tasks, shared_input = inputs
        shared = [expert(shared_input, training=training) for expert in self.shared]
        own = [
            [expert(read, training=training) for expert in experts]
            for read, experts in zip(of_tasks, self.own, strict=True)
        ]
        outputs = [
            _mix(gate(read), shared + experts) for read, gate, experts in zip(of_tasks, self.gates, own, strict=True)
        ]
        if self.shared_gate is not None:
            shared_input = _mix(
                self.shared_gate(shared_input), shared + [output for experts in own for output in experts]
            )
        return (*outputs, shared_input)


class _Expert(keras.layers.Layer):  # type: ignore[misc]
    def __init__(self, config: MultitaskConfig, name: str) -> None:
        super().__init__(name=name)
        self.inner = keras.layers.Dense(config.expert_width, activation="swish", name=f"{name}_inner")
        self.drop = keras.layers.Dropout(config.dropout)
        self.outer = keras.layers.Dense(config.embedding_size, kernel_initializer="zeros", name=f"{name}_outer")

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        return inputs + self.outer(self.drop(self.inner(inputs), training=training))


def _gate(n_experts: int, name: str) -> keras.layers.Layer:
    return keras.layers.Dense(n_experts, activation="softmax", name=name)


def _mix(shares: Tensor, outputs: list[Tensor]) -> Tensor:
    """[n, size] sum of `outputs`, each [n, size], weighted by `shares` [n, n_outputs]."""
    return tf.reduce_sum(shares[:, tf.newaxis] * tf.stack(outputs, axis=-1), axis=-1)
