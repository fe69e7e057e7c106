"""TwoTower: a query tower that reads features and the ordered history, a candidate tower that reads id and features."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from dataset.errors import InputError
from dataset.features import Column, FeatureTables
from dataset.history import HistoryBags, history_bags
from dataset.interactions import Interactions, Mask
from dataset.vocabulary import Numbers
from layers.backend import Tensor, keras, tf
from layers.batches import BatchPlan, RetrievalBatch, retrieval_batches
from layers.export import export_onnx
from layers.item_encoder import ItemInputs, item_inputs, place_new
from layers.losses import contrast, correct_for_sampling, keep_hardest
from layers.negatives import CandidateDraw
from retrieval.base import Embeddings
from retrieval.config import TwoTowerConfig
from retrieval.index.choose import build_index
from retrieval.index.config import IndexConfig
from retrieval.indexed import IndexedRetriever
from retrieval.item2vec import Item2VecConfig, item_vectors
from retrieval.neural import NeuralTowers, TrainingPlan
from retrieval.serving import QUERY_TOWER_FILE
from retrieval.tower_network import TowerNetwork

_USERS_PER_BLOCK = 1024
_DIVERGED = 10  # times the loss of equal scores; training that works stays below one


class TwoTower(NeuralTowers[TwoTowerConfig, "TowerNetwork"]):
    """query = even + recent bag of the history, or user features where there is none; candidate = id + features + bias.

    User features beside a history would let the query tower recognise its users and learn their lists by heart, so
    they speak for cold users only; the ranker reads them for everybody. The recent bag is read where the targets are
    the next items. The bias rides in a last dimension that is 1 in every query, so that a plain dot product is the
    whole score.
    """

    config_type = TwoTowerConfig
    name = "two_tower"

    def check(self, history: Interactions, features: FeatureTables) -> None:
        """A history of one event cannot predict anything."""
        if not (np.diff(history.by_user.starts)[1:] >= 2).any():
            raise InputError("interactions: no user has two events, so no history can predict anything; add data")

    def encode_queries(self, users: Numbers, features: FeatureTables) -> Embeddings:
        """[n_users, embedding_size + 1]; see the class for the last dimension."""
        network, columns = self._network, features.users.cold
        even_table, recent_table = network.history_table(_all_items(features))
        blocks = [np.zeros((0, self.config.embedding_size + 1), np.float32)]
        for first in range(0, len(users), _USERS_PER_BLOCK):
            block = users[first : first + _USERS_PER_BLOCK]
            bags = self.bags(block, features)
            even, recent = _bag_matrices(bags, len(block), bags.item_num, len(even_table))
            total = _times(even, even_table) + _times(recent, recent_table)
            blocks.append(network.query(total, _is_cold(bags, len(block)), columns.take(block), None, training=False))
        return np.concatenate(blocks)

    def encode_candidates(self, items: Numbers, features: FeatureTables) -> Embeddings:
        """[n_items, embedding_size + 1]."""
        return np.asarray(self._network.candidates(item_inputs(items, features.items)))

    def bags(self, users: Numbers, features: FeatureTables) -> HistoryBags:
        return history_bags(
            features.history, users, half_life=self.config.half_life, max_length=self.config.max_history
        )

    def export(self, directory: Path, features: FeatureTables) -> None:
        """Write the query tower as an ONNX graph: padded histories and user columns in, query embeddings out.

        Inputs: `history` [n, length] int32 padded with 0; `even`, `recent` [n, length] float32; the user columns under
        their names. Output: `query` [n, embedding_size + 1] float32.
        """
        # As NumPy, so that the graph holds them as constants rather than asking for them.
        even_table, recent_table = (table.numpy() for table in self._network.history_table(_all_items(features)))
        columns = features.users.cold.take(np.zeros(1, np.int32))
        example: dict[str, Column] = {
            "history": np.zeros((1, 1), np.int32),
            "even": np.zeros((1, 1), np.float32),
            "recent": np.zeros((1, 1), np.float32),
            **columns,
        }

        def query(inputs: Mapping[str, Tensor]) -> Tensor:
            even = tf.squeeze(tf.matmul(inputs["even"][:, tf.newaxis], tf.gather(even_table, inputs["history"])), 1)
            recent = tf.squeeze(
                tf.matmul(inputs["recent"][:, tf.newaxis], tf.gather(recent_table, inputs["history"])), 1
            )
            is_cold = tf.reduce_sum(inputs["even"], axis=1, keepdims=True) <= 0
            user_columns = {name: inputs[name] for name in columns}
            return self._network.query(even + recent, is_cold, user_columns, None, training=False)

        export_onnx(query, example, directory / QUERY_TOWER_FILE, output="query")

    def _make_network(self, features: FeatureTables) -> "TowerNetwork":
        return TowerNetwork(features, self.config)

    def _plan(self, history: Interactions, features: FeatureTables, generator: np.random.Generator) -> TrainingPlan:
        config = self.config
        n_steps = -(-int((np.diff(history.by_user.starts)[1:] >= 2).sum()) // config.batch_users)
        most_epochs = int(np.clip(config.max_steps // n_steps, 1, config.epochs))
        schedule = keras.optimizers.schedules.CosineDecay(config.learning_rate, n_steps * most_epochs)
        step = self._make_step(keras.optimizers.Adam(schedule), l2=config.l2 / len(history) ** 0.5)
        batches = BatchPlan(**{name: getattr(config, name) for name in BatchPlan.__dataclass_fields__})
        draw = CandidateDraw(history, config.negatives, config.n_candidates)
        vectors = None
        if config.item_start == "item2vec":
            start_seed = int(generator.integers(1 << 31))
            vectors = item_vectors(history, Item2VecConfig(embedding_size=config.embedding_size), seed=start_seed)
        for encoder in self._network.item_encoders:
            encoder.start_ids(draw.has_events, vectors)

        def run_epoch() -> Iterator[Tensor]:
            mined = self._mine(features) if config.negatives == "hard" and not draw.is_whole else None
            for batch in retrieval_batches(history, batches, draw, generator, mined):
                yield step(*self._tensors(batch, features))

        return TrainingPlan(
            run_epoch=run_epoch,
            n_epochs=most_epochs,
            look_every=max(1, most_epochs // config.looks),
            patience=config.patience,
            loss_limit=_DIVERGED * float(np.log(len(history.items) + 1)) if config.objective == "softmax" else np.inf,
        )

    def _place_new(self, features: FeatureTables) -> None:
        place_new(self._network.item_encoders, self._network.bias, features, optimism=self.config.new_item_optimism)

    def _mine(self, features: FeatureTables) -> Numbers:
        """[n_users + 1, n_negatives] the unwatched items that the towers as they are rank highest, 0 where fewer."""
        history, n_mined = features.history, self.config.n_negatives
        items = np.arange(1, len(history.items) + 1, dtype=np.int32)
        users = np.arange(len(history.users) + 1, dtype=np.int32)
        retriever = IndexedRetriever(self, build_index(self.encode_candidates(items, features), items, IndexConfig()))
        found = retriever.retrieve(users, features, top_k=n_mined, exclude=history.seen_items)
        mined = np.zeros((len(users), n_mined), np.int32)
        mined[found.row_user, found.rank - 1] = found.item_num
        return mined

    def _tensors(self, batch: RetrievalBatch, features: FeatureTables) -> tuple[Tensor, ...]:
        """What a step takes: only the items that it touches are encoded."""
        read = np.unique(batch.bags.item_num)
        places = np.searchsorted(read, batch.bags.item_num).astype(np.int32)
        even, recent = _bag_matrices(batch.bags, len(batch.users), places, len(read))
        items = (item_inputs(read, features.items), item_inputs(batch.candidates, features.items))
        dense = (
            _is_cold(batch.bags, len(batch.users)),
            features.users.cold.take(batch.users),
            batch.age,
            batch.log_q,
            batch.target_weight,
            batch.negative_weight,
        )
        return even, recent, *items, *tf.nest.map_structure(tf.constant, dense)

    def _make_step(self, optimizer: keras.optimizers.Optimizer, *, l2: float) -> Callable[..., Tensor]:
        network, config = self._network, self.config

        @tf.function(autograph=False, reduce_retracing=True)  # type: ignore[untyped-decorator]
        def step(
            even: Tensor,
            recent: Tensor,
            read: ItemInputs,
            candidate_items: ItemInputs,
            is_cold: Tensor,
            user_columns: Mapping[str, Tensor],
            age: Tensor,
            log_q: Tensor,
            target_weight: Tensor,
            negative_weight: Tensor,
        ) -> Tensor:
            with tf.GradientTape() as tape:
                tables = network.history_table(read)
                bags = _times(even, tables[0]) + _times(recent, tables[1])
                queries = network.query(bags, is_cold, user_columns, age, training=True)
                candidates = network.candidates(candidate_items, training=True)
                logits = tf.matmul(queries, candidates, transpose_b=True) / config.temperature
                if config.objective == "softmax":
                    logits = correct_for_sampling(logits, log_q)
                if config.negatives == "hard":
                    negative_weight = keep_hardest(logits, negative_weight, config.n_negatives)
                loss = contrast(
                    logits,
                    target_weight,
                    negative_weight,
                    objective=config.objective,
                    n_negatives=config.n_negatives,
                    margin=config.margin,
                )
                squares = tf.add_n([tf.reduce_sum(part**2) for part in (*tables, candidates[:, :-1])])
                objective = loss + l2 * squares
            weights = network.trainable_variables
            gradients = tape.gradient(objective, weights)
            optimizer.apply_gradients(
                [
                    (tf.convert_to_tensor(gradient), weight)
                    for gradient, weight in zip(gradients, weights, strict=True)
                    if gradient is not None
                ]
            )
            return loss

        return step  # type: ignore[no-any-return]


def _all_items(features: FeatureTables) -> ItemInputs:
    return item_inputs(np.arange(len(features.history.items) + 1, dtype=np.int32), features.items)


def _bag_matrices(bags: HistoryBags, n_bags: int, places: Numbers, n_places: int) -> tuple[Tensor, Tensor]:
    """Sparse [n_bags, n_places] of the even and of the recent weights, each at its entry's place."""
    cells = np.stack([bags.row, places], axis=1).astype(np.int64)
    even, recent = (tf.SparseTensor(cells, weights, (n_bags, n_places)) for weights in (bags.even, bags.recent))
    return even, recent


def _times(bags: Tensor, table: Tensor) -> Tensor:
    """Dense [n_bags, dim]: what a sparse matrix of bags sums up of a table."""
    return tf.sparse.sparse_dense_matmul(bags, table)


def _is_cold(bags: HistoryBags, n_bags: int) -> Mask:
    """[n_bags, 1] histories without items."""
    return np.asarray(np.bincount(bags.row, minlength=n_bags)[:, None] == 0)
