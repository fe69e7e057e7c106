"""ProfileTowers: the shared part of autoencoders and RBMs, whose query reads which items were watched."""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import numpy as np

from belfry.dataset.arrays import blocks
from belfry.dataset.errors import InputError
from belfry.dataset.features import FeatureTables
from belfry.dataset.interactions import Interactions
from belfry.dataset.vocabulary import ItemNums, UserNums
from belfry.layers.backend import Tensor, keras, tf
from belfry.layers.export import export_onnx
from belfry.retrieval.base import Embeddings
from belfry.retrieval.config import ProfileConfig
from belfry.retrieval.neural_towers import NeuralTowers, TrainingPlan
from belfry.retrieval.onnx_towers import QUERY_TOWER_FILE

_DIVERGED = 10  # times the baseline loss; training that works stays below once that

ConfigT = TypeVar("ConfigT", bound=ProfileConfig)


class ProfileNetwork(keras.Model):  # type: ignore[misc]
    """From profiles, [n_users, n_items] float32 with 1 where a user has watched an item, to a score for every item.

    Item i stands in column i - 1. The last layer is linear, so that it is a candidate tower.
    """

    n_items: int

    @abstractmethod
    def read(self, profiles: Tensor) -> Tensor:
        """[n_users, dim] input of the last layer."""

    @abstractmethod
    def last_layer(self) -> tuple[Tensor, Tensor]:
        """Weights [n_items, dim] and biases [n_items]."""

    def queries(self, profiles: Tensor) -> Tensor:
        """[n_users, dim + 1]"""
        read = self.read(profiles)
        return tf.concat([read, tf.ones_like(read[:, :1])], axis=1)

    def candidates(self) -> Tensor:
        """[n_items + 1, dim + 1]; zeros for the unknown item."""
        weights, biases = self.last_layer()
        return tf.pad(tf.concat([weights, biases[:, tf.newaxis]], axis=1), [[1, 0], [0, 0]])


NetworkT = TypeVar("NetworkT", bound=ProfileNetwork)


class ProfileTowers(NeuralTowers[ConfigT, NetworkT]):
    """query = [input of the last layer, 1]; candidate = [an item's weights in that layer, its bias].

    Every watched item counts once: neither event weights nor user features are read. An empty history is a profile of
    zeros.
    """

    def check(self, history: Interactions, features: FeatureTables) -> None:
        """Refuse a catalogue above the limit, and an empty history."""
        n_items, max_items = len(history.items), self.config.max_items
        kind = self.config.kind
        if n_items > max_items:
            raise InputError(
                f"{kind}: {n_items:,} items are above {kind}'s max_items={max_items:,}: every user in every "
                "step scores the whole catalogue; leave this source out, or raise max_items if time and memory allow"
            )
        if not history.matrix.nnz:
            raise InputError(f"interactions: no known user has watched a known item, so {kind} cannot learn")

    def encode_queries(self, users: UserNums, features: FeatureTables) -> Embeddings:
        """[n_users, dim + 1]; see the class for the last dimension."""
        matrix = features.history.matrix
        parts = [
            self.learned.queries(tf.constant(matrix[users[block], 1:].toarray())).numpy()
            for block in blocks(len(users), matrix.shape[1])
        ]
        return np.concatenate(parts)

    def encode_candidates(self, items: ItemNums, features: FeatureTables) -> Embeddings:
        """[n_items, dim + 1]"""
        return np.asarray(self.learned.candidates())[items]

    def export(self, directory: Path, features: FeatureTables) -> None:
        """Write the query tower as an ONNX graph.

        Input: `history` [n, length] int32 item numbers, padded with 0; items that come twice count once. Output:
        `query` [n, dim + 1] float32.
        """

        def query(inputs: Mapping[str, Tensor]) -> Tensor:
            history = inputs["history"]
            rows = tf.broadcast_to(tf.range(tf.shape(history)[0])[:, tf.newaxis], tf.shape(history))
            profiles = tf.tensor_scatter_nd_update(
                tf.zeros([tf.shape(history)[0], self.learned.n_items + 1]),
                tf.stack([rows, history], axis=-1),
                tf.ones_like(history, tf.float32),
            )
            return self.learned.queries(profiles[:, 1:])

        export_onnx(query, {"history": np.zeros((1, 1), np.int32)}, directory / QUERY_TOWER_FILE, output="query")

    @abstractmethod
    def _make_step(
        self, optimizer: keras.optimizers.Optimizer, history: Interactions, *, n_steps: int
    ) -> Callable[[Tensor], Tensor]:
        """A function that takes a step on some profiles and gives its loss; `n_steps` of the whole training."""

    @abstractmethod
    def _baseline_loss(self, history: Interactions) -> float:
        """The loss of a step for a model that knows nothing of its users."""

    def _plan(self, history: Interactions, features: FeatureTables, generator: np.random.Generator) -> TrainingPlan:
        config, matrix = self.config, history.matrix
        users = np.flatnonzero(np.diff(matrix.indptr))
        n_batches = config.n_steps(-(-len(users) // config.batch_users))
        max_epochs = config.n_epochs(n_batches)
        n_steps = n_batches * max_epochs
        schedule = keras.optimizers.schedules.CosineDecay(config.learning_rate, n_steps)
        step = self._make_step(keras.optimizers.Adam(schedule), history, n_steps=n_steps)

        def run_epoch() -> Iterator[Tensor]:
            some = generator.permutation(users)[: n_batches * config.batch_users]
            for batch in np.array_split(some, n_batches):
                yield step(tf.constant(matrix[batch, 1:].toarray()))

        return TrainingPlan(
            run_epoch=run_epoch,
            n_epochs=max_epochs,
            evaluate_every=config.evaluate_every(max_epochs),
            patience=config.patience,
            loss_limit=_DIVERGED * self._baseline_loss(history),
        )
