"""RBM: a restricted Boltzmann machine between the items that a user has watched and hidden units."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from belfry.dataset.features import FeatureTables
from belfry.dataset.interactions import Interactions
from belfry.layers.backend import Tensor, keras, tf
from belfry.retrieval.config import RBMConfig
from belfry.retrieval.models.neural.profiles import ProfileNetwork, ProfileTowers
from belfry.retrieval.neural_towers import TrainingPlan


class RBM(ProfileTowers[RBMConfig, "_RBMNetwork"]):
    """One binary unit for each item, on where a user has watched it, and binary hidden units; contrastive divergence.

    score = log-odds of an item's unit being on, given the mean of the hidden units. Ratings are not read: units of one
    value per rating, which know of no item that it was not watched, predict ratings and no lists.

    Source: Salakhutdinov, Mnih and Hinton, Restricted Boltzmann machines for collaborative filtering, ICML 2007.
    """

    config_type = RBMConfig
    name = "rbm"

    def _make_network(self, features: FeatureTables) -> "_RBMNetwork":
        return _RBMNetwork(len(features.history.items), self.config)

    def _plan(self, history: Interactions, features: FeatureTables, generator: np.random.Generator) -> TrainingPlan:
        shares = _shares(history)
        self._network.item_bias.assign(np.log(shares / (1 - shares)))
        return super()._plan(history, features, generator)

    def _loss_of_guessing(self, history: Interactions) -> float:
        shares = _shares(history)
        return float(-(shares * np.log(shares) + (1 - shares) * np.log(1 - shares)).sum())

    def _make_step(
        self, optimizer: keras.optimizers.Optimizer, history: Interactions, *, n_steps: int
    ) -> Callable[[Tensor], Tensor]:
        network, n_rounds = self._network, self.config.n_rounds
        weights, l2 = network.trainable_variables, self.config.l2 / _n_users(history)

        @tf.function(autograph=False, reduce_retracing=True)  # type: ignore[untyped-decorator]
        def step(profiles: Tensor) -> Tensor:
            """Gives the cross-entropy of the profiles given their own hidden units, a sum over items."""
            dreams = profiles
            for _ in range(n_rounds):
                hidden = _draw(network.hidden_logits(dreams))
                dreams = _draw(network.item_logits(hidden))
            with tf.GradientTape() as tape:
                contrast = tf.reduce_mean(network.free_energy(profiles) - network.free_energy(dreams))
                objective = contrast + l2 * tf.reduce_sum(network.links**2)
            optimizer.apply_gradients(zip(tape.gradient(objective, weights), weights, strict=True))
            logits = network.item_logits(network.read(profiles))
            losses = tf.nn.sigmoid_cross_entropy_with_logits(profiles, logits)
            return tf.reduce_mean(tf.reduce_sum(losses, axis=1))

        return step  # type: ignore[no-any-return]


class _RBMNetwork(ProfileNetwork):
    def __init__(self, n_items: int, config: RBMConfig) -> None:
        super().__init__(name="rbm")
        self.n_items = n_items
        self.links = self.add_weight(
            name="links",
            shape=(n_items, config.embedding_size),
            initializer=keras.initializers.RandomNormal(stddev=0.01),
        )
        self.item_bias = self.add_weight(name="item_bias", shape=(n_items,), initializer="zeros")
        self.hidden_bias = self.add_weight(name="hidden_bias", shape=(config.embedding_size,), initializer="zeros")
        self.built = True

    def hidden_logits(self, profiles: Tensor) -> Tensor:
        """[n_users, embedding_size]"""
        return tf.matmul(profiles, self.links) + self.hidden_bias

    def item_logits(self, hidden: Tensor) -> Tensor:
        """[n_users, n_items]"""
        return tf.matmul(hidden, self.links, transpose_b=True) + self.item_bias

    def free_energy(self, profiles: Tensor) -> Tensor:
        """[n_users]; its gradient at data less that at dreams is the update of contrastive divergence."""
        hidden = tf.reduce_sum(tf.nn.softplus(self.hidden_logits(profiles)), axis=1)
        return -tf.linalg.matvec(profiles, self.item_bias) - hidden

    def read(self, profiles: Tensor) -> Tensor:
        """[n_users, embedding_size] chances of the hidden units to be on."""
        return tf.sigmoid(self.hidden_logits(profiles))

    def last_layer(self) -> tuple[Tensor, Tensor]:
        return self.links, self.item_bias


def _draw(logits: Tensor) -> Tensor:
    """Ones with the chances that `logits` stand for, else zeros."""
    return tf.cast(tf.random.uniform(tf.shape(logits)) < tf.sigmoid(logits), tf.float32)


def _n_users(history: Interactions) -> int:
    """Those with a history."""
    return int(np.count_nonzero(np.diff(history.matrix.indptr)))


def _shares(history: Interactions) -> npt.NDArray[np.float64]:
    """[n_items] of the users who have watched each item, smoothed to lie between none and all."""
    n_watched = np.asarray(history.matrix.sum(axis=0), np.float64).ravel()[1:]
    return (n_watched + 0.5) / (_n_users(history) + 1)
