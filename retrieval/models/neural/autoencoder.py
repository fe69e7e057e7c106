"""Autoencoder: predicts a profile from itself through a small code; denoising, or variational."""

from collections.abc import Callable

import numpy as np

from belfry.dataset.features import FeatureTables
from belfry.dataset.interactions import Interactions
from belfry.layers.backend import Tensor, keras, tf
from belfry.layers.losses import MASKED
from belfry.layers.training import make_step
from belfry.retrieval.config import AutoencoderConfig
from belfry.retrieval.models.neural.profiles import ProfileNetwork, ProfileTowers


class Autoencoder(ProfileTowers[AutoencoderConfig, "_AutoencoderNetwork"]):
    """A profile x with random items dropped is scaled to unit length, encoded to z and decoded to logits s.

    Denoising minimises the mean over dropped items i of -log softmax_i(s), among items not read, + l2 |weights|^2.
    Variational: z ~ N(mu, sigma^2), and training minimises

        sum over all items i of x of -log softmax_i(s) + beta KL(N(mu, sigma^2) || N(0, 1))

    over the number of these items, where beta rises from 0 to kl_weight. Lists are made from mu.

    Source: Liang et al., Variational autoencoders for collaborative filtering, WWW 2018. There the denoising one
    predicts the whole profile too.
    """

    config_type = AutoencoderConfig

    def _make_network(self, features: FeatureTables) -> "_AutoencoderNetwork":
        return _AutoencoderNetwork(len(features.history.items), self.config)

    def _baseline_loss(self, history: Interactions) -> float:
        return float(np.log(len(history.items) + 1))

    def _make_step(
        self, optimizer: keras.optimizers.Optimizer, history: Interactions, *, n_steps: int
    ) -> Callable[[Tensor], Tensor]:
        network, config = self.learned, self.config
        weights = network.trainable_variables
        is_variational = config.variant == "variational"
        l2 = 0.0 if is_variational else config.l2 / history.matrix.nnz
        n_rising = max(config.kl_rise * n_steps, 1)  # steps until the divergence has its full weight, kl_weight

        def losses(profiles: Tensor) -> tuple[Tensor, Tensor]:
            is_kept = tf.random.uniform(tf.shape(profiles)) >= config.dropout
            read = tf.where(is_kept, profiles, 0.0)
            code, log_variance = network.encode(read)
            divergence = 0.0
            if is_variational:
                divergence = tf.reduce_sum(tf.exp(log_variance) + code**2 - 1 - log_variance) / 2
                code += tf.random.normal(tf.shape(code)) * tf.exp(log_variance / 2)
            logits = network.score(network.decode(code))
            logits = logits if is_variational else tf.where(read > 0, MASKED, logits)
            targets = profiles if is_variational else profiles - read
            n_targets = tf.maximum(tf.reduce_sum(targets), 1.0)
            loss = -tf.reduce_sum(targets * tf.nn.log_softmax(logits)) / n_targets
            squares = tf.add_n([tf.reduce_sum(weight**2) for weight in weights if len(weight.shape) == 2])
            risen = tf.minimum(tf.cast(optimizer.iterations, tf.float32) / n_rising, 1.0)
            return loss, loss + l2 * squares + config.kl_weight * risen * divergence / n_targets

        return make_step(network, optimizer, losses)


class _AutoencoderNetwork(ProfileNetwork):
    """Hidden layers with tanh on both sides of the code, none by default; a denoising code has a tanh too."""

    def __init__(self, n_items: int, config: AutoencoderConfig) -> None:
        super().__init__(name="autoencoder")
        self.n_items, self.is_variational = n_items, config.variant == "variational"
        size = config.embedding_size
        self.encoder = [keras.layers.Dense(width, activation="tanh") for width in config.hidden]
        self.code = keras.layers.Dense(2 * size) if self.is_variational else keras.layers.Dense(size, activation="tanh")
        self.decoder = [keras.layers.Dense(width, activation="tanh") for width in reversed(config.hidden)]
        self.scores = keras.layers.Dense(n_items)
        self.score(self.read(tf.zeros((1, n_items))))  # builds every weight, so that they can be saved and filled
        self.built = True

    def encode(self, profiles: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of each code, both [n_users, embedding_size]; denoising has no variance: None."""
        length = tf.sqrt(tf.reduce_sum(profiles, axis=1, keepdims=True))
        activations = profiles / tf.maximum(length, 1.0)
        for layer in self.encoder:
            activations = layer(activations)
        code = self.code(activations)
        return tf.split(code, 2, axis=1) if self.is_variational else (code, None)

    def decode(self, codes: Tensor) -> Tensor:
        """[n_users, dim] input of the last layer."""
        for layer in self.decoder:
            codes = layer(codes)
        return codes

    def score(self, decoded: Tensor) -> Tensor:
        """[n_users, n_items]"""
        return self.scores(decoded)

    def read(self, profiles: Tensor) -> Tensor:
        return self.decode(self.encode(profiles)[0])

    def last_layer(self) -> tuple[Tensor, Tensor]:
        return tf.transpose(self.scores.kernel), self.scores.bias
