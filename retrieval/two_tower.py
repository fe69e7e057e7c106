"""TwoTower: a query tower that reads features and the ordered history, a candidate tower that reads id and features."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dataset.errors import InputError
from dataset.features import Column, FeatureTables
from dataset.history import HistoryBags, history_bags
from dataset.interactions import Interactions
from dataset.vocabulary import Numbers
from layers.backend import Tensor, keras, tf
from layers.batches import BatchPlan, RetrievalBatch, retrieval_batches
from layers.encoders import FeatureEncoder
from layers.export import export_onnx
from layers.losses import correct_for_sampling, mask_accidental_hits, softmax_over_candidates
from retrieval.base import Embeddings
from retrieval.config import TwoTowerConfig
from retrieval.neural import NeuralTowers, TrainingPlan
from retrieval.serving import QUERY_TOWER_FILE

_USERS_PER_BLOCK = 1024
_DIVERGED = 10  # times the loss of equal scores; training that works stays below one


class TwoTower(NeuralTowers[TwoTowerConfig, "_TowerLayers"]):
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
        table = self._network.history_table(self._all_items(features))
        blocks = [np.zeros((0, self.config.embedding_size + 1), np.float32)]
        for first in range(0, len(users), _USERS_PER_BLOCK):
            block = users[first : first + _USERS_PER_BLOCK]
            even, recent = _bag_matrices(self.bags(block, features), len(block), np.arange(table[0].shape[0]))
            blocks.append(
                self._network.queries(even, recent, table, features.users.take(block), training=False).numpy()
            )
        return np.concatenate(blocks)

    def encode_candidates(self, items: Numbers, features: FeatureTables) -> Embeddings:
        """[n_items, embedding_size + 1]."""
        return np.asarray(self._network.candidates(_item_inputs(items, features)))

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
        even_table, recent_table = (table.numpy() for table in self._network.history_table(self._all_items(features)))
        columns = {name: values[:1] for name, values in features.users.take(np.zeros(1, np.int32)).items()}
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
            return self._network.query(even + recent, is_cold, user_columns, training=False)

        export_onnx(query, example, directory / QUERY_TOWER_FILE, output="query")

    def _make_network(self, features: FeatureTables) -> "_TowerLayers":
        return _TowerLayers(features, self.config)

    def _plan(self, history: Interactions, features: FeatureTables, generator: np.random.Generator) -> TrainingPlan:
        config = self.config
        n_steps = -(-int((np.diff(history.by_user.starts)[1:] >= 2).sum()) // config.batch_users)
        most_epochs = int(np.clip(config.max_steps // n_steps, 1, config.epochs))
        schedule = keras.optimizers.schedules.CosineDecay(config.learning_rate, n_steps * most_epochs)
        step = self._make_step(keras.optimizers.Adam(schedule))
        batches = BatchPlan(**{name: getattr(config, name) for name in BatchPlan.__dataclass_fields__})
        return TrainingPlan(
            run_epoch=lambda: (
                step(*self._tensors(batch, features)) for batch in retrieval_batches(history, batches, generator)
            ),
            n_epochs=most_epochs,
            look_every=max(1, most_epochs // config.looks),
            patience=config.patience,
            loss_limit=_DIVERGED * float(np.log(len(history.items) + 1)),
        )

    def _all_items(self, features: FeatureTables) -> dict[str, Column]:
        return _item_inputs(np.arange(len(features.history.items) + 1, dtype=np.int32), features)

    def _tensors(self, batch: RetrievalBatch, features: FeatureTables) -> tuple[Tensor, ...]:
        """What a step takes: only the items that it touches are encoded."""
        read = np.unique(np.append(batch.bags.item_num, 0)).astype(np.int32)
        even, recent = _bag_matrices(batch.bags, len(batch.users), read)
        return (
            even,
            recent,
            _tensors_of(_item_inputs(read, features)),
            _tensors_of(features.users.take(batch.users)),
            _tensors_of(_item_inputs(batch.candidates, features)),
            tf.constant(batch.log_q),
            tf.constant(batch.is_target),
            tf.constant(batch.is_hit),
        )

    def _make_step(self, optimizer: keras.optimizers.Optimizer) -> Callable[..., Tensor]:
        layers, config = self._network, self.config

        @tf.function(autograph=False, reduce_retracing=True)  # type: ignore[untyped-decorator]
        def step(
            even: Tensor,
            recent: Tensor,
            read: Mapping[str, Tensor],
            user_columns: Mapping[str, Tensor],
            candidate_inputs: Mapping[str, Tensor],
            log_q: Tensor,
            is_target: Tensor,
            is_hit: Tensor,
        ) -> Tensor:
            with tf.GradientTape() as tape:
                tables = layers.history_table(read)
                queries = layers.queries(even, recent, tables, user_columns, training=True)
                candidates = layers.candidates(candidate_inputs)
                logits = tf.matmul(queries, candidates, transpose_b=True) / config.temperature
                logits = mask_accidental_hits(correct_for_sampling(logits, log_q), is_hit)
                loss = softmax_over_candidates(logits, is_target)
                squares = tf.add_n(
                    [tf.reduce_sum(part[:, : config.embedding_size] ** 2) for part in (*tables, candidates)]
                )
                objective = loss + config.l2 * squares
            gradients = tape.gradient(objective, layers.trainable_variables)
            optimizer.apply_gradients(
                [
                    (tf.convert_to_tensor(gradient), variable)
                    for gradient, variable in zip(gradients, layers.trainable_variables, strict=True)
                    if gradient is not None
                ]
            )
            return loss

        return step  # type: ignore[no-any-return]


class _TowerLayers(keras.Model):  # type: ignore[misc]
    """The weights of both towers."""

    def __init__(self, features: FeatureTables, config: TwoTowerConfig) -> None:
        super().__init__(name="towers")
        n_ids, size = len(features.history.items) + 1, config.embedding_size
        self.reads_order = config.targets == "next" and features.history.timestamp_s is not None
        self.even_encoder = FeatureEncoder(features.items, n_ids=n_ids, embedding_size=size, name="even_history")
        self.recent_encoder = FeatureEncoder(features.items, n_ids=n_ids, embedding_size=size, name="recent_history")
        self.candidate_encoder = FeatureEncoder(features.items, n_ids=n_ids, embedding_size=size, name="candidate")
        self.bias = self.add_weight(name="bias", shape=(n_ids, 1), initializer="zeros")
        has_columns = bool(features.users.categorical or features.users.numeric or features.users.multi_valued)
        self.user_encoder = (
            FeatureEncoder(features.users, n_ids=0, embedding_size=size, name="user") if has_columns else None
        )
        self.drop = keras.layers.Dropout(config.dropout)
        self.built = True

    def history_table(self, item_inputs: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Both [n_items, embedding_size]: what an item adds to a query as part of the even and of the recent bag."""
        even = self.even_encoder(item_inputs)
        return even, self.recent_encoder(item_inputs) if self.reads_order else tf.zeros_like(even)

    def queries(
        self,
        even: Tensor,
        recent: Tensor,
        tables: tuple[Tensor, Tensor],
        user_columns: Mapping[str, Tensor],
        *,
        training: bool,
    ) -> Tensor:
        """[n_queries, embedding_size + 1]; `even` and `recent` are sparse [n_queries, n_items]."""
        bags = tf.sparse.sparse_dense_matmul(even, tables[0]) + tf.sparse.sparse_dense_matmul(recent, tables[1])
        is_cold = tf.reshape(tf.sparse.reduce_sum(even, axis=1), [-1, 1]) <= 0
        return self.query(bags, is_cold, user_columns, training=training)

    def query(self, bags: Tensor, is_cold: Tensor, user_columns: Mapping[str, Tensor], *, training: bool) -> Tensor:
        """[n_queries, embedding_size + 1]; `bags` [n_queries, embedding_size], `is_cold` [n_queries, 1] bool."""
        query = bags if self.user_encoder is None else tf.where(is_cold, self.user_encoder(user_columns), bags)
        query = self.drop(query, training=training)
        return tf.concat([query, tf.ones_like(query[:, :1])], axis=1)

    def candidates(self, item_inputs: Mapping[str, Tensor]) -> Tensor:
        """[n_items, embedding_size + 1]."""
        return tf.concat([self.candidate_encoder(item_inputs), tf.gather(self.bias, item_inputs["id"])], axis=1)


def _item_inputs(items: Numbers, features: FeatureTables) -> dict[str, Column]:
    return {"id": items, **features.items.take(items)}


def _tensors_of(inputs: Mapping[str, npt.NDArray[np.generic]]) -> dict[str, Tensor]:
    return {name: tf.constant(values) for name, values in inputs.items()}


def _bag_matrices(bags: HistoryBags, n_bags: int, items: npt.NDArray[np.integer]) -> tuple[Tensor, Tensor]:
    """Sparse [n_bags, len(items)] of the even and the recent weights; `items` rise and hold every item of the bags."""
    order = np.lexsort((bags.item_num, bags.row))  # sparse tensors want their entries in order
    places = np.stack([bags.row, np.searchsorted(items, bags.item_num)], axis=1)[order].astype(np.int64)
    even, recent = (
        tf.SparseTensor(places, weights[order], (n_bags, len(items))) for weights in (bags.even, bags.recent)
    )
    return even, recent
