"""FeedForwardMF: matrix factorisation as a network with the squared loss, shallow or with dense layers on each side."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from belfry.dataset import columns
from belfry.dataset.arrays import Mask
from belfry.dataset.errors import InputError
from belfry.dataset.features import FeatureTables
from belfry.dataset.interactions import Interactions
from belfry.dataset.vocabulary import ItemNums, UserNums
from belfry.layers.backend import Tensor, keras, tf
from belfry.layers.blocks import mlp
from belfry.layers.export import export_onnx
from belfry.layers.training import make_step
from belfry.retrieval.base import Embeddings
from belfry.retrieval.config import FeedForwardMFConfig
from belfry.retrieval.neural_towers import NeuralTowers, TrainingPlan
from belfry.retrieval.onnx_towers import QUERY_TOWER_FILE

_DIVERGED = 10  # times the loss of scores that are all 0; training that works stays below once that


class FeedForwardMF(NeuralTowers[FeedForwardMFConfig, "_Network"]):
    """score(u, i) = p_u . q_i, where p_u = e_u, or e_u + MLP(e_u) with `hidden` layers; q_i likewise.

    Each side has its own layers, so the deep network fills an index as the shallow one does. Training minimises

        sum over events of (target_ui - s_ui)^2 + unwatched_weight * sum over all cells of s_ui^2
        + l2 (sum |p_u|^2 + sum |q_i|^2)

    which is, up to the scale of scores and of l2, the objective of ALS with alpha = 1 / unwatched_weight. Users are
    known by their id alone: a fresh history changes nothing. A user without events in training has e_u = 0.

    Sources: Hu, Koren and Volinsky, Collaborative filtering for implicit feedback datasets, ICDM 2008; as a network: He
    et al., Neural collaborative filtering, WWW 2017; with the dot product at its end: Rendle et al., Neural
    collaborative filtering vs. matrix factorization revisited, RecSys 2020.
    """

    config_type = FeedForwardMFConfig

    def check(self, history: Interactions, features: FeatureTables) -> None:
        """Refuse target=rating without ratings.

        Raises:
            InputError: names the column.
        """
        if self.config.target == "rating" and not (history.rating is not None and np.nan_to_num(history.rating).any()):
            raise InputError(
                f"feed_forward_mf: target=rating needs a column {columns.RATING!r} with ratings in the interactions; "
                "set target to watched"
            )

    def encode_queries(self, users: UserNums, features: FeatureTables) -> Embeddings:
        """[n_users, embedding_size]."""
        return np.asarray(self.learned.queries(tf.constant(users)))

    def encode_candidates(self, items: ItemNums, features: FeatureTables) -> Embeddings:
        """[n_items, embedding_size]."""
        return np.asarray(self.learned.candidates(tf.constant(items)))

    def export(self, directory: Path, features: FeatureTables) -> None:
        """Write the query tower as an ONNX graph: `user` [n] int32 in, `query` [n, embedding_size] float32 out."""

        def query(inputs: Mapping[str, Tensor]) -> Tensor:
            return self.learned.queries(inputs["user"])

        export_onnx(query, {"user": np.zeros(1, np.int32)}, directory / QUERY_TOWER_FILE, output="query")

    def _make_network(self, features: FeatureTables) -> "_Network":
        return _Network(features.history, self.config)

    def _plan(self, history: Interactions, features: FeatureTables, generator: np.random.Generator) -> TrainingPlan:
        config, targets = self.config, _targets(history, self.config.target)
        n_steps = -(-int(np.count_nonzero(np.diff(targets.indptr))) // config.batch_users)
        max_epochs = config.n_epochs(n_steps)
        schedule = keras.optimizers.schedules.CosineDecay(config.learning_rate, n_steps * max_epochs)
        step = self._make_step(keras.optimizers.Adam(schedule), item_share=1 / n_steps)
        return TrainingPlan(
            run_epoch=lambda: (step(*map(tf.constant, batch)) for batch in _batches(targets, config, generator)),
            n_epochs=max_epochs,
            evaluate_every=config.evaluate_every(max_epochs),
            patience=config.patience,
            loss_limit=_DIVERGED,
        )

    def _make_step(self, optimizer: keras.optimizers.Optimizer, *, item_share: float) -> Callable[..., Tensor]:
        """A step on a batch of `_batches`; its loss is at most 1 for scores of 0.

        Args:
            item_share: share of the items' penalty in a step, because an item is in every step of an epoch.
        """
        network, config = self.learned, self.config

        def losses(
            users: Tensor, items: Tensor, n_cells: Tensor, cells: Tensor, target: Tensor
        ) -> tuple[Tensor, Tensor]:
            queries = network.queries(users, training=True)
            candidates = network.candidates(items, training=True)
            scores = tf.matmul(queries, candidates, transpose_b=True)
            errors = tf.gather_nd(scores, cells) - target
            zeros = tf.reduce_sum(tf.linalg.matvec(scores**2, n_cells))
            loss = tf.reduce_sum(errors**2) + config.unwatched_weight * zeros
            squares = tf.reduce_sum(queries**2)
            squares += item_share * tf.reduce_sum(n_cells[:, tf.newaxis] * candidates**2)
            scale = 1 / tf.maximum(tf.reduce_sum(target**2), 1.0)
            return loss * scale, (loss + config.l2 * squares) * scale

        return make_step(network, optimizer, losses)


class _Network(keras.Model):  # type: ignore[misc]
    """The weights of both sides."""

    def __init__(self, history: Interactions, config: FeedForwardMFConfig) -> None:
        super().__init__(name="towers")
        has_events = history.seen_items.count(np.arange(len(history.users) + 1, dtype=np.int32)) > 0
        self.users = _Side(has_events, config, name="user")
        self.items = _Side(np.arange(len(history.items) + 1) > 0, config, name="item")
        self.built = True

    def queries(self, users: Tensor, *, training: bool = False) -> Tensor:
        """[n_users, embedding_size]."""
        return self.users(users, training=training)

    def candidates(self, items: Tensor, *, training: bool = False) -> Tensor:
        """[n_items, embedding_size]."""
        return self.items(items, training=training)


class _Side(keras.layers.Layer):  # type: ignore[misc]
    """Numbers [n] -> vectors [n, embedding_size]."""

    def __init__(self, is_known: Mask, config: FeedForwardMFConfig, name: str) -> None:
        """`is_known` [n_rows]: these embeddings start from random values, the others from zeros."""
        super().__init__(name=name)
        shape = (len(is_known), config.embedding_size)
        self.table = self.add_weight(name="table", shape=shape, initializer=keras.initializers.RandomNormal(stddev=0.1))
        self.table.assign(self.table * is_known[:, np.newaxis].astype(np.float32))
        self.deep = mlp(config.hidden, dropout=config.dropout, name="hidden") if config.hidden else None
        if self.deep is not None:
            self.deep.add(keras.layers.Dense(config.embedding_size, name="output"))
        self(np.zeros(1, np.int32), training=False)  # builds the layers

    def call(self, numbers: Tensor, *, training: bool) -> Tensor:
        vectors = tf.gather(self.table, numbers)
        return vectors if self.deep is None else vectors + self.deep(vectors, training=training)


def _targets(history: Interactions, target: str) -> "sp.csr_matrix[np.float32]":
    """[n_users + 1, n_items + 1] target of each cell: 1 where watched, or newest rating / largest rating."""
    if target == "watched":
        return history.matrix
    assert history.rating is not None  # `check` saw to it
    rows = history.rated_rows
    pairs = (history.user_num[rows], history.item_num[rows])
    return sp.csr_matrix((history.rating[rows] / np.abs(history.rating[rows]).max(), pairs), shape=history.matrix.shape)


def _batches(
    targets: "sp.csr_matrix[np.float32]", config: FeedForwardMFConfig, generator: np.random.Generator
) -> Iterator[tuple[npt.NDArray[Any], ...]]:
    """One epoch: every user with a target, once, in random order.

    Gives:
        users [n_users] and items [n_items]: int32, the rows and columns of the step.
        n_cells [n_items]: float32, how many cells of a user each sampled item stands for.
        cells [n_targets, 2]: row and column of each target; target [n_targets]: float32.
    """
    users = generator.permutation(np.flatnonzero(np.diff(targets.indptr)).astype(np.int32))
    n_items = targets.shape[1] - 1
    everything = np.arange(1, n_items + 1, dtype=np.int32)
    for first in range(0, len(users), config.batch_users):
        chosen = users[first : first + config.batch_users]
        block = targets[chosen]
        drawn = everything
        if n_items > config.n_candidates:
            drawn = generator.integers(1, n_items + 1, config.n_candidates, dtype=np.int32)
        items = np.union1d(block.indices, drawn).astype(np.int32)
        n_drawn = np.bincount(np.searchsorted(items, drawn), minlength=len(items))
        rows = np.repeat(np.arange(len(chosen)), np.diff(block.indptr))
        cells = np.stack([rows, np.searchsorted(items, block.indices)], axis=1)
        yield chosen, items, (n_drawn * (n_items / len(drawn))).astype(np.float32), cells, block.data
