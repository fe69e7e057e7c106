"""RatingRegressor: networks that learn ratings: a dot product, dense layers, or both with side inputs."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter

from belfry.dataset.candidates import Candidates
from belfry.dataset.features import FeatureTables
from belfry.dataset.interactions import Interactions
from belfry.dataset.vocabulary import ItemNums, Numbers, UserNums
from belfry.layers.backend import Tensor, keras, tf
from belfry.layers.blocks import mlp
from belfry.layers.export import export_onnx
from belfry.layers.model import CONFIG_FILE, Model, Progress, no_progress
from belfry.layers.training import train_epochs
from belfry.layers.weights import WEIGHTS_FILE, load_weights, save_weights
from belfry.ranking.base import Scores
from belfry.ranking.error_variance import ErrorVariance, KnownRatings
from belfry.ranking.ratings.config import RegressorConfig
from belfry.ranking.ratings.rated_pairs import ROWS_PER_BLOCK, RatedPairs, SideInputs, Table, check_ratings
from belfry.ranking.ratings.serving import NETWORK_FILE

_CONFIG: TypeAdapter[RegressorConfig] = TypeAdapter(RegressorConfig)


class RatingRegressor(Model[RegressorConfig, "_Network"]):
    """Standardised rating = network(e_u, e_i), with embeddings e; predictions are clipped to the range of the ratings.

        dot_regressor       e_u . e_i
        deep_regressor      MLP([e_u, e_i])
        hybrid_regressor    b_u + b_i + e_u . e_i + MLP([e_u, e_i, e_u * e_i]), where [e, b] = id's own + slopes^T x,
                            x being the side inputs: features and watches

    Where all ratings are equal, that rating is predicted for every pair. An id without ratings has an embedding of
    zeros of its own: its prediction comes from the mean, the other side, or its side inputs.

    Source: the first two and the metadata are those of Ollion and Grisel, Deep learning lectures, the notebook Explicit
    feedback neural recommender systems.
    """

    def check(self, history: Interactions, features: FeatureTables) -> None:
        """Refuse a history without ratings."""
        check_ratings(history, self.config.kind)

    def fit(
        self, history: Interactions, features: FeatureTables, *, seed: int, progress: Progress = no_progress
    ) -> Self:
        """Train from scratch, keep the weights of the epoch that is best on held-back ratings, return itself.

        The same ratings say how large errors are.

        Args:
            history: watches and ratings; `features` belong to the same time.
            progress: told of (epochs done, epochs at most).

        Raises:
            InputError: there are no ratings.
            DivergenceError: a feature or the loss is not finite.
        """
        self.check(history, features)
        config, pairs = self.config, RatedPairs.of(history)
        generator = np.random.default_rng(seed)
        keras.utils.set_random_seed(seed)
        order = generator.permutation(len(pairs))
        n_held_back = int(len(pairs) * config.validation_share)
        held_back, learned = order[:n_held_back], order[n_held_back:]
        users, items = _side_tables(features, config, seed)
        self._learned = network = _Network(config, (users.shape, items.shape))
        network.start(pairs, learned, users, items)
        step, targets = self._make_step(), pairs.standard.astype(np.float32)

        def run_epoch() -> Iterator[Tensor]:
            shuffled = generator.permutation(learned)
            for first in range(0, len(shuffled), config.batch_size):
                rows = shuffled[first : first + config.batch_size]
                yield step(*map(tf.constant, (pairs.user_num[rows], pairs.item_num[rows], targets[rows])))

        def errors_held_back() -> Table:
            return self._score(pairs.user_num[held_back], pairs.item_num[held_back]) - pairs.rating[held_back]

        def accuracy() -> float:
            errors = errors_held_back()
            return -float(np.mean(np.abs(errors) if config.loss == "absolute" else errors**2))

        train_epochs(
            network,
            run_epoch,
            name=config.kind,
            n_epochs=config.epochs,
            validate=accuracy if n_held_back else None,
            patience=config.patience,
            progress=progress,
        )
        known = KnownRatings.of(history.select(history.rated_rows[learned]))
        weights = known.weights(errors_held_back(), pairs.user_num[held_back], pairs.item_num[held_back])
        network.error_variance = ErrorVariance.of(weights, known)
        return self

    def score(self, candidates: Candidates, features: FeatureTables) -> Scores:
        """[n_rows] float32 expected ratings, on the scale of the data."""
        return self._score(candidates.user_num, candidates.item_num)

    def deviations(self, candidates: Candidates) -> Scores:
        """[n_rows] float32 standard deviation of each rating from what is expected."""
        return self.learned.error_variance.deviations(candidates.user_num, candidates.item_num)

    def save(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        saved = {"config": self.config.model_dump(mode="json"), "shapes": self.learned.shapes}
        (directory / CONFIG_FILE).write_text(json.dumps(saved, indent=2))
        save_weights(self.learned, directory / WEIGHTS_FILE)
        self.learned.error_variance.save(directory)

    @classmethod
    def load(cls, directory: Path) -> Self:
        """What `save` wrote: built from its config, then filled with weights."""
        saved = json.loads((directory / CONFIG_FILE).read_text())
        model = cls(_CONFIG.validate_python(saved["config"], strict=False))
        users, items = saved["shapes"]
        model._learned = _Network(model.config, (tuple(users), tuple(items)))
        load_weights(model._learned, directory / WEIGHTS_FILE)
        lengths = {"n_users": users[0] - 1, "n_items": items[0] - 1}
        model._learned.error_variance = ErrorVariance.load(directory, lengths)
        return model

    def export(self, directory: Path) -> None:
        """Write an ONNX graph: `user` and `item` [n] int32 in, `rating` [n] float32 out; it holds the side inputs.

        Beside it lies the variance of the errors.
        """

        def rating(inputs: Mapping[str, Tensor]) -> Tensor:
            return self.learned.rate(inputs["user"], inputs["item"])

        directory.mkdir(parents=True, exist_ok=True)
        one = np.ones(2, np.int32)
        export_onnx(rating, {"user": one, "item": one}, directory / NETWORK_FILE, output="rating")
        self.learned.error_variance.save(directory)

    def _score(self, users: UserNums, items: ItemNums) -> Scores:
        blocks = [np.zeros(0, np.float32)]
        for first in range(0, len(users), ROWS_PER_BLOCK):
            rows = slice(first, first + ROWS_PER_BLOCK)
            blocks.append(self.learned.rate(tf.constant(users[rows]), tf.constant(items[rows])).numpy())
        return np.concatenate(blocks)

    def _make_step(self) -> Callable[..., Tensor]:
        network, config = self.learned, self.config
        optimizer = keras.optimizers.Adam(config.learning_rate)
        l2 = config.l2 if config.kind == "hybrid_regressor" else 0.0

        @tf.function(autograph=False, reduce_retracing=True)  # type: ignore[untyped-decorator]
        def step(users: Tensor, items: Tensor, targets: Tensor) -> Tensor:
            with tf.GradientTape() as tape:
                errors = network(users, items, training=True) - targets
                loss = tf.reduce_mean(tf.abs(errors) if config.loss == "absolute" else errors**2)
                objective = loss + l2 * network.squares(users, items)
            weights = network.trainable_variables
            optimizer.apply_gradients(zip(tape.gradient(objective, weights), weights, strict=True))
            return loss

        return step  # type: ignore[no-any-return]


def _side_tables(features: FeatureTables, config: RegressorConfig, seed: int) -> tuple[Table, Table]:
    """[n_users + 1, width] and [n_items + 1, width] side inputs; of width 0 except for the hybrid."""
    if config.kind != "hybrid_regressor":
        return np.zeros((len(features.history.users) + 1, 0)), np.zeros((len(features.history.items) + 1, 0))
    side = SideInputs.of(features, max_categories=config.max_categories, n_vectors=config.watch_vectors, seed=seed)
    return np.hstack(side.users), np.hstack(side.items)


class _Network(keras.Model):  # type: ignore[misc]
    """Numbers of users and items [n] -> standardised ratings [n]."""

    error_variance: ErrorVariance  # of the trained network

    def __init__(self, config: RegressorConfig, shapes: tuple[tuple[int, int], tuple[int, int]]) -> None:
        """`shapes` of the side inputs of users and of items."""
        super().__init__(name="regressor")
        self.shapes = shapes
        self.is_hybrid = config.kind == "hybrid_regressor"
        size = config.embedding_size + self.is_hybrid  # the bias is last
        self.users, self.items = (
            _Side(shape, size, name) for shape, name in zip(shapes, ("user", "item"), strict=True)
        )
        # centre, spread, lowest, highest
        self.scale = self.add_weight(name="scale", shape=(4,), trainable=False, initializer="zeros")
        self.deep = None
        if config.kind != "dot_regressor":
            self.deep = keras.Sequential([keras.layers.Dropout(config.dropout)], name="deep")
            self.deep.add(mlp(config.hidden, dropout=config.dropout, name="hidden"))
            self.deep.add(keras.layers.Dense(1, name="rating"))
        self(np.zeros(1, np.int32), np.zeros(1, np.int32))  # makes the weights

    def start(self, pairs: RatedPairs, learned: npt.NDArray[np.int64], users: Table, items: Table) -> None:
        """Take the scale of ratings and the side inputs; embeddings of ids without a rating to learn from become 0."""
        self.scale.assign([pairs.centre, pairs.spread, pairs.lowest, pairs.highest])
        self.users.start(pairs.user_num[learned], users)
        self.items.start(pairs.item_num[learned], items)

    def call(self, users: Tensor, items: Tensor, training: bool = False) -> Tensor:
        user, item = self.users(users), self.items(items)
        if self.deep is None:
            return tf.reduce_sum(user * item, axis=1)
        if not self.is_hybrid:
            return tf.squeeze(self.deep(tf.concat([user, item], axis=1), training=training), axis=1)
        biases = user[:, -1] + item[:, -1]
        user, item = user[:, :-1], item[:, :-1]
        crossed = tf.concat([user, item, user * item], axis=1)
        deep = tf.squeeze(self.deep(crossed, training=training), axis=1)
        return biases + tf.reduce_sum(user * item, axis=1) + deep

    def rate(self, users: Tensor, items: Tensor) -> Tensor:
        """[n] float32 ratings on the scale of the data."""
        centre, spread, lowest, highest = tf.unstack(self.scale)
        return tf.clip_by_value(self(users, items) * spread + centre, lowest, highest)

    def squares(self, users: Tensor, items: Tensor) -> Tensor:
        """Mean over pairs of |e_u|^2 + |e_i|^2."""
        return tf.reduce_mean(
            tf.reduce_sum(self.users(users) ** 2, axis=1) + tf.reduce_sum(self.items(items) ** 2, axis=1)
        )


class _Side(keras.layers.Layer):  # type: ignore[misc]
    """Numbers [n] -> embeddings [n, size]: table[id] + inputs[id] @ slopes."""

    def __init__(self, shape: tuple[int, int], size: int, name: str) -> None:
        """`shape` [n_rows, width] of the side inputs."""
        super().__init__(name=name)
        n_rows, width = shape
        self.table = self.add_weight(name="table", shape=(n_rows, size), initializer="uniform")
        self.inputs = self.slopes = None
        if width:
            self.inputs = self.add_weight(name="inputs", shape=shape, trainable=False, initializer="zeros")
            self.slopes = self.add_weight(name="slopes", shape=(width, size), initializer="zeros")

    def start(self, numbers: Numbers, inputs: Table) -> None:
        """Take the side inputs; rows of the table other than `numbers` become 0."""
        has_ratings = np.bincount(numbers, minlength=len(inputs)) > 0
        self.table.assign(self.table * has_ratings[:, np.newaxis])
        if self.inputs is not None:
            self.inputs.assign(inputs)

    def call(self, numbers: Tensor) -> Tensor:
        embedding = tf.gather(self.table, numbers)
        return embedding if self.inputs is None else embedding + tf.matmul(tf.gather(self.inputs, numbers), self.slopes)
