"""ReportTwoTower: the towers of the report that Belfry grew out of: one embedding per user, one per title."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from belfry.dataset.features import FeatureTables
from belfry.dataset.history.seen_items import SeenItems
from belfry.dataset.interactions import Interactions
from belfry.dataset.vocabulary import ItemNums, Numbers, UserNums
from belfry.layers.backend import Tensor, keras, tf
from belfry.layers.export import export_onnx
from belfry.retrieval.base import Embeddings
from belfry.retrieval.config import ReportConfig
from belfry.retrieval.neural_towers import NeuralTowers, TrainingPlan
from belfry.retrieval.onnx_towers import QUERY_TOWER_FILE

TOP_KS = (1, 5, 10, 50, 100)
_USERS_PER_BLOCK = 1024


@dataclass(frozen=True)
class TopKAccuracy:
    """Share of watches whose title is among the user's k best of all titles; seen titles are not removed."""

    top_1: float
    top_5: float
    top_10: float
    top_50: float
    top_100: float


@dataclass(frozen=True)
class EpochRecord(TopKAccuracy):
    """One epoch of training, with the accuracy on the training watches after it."""

    epoch: int  # from 1
    loss: float  # mean over the steps; the loss of a step is a sum over its batch


class ReportTwoTower(NeuralTowers[ReportConfig, "_Towers"]):
    """s_ui = embedding of the user's id . embedding of the title; nothing else is known of either.

    Objective "softmax": in-batch softmax, as the report's code did by `tfrs.tasks.Retrieval`. "binary" maximises what
    the report's equation means,

        sum over positives of log sigmoid(s_ui) + sum over negatives of log sigmoid(-s_uj)

    as printed, its second sum lacks the minus before s_uj, which would reward high scores of negatives. Negatives are
    drawn uniformly among the titles that their user has not watched.

    An unknown user gets row 0, which training never touches: its lists are random. The report trains for all epochs,
    whatever an evaluation would say of them.
    """

    config_type = ReportConfig
    epochs: tuple[EpochRecord, ...] = ()  # of the last fit

    def test_accuracy(self, test: Interactions) -> TopKAccuracy:
        """Accuracy on `test`, which has the vocabularies of the fit."""
        return self.learned.accuracy(test.user_num, self.learned.title_of.numpy()[test.item_num])

    def encode_queries(self, users: UserNums, features: FeatureTables) -> Embeddings:
        """[n_users, embedding_size]."""
        return np.asarray(self.learned.users(users))

    def encode_candidates(self, items: ItemNums, features: FeatureTables) -> Embeddings:
        """[n_items, embedding_size]; items of one title share theirs."""
        return np.asarray(self.learned.titles(tf.gather(self.learned.title_of, items)))

    def export(self, directory: Path, features: FeatureTables) -> None:
        """Write the query tower as an ONNX graph: `user` [n] int32 in, `query` [n, embedding_size] float32 out."""

        def query(inputs: Mapping[str, Tensor]) -> Tensor:
            return tf.gather(self.learned.users.embeddings, inputs["user"])

        export_onnx(query, {"user": np.zeros(1, np.int32)}, directory / QUERY_TOWER_FILE, output="query")

    def _make_network(self, features: FeatureTables) -> "_Towers":
        titles = features.history.items.all_numbers if features.titles is None else features.titles
        return _Towers(len(features.history.users), titles, self.config.embedding_size)

    def _plan(self, history: Interactions, features: FeatureTables, generator: np.random.Generator) -> TrainingPlan:
        """Accuracy is measured after each epoch: within the steps, as the report did, it costs more than training."""
        config, towers = self.config, self.learned
        users, watched = history.user_num, towers.title_of.numpy()[history.item_num]
        seen = SeenItems.of_pairs(users, watched, len(history.users))  # titles, for items can share one
        step = _make_step(towers, config)
        self.epochs = ()

        def run_epoch() -> Iterator[Tensor]:
            losses = []
            for rows in _shuffled(len(users), config.batch_size, generator):
                batch = [users[rows], watched[rows]]
                if config.objective == "binary":
                    batch += _draw_negatives(users[rows], config.n_negatives, seen, towers.n_titles, generator)
                losses.append(float(step(*map(tf.constant, batch))))
                yield losses[-1]
            accuracy = vars(towers.accuracy(users, watched))
            self.epochs += (EpochRecord(**accuracy, epoch=len(self.epochs) + 1, loss=float(np.mean(losses))),)

        return TrainingPlan(run_epoch=run_epoch, n_epochs=config.epochs)


