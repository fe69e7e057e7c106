"""RBM: a restricted Boltzmann machine of the items that a user has watched and binary hidden units."""

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
    """P(v, h) ~ exp(v . b + h . c + v^T W h), where v_i is 1 if the user has watched item i, and h are hidden units.

    score(u, i) = b_i + W_i . sigmoid(W^T v + c): the log odds of v_i given the mean of the hidden units. Training is
    contrastive divergence (CD-k, k = `n_rounds`): it lowers F(v) - F(v'), where F(v) = -log sum over h of
    exp(v . b + h . c + v^T W h) is the free energy and v' a sample after k rounds of Gibbs sampling that start at v.

    Ratings are not read: units of one value per rating, as in the source, do not know which items were not watched, so
    they predict ratings and no lists.

    Source: Salakhutdinov, Mnih and Hinton, Restricted Boltzmann machines for collaborative filtering, ICML 2007.
    """

    config_type = RBMConfig

    def _make_network(self, features: FeatureTables) -> "_RBMNetwork":
        return _RBMNetwork(len(features.history.items), self.config)

    def _plan(self, history: Interactions, features: FeatureTables, generator: np.random.Generator) -> TrainingPlan:
        shares = _shares(history)
        self.learned.item_bias.assign(np.log(shares / (1 - shares)))
        return super()._plan(history, features, generator)

    def _baseline_loss(self, history: Interactions) -> float:
        shares = _shares(history)
        return float(-(shares * np.log(shares) + (1 - shares) * np.log(1 - shares)).sum())

    def _make_step(
        self, optimizer: keras.optimizers.Optimizer, history: Interactions, *, n_steps: int
    ) -> Callable[[Tensor], Tensor]:
        network, n_rounds = self.learned, self.config.n_rounds
        weights, l2 = network.trainable_variables, self.config.l2 / _n_users(history)

        @tf.function(autograph=False, reduce_retracing=True)  # type: ignore[untyped-decorator]
        def step(profiles: Tensor) -> Tensor:
            """The cross-entropy of profiles and their reconstructions, summed over items."""
            samples = profiles
            for _ in range(n_rounds):
                hidden = _sample(network.hidden_logits(samples))
                samples = _sample(network.item_logits(hidden))
            with tf.GradientTape() as tape:
                difference = tf.reduce_mean(network.free_energy(profiles) - network.free_energy(samples))
                objective = difference + l2 * tf.reduce_sum(network.kernel**2)
            optimizer.apply_gradients(zip(tape.gradient(objective, weights), weights, strict=True))
            logits = network.item_logits(network.read(profiles))
            losses = tf.nn.sigmoid_cross_entropy_with_logits(profiles, logits)
            return tf.reduce_mean(tf.reduce_sum(losses, axis=1))

        return step  # type: ignore[no-any-return]


class _RBMNetwork(ProfileNetwork):
    def __init__(self, n_items: int, config: RBMConfig) -> None:
        super().__init__(name="rbm")
        self.n_items = n_items
        self.kernel = self.add_weight(
            name="kernel",
            shape=(n_items, config.embedding_size),
            initializer=keras.initializers.RandomNormal(stddev=0.01),
        )
        self.item_bias = self.add_weight(name="item_bias", shape=(n_items,), initializer="zeros")
        self.hidden_bias = self.add_weight(name="hidden_bias", shape=(config.embedding_size,), initializer="zeros")
        self.built = True

    def hidden_logits(self, profiles: Tensor) -> Tensor:
        """[n_users, embedding_size] W^T v + c."""
        return tf.matmul(profiles, self.kernel) + self.hidden_bias

    def item_logits(self, hidden: Tensor) -> Tensor:
        """[n_users, n_items] W h + b."""
        return tf.matmul(hidden, self.kernel, transpose_b=True) + self.item_bias

    def free_energy(self, profiles: Tensor) -> Tensor:
        """[n_users] F(v) = -v . b - sum over hidden units j of log(1 + exp(W_j^T v + c_j))."""
        hidden = tf.reduce_sum(tf.nn.softplus(self.hidden_logits(profiles)), axis=1)
        return -tf.linalg.matvec(profiles, self.item_bias) - hidden

    def read(self, profiles: Tensor) -> Tensor:
        """[n_users, embedding_size] probabilities of the hidden units."""
        return tf.sigmoid(self.hidden_logits(profiles))

    def last_layer(self) -> tuple[Tensor, Tensor]:
        return self.kernel, self.item_bias


def _sample(logits: Tensor) -> Tensor:
    """1 with probability sigmoid(logits), else 0."""
    return tf.cast(tf.random.uniform(tf.shape(logits)) < tf.sigmoid(logits), tf.float32)


def _n_users(history: Interactions) -> int:
    """Users with a history."""
    return int(np.count_nonzero(np.diff(history.matrix.indptr)))


def _shares(history: Interactions) -> npt.NDArray[np.float64]:
    """[n_items] share of the users who have watched each item, smoothed to lie inside 0 and 1."""
    n_watched = np.asarray(history.matrix.sum(axis=0), np.float64).ravel()[1:]
    return (n_watched + 0.5) / (_n_users(history) + 1)
