"""Ensemble: networks of one kind over the same features, trained side by side on the same batches; their student."""

from typing import cast

import numpy as np
import numpy.typing as npt

from belfry.layers.backend import Tensor, keras, tf
from belfry.layers.config import imported
from belfry.ranking.listwise.config import NetworkRankerConfig
from belfry.ranking.listwise.networks import Inputs, RankerNetwork, Sizes, empty_inputs
from belfry.ranking.registry import KINDS

_MAX_DEVIATION = 6.0  # standardised features are clipped to +- this
_EPSILON = 1e-6  # a smaller standard deviation is that of a constant feature, which is not scaled


class Ensemble(keras.Model):  # type: ignore[misc]
    """Members of different random starts, and what they all read: features x, standardised, and sign(x) log(1 + |x|).

    Members that differ by chance alone err apart, so the mean of their logits is better than one and changes less from
    seed to seed. Steps, batches and features are made once for all of them.
    """

    def __init__(self, config: NetworkRankerConfig, sizes: Sizes) -> None:
        """All weights are built, of random values."""
        super().__init__(name="ranker")
        shape = (sizes.n_features,)
        self.centre = self.add_weight(name="centre", shape=shape, trainable=False, initializer="zeros")
        self.scale = self.add_weight(name="scale", shape=shape, trainable=False, initializer="ones")
        network = imported(KINDS[config.kind].network)
        self.members = [cast(RankerNetwork, network(config, sizes)) for _ in range(config.members)]
        self.reads = self.members[0].reads
        self(empty_inputs(sizes.n_features, self.reads))

    def adapt(self, mean: npt.NDArray[np.float32], deviation: npt.NDArray[np.float32]) -> None:
        """Standardise features by this mean and standard deviation; both [n_features]."""
        self.centre.assign(mean)
        self.scale.assign(np.where(deviation > _EPSILON, deviation, 1))

    def call(self, inputs: Inputs, training: bool = False) -> Tensor:
        """[n_members, n_lists, longest] logits of padded lists; `longest` is the length of the longest list."""
        if "pairs" in inputs:
            deviation = (inputs["pairs"] - self.centre) / self.scale
            standard = tf.clip_by_value(deviation, -_MAX_DEVIATION, _MAX_DEVIATION)
            inputs = {**inputs, "pairs": tf.concat([standard, self._squash(standard)], axis=-1)}
        return tf.stack([member(inputs, training=training) for member in self.members])

    def mean_logit(self, inputs: Inputs) -> Tensor:
        """[n_lists, longest]"""
        return tf.reduce_mean(self(inputs), axis=0)

    @staticmethod
    def _squash(standard: Tensor) -> Tensor:
        """What is read beside the standardised features, of the same shape."""
        return tf.sign(standard) * tf.math.log(1.0 + tf.abs(standard))


class Student(Ensemble):
    """A single network that has learned the mean logit of several, and costs as one.

    It reads x / (1 + |x|) in place of the logarithm, which takes ONNX Runtime longer than the network does. Members
    learn more from examples with the logarithm; a student learns as much from members with either.

    Source: Hinton, Vinyals and Dean, Distilling the knowledge in a neural network, 2015.
    """

    def __init__(self, config: NetworkRankerConfig, sizes: Sizes) -> None:
        super().__init__(config.model_copy(update={"members": 1}), sizes)

    @staticmethod
    def _squash(standard: Tensor) -> Tensor:
        return tf.nn.softsign(standard)