class _Towers(keras.Model):  # type: ignore[misc]
    """The weights of both towers; row 0 is the unknown's."""

    def __init__(self, n_users: int, titles: Numbers, embedding_size: int) -> None:
        """`titles` [n_items + 1]: the number of each item's title."""
        super().__init__(name="towers")
        self.n_titles = n_titles = int(titles.max())
        self.title_of = self.add_weight(
            name="title_of", shape=titles.shape, dtype=tf.int32, trainable=False, initializer="zeros"
        )
        self.title_of.assign(titles)
        self.users = keras.layers.Embedding(n_users + 1, embedding_size, name="query")
        self.titles = keras.layers.Embedding(n_titles + 1, embedding_size, name="candidate")
        for layer in (self.users, self.titles):
            layer.build(None)
        self.built = True

    def softmax_loss(self, users: Tensor, watched: Tensor) -> Tensor:
        """Sum over the batch of -log softmax, with the other rows' titles as negatives; both are [n_rows].

        A row's negatives are titles as often as they come in the batch, so the sum of e^s over rows is one over
        different titles, times their counts, and the same for all rows of a user.
        """
        users, user_place, user_counts = tf.unique_with_counts(users)
        titles, title_place, title_counts = tf.unique_with_counts(watched)
        scores = tf.matmul(self.users(users), self.titles(titles), transpose_b=True)
        totals = tf.reduce_logsumexp(scores + tf.math.log(tf.cast(title_counts, tf.float32)), axis=1)
        of_rows = tf.gather_nd(scores, tf.stack([user_place, title_place], axis=1))
        return tf.reduce_sum(tf.cast(user_counts, tf.float32) * totals) - tf.reduce_sum(of_rows)

    def binary_loss(self, users: Tensor, watched: Tensor, negative_users: Tensor, negatives: Tensor) -> Tensor:
        """Sum of -log sigmoid(s) over positives [n_rows] and of -log sigmoid(-s) over negatives [n_negatives]."""
        positive, negative = self.score(users, watched), self.score(negative_users, negatives)
        return -tf.reduce_sum(tf.math.log_sigmoid(positive)) - tf.reduce_sum(tf.math.log_sigmoid(-negative))

    def score(self, users: Tensor, titles: Tensor) -> Tensor:
        """[n_rows]"""
        return tf.reduce_sum(self.users(users) * self.titles(titles), axis=1)

    def accuracy(self, users: UserNums, watched: Numbers) -> TopKAccuracy:
        """By numbers of titles; a user's best are listed once, and of equal scores the lower number is first."""
        depth = min(TOP_KS[-1], self.n_titles)
        asked, row = np.unique(users, return_inverse=True)
        catalogue = self.titles(tf.range(1, self.n_titles + 1))
        n_hits = np.zeros(depth, np.int64)  # by rank
        for first in range(0, len(asked), _USERS_PER_BLOCK):
            block = asked[first : first + _USERS_PER_BLOCK]
            scores = tf.matmul(self.users(block), catalogue, transpose_b=True)
            best = tf.math.top_k(scores, depth).indices.numpy()
            ranks = np.full((len(block), self.n_titles), depth)
            np.put_along_axis(ranks, best, np.arange(depth)[np.newaxis], axis=1)
            is_here = (row >= first) & (row < first + len(block))
            found = np.where(watched[is_here] > 0, ranks[row[is_here] - first, watched[is_here] - 1], depth)
            n_hits += np.bincount(found, minlength=depth + 1)[:depth]
        shares = np.cumsum(n_hits) / max(len(users), 1)
        return TopKAccuracy(*(float(shares[min(k, depth) - 1]) for k in TOP_KS))


def _make_step(towers: _Towers, config: ReportConfig) -> Callable[..., Tensor]:
    optimizer = keras.optimizers.Adagrad(config.learning_rate)
    loss_of = towers.softmax_loss if config.objective == "softmax" else towers.binary_loss

    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
    def step(*batch: Tensor) -> Tensor:
        with tf.GradientTape() as tape:
            loss = loss_of(*batch)
        weights = towers.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        return loss

    return step  # type: ignore[no-any-return]


def _shuffled(n_rows: int, batch_size: int, generator: np.random.Generator) -> Iterator[np.ndarray]:
    """Every row once, in random order."""
    order = generator.permutation(n_rows)
    for first in range(0, n_rows, batch_size):
        yield order[first : first + batch_size]


def _draw_negatives(
    users: UserNums, n_negatives: int, seen: SeenItems, n_titles: int, generator: np.random.Generator
) -> tuple[UserNums, Numbers]:
    """`n_negatives` rows of (user, unseen title) for each of `users`; none for a user who has seen everything."""
    users = np.repeat(users, n_negatives)
    n_unseen = n_titles - seen.count(users)
    users, n_unseen = users[n_unseen > 0], n_unseen[n_unseen > 0]
    place = generator.integers(n_unseen)  # among the unseen titles of the user
    # A user's i-th seen title stands behind `title - 1 - i` unseen ones; each at or before the place shifts it by one.
    owners = np.repeat(np.arange(len(seen.starts) - 1), np.diff(seen.starts))
    behind = seen.item_num - 1 - (np.arange(len(owners)) - seen.starts[owners])
    n_shifts = np.searchsorted(owners * n_titles + behind, users * np.int64(n_titles) + place, side="right")
    return users, (1 + place + n_shifts - seen.starts[users]).astype(np.int32)
