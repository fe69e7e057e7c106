"""Blocks of layers that towers and rankers are built of."""

from collections.abc import Sequence

from belfry.layers.backend import keras
from belfry.layers.steps.noise import Dropout


def mlp(widths: Sequence[int], *, dropout: float, name: str) -> keras.Sequential:
    """Dense layers with swish and dropout; swish, because GELU's erfc has no ONNX operator to export to."""
    block = keras.Sequential(name=name)
    for width in widths:
        block.add(keras.layers.Dense(width, activation="swish"))
        block.add(Dropout(dropout))
    return block


def hidden_layers(widths: Sequence[int], size: int, *, dropout: float, name: str) -> keras.Sequential:
    """[n, size] to [n, size]: hidden layers and a last one without activation; without widths the identity."""
    block = mlp(widths, dropout=dropout, name=name)
    block.add(keras.layers.Dense(size) if widths else keras.layers.Activation("linear"))
    block.build((None, size))
    return block
