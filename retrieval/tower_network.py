"""TowerNetwork: the weights of the default two towers, and how they make queries and candidates of inputs."""

from collections.abc import Mapping, Sequence

import numpy as np

from dataset.features import FeatureTables
from layers.backend import Tensor, keras, tf
from layers.blocks import mlp
from layers.encoders import FeatureEncoder
from layers.item_encoder import ItemEncoder, ItemInputs
from retrieval.config import TwoTowerConfig


class TowerNetwork(keras.Model):  # type: ignore[misc]
    """Both towers; the last dimension of a query is 1 and takes up the bias of a candidate."""

    def __init__(self, features: FeatureTables, config: TwoTowerConfig) -> None:
        super().__init__(name="towers")
        n_ids, size, items = len(features.history.items) + 1, config.embedding_size, features.items
        self.config = config
        self.reads_order = config.targets == "next" and features.history.timestamp_s is not None
        self.even_encoder = ItemEncoder(items, n_ids=n_ids, embedding_size=size, name="even_history")
        self.recent_encoder = ItemEncoder(items, n_ids=n_ids, embedding_size=size, name="recent_history")
        self.candidate_encoder = (
            self.even_encoder
            if config.shares_items
            else ItemEncoder(items, n_ids=n_ids, embedding_size=size, name="candidate")
        )
        self.item_encoders = tuple(dict.fromkeys([self.even_encoder, self.recent_encoder, self.candidate_encoder]))
        self.bias = self.add_weight(name="bias", shape=(n_ids, 1), initializer="zeros")
        cold = features.users.cold
        self.user_encoder = (
            FeatureEncoder(cold, embedding_size=size, name="user") if cold.take(np.zeros(0, np.int32)) else None
        )
        self.age_slopes = (
            self.add_weight(name="age_slopes", shape=(3, size), initializer="zeros") if config.example_age else None
        )
        self.query_hidden = _hidden(config.query_hidden, size, config.dropout, name="query_hidden")
        self.candidate_hidden = _hidden(config.candidate_hidden, size, config.dropout, name="candidate_hidden")
        self.drop = keras.layers.Dropout(config.dropout)
        self.built = True

    def history_table(self, items: ItemInputs) -> tuple[Tensor, Tensor]:
        """Both [n_items, embedding_size]: what an item adds to a query as part of the even and of the recent bag."""
        even = self.even_encoder(items)
        return even, self.recent_encoder(items) if self.reads_order else tf.zeros_like(even)

    def query(
        self, bags: Tensor, is_cold: Tensor, user_columns: Mapping[str, Tensor], age: Tensor | None, *, training: bool
    ) -> Tensor:
        """[n_queries, embedding_size + 1].

        Args:
            bags: [n_queries, embedding_size] sum of the history's items by their weights.
            is_cold: [n_queries, 1] bool, histories without items.
            user_columns: of the cold columns, [n_queries, ...].
            age: [n_queries] of the targets; None when asked, which is age 0.
        """
        query = bags if self.user_encoder is None else tf.where(is_cold, self.user_encoder(user_columns), bags)
        if self.age_slopes is not None and age is not None:
            query += tf.matmul(tf.stack([tf.sqrt(age), age, age**2], axis=1), self.age_slopes)
        query = self.query_hidden(self.drop(query, training=training), training=training)
        if self.config.similarity == "cosine":
            query = tf.math.l2_normalize(query, axis=1)
        return tf.concat([query, tf.ones_like(query[:, :1])], axis=1)

    def candidates(self, items: ItemInputs, *, training: bool = False) -> Tensor:
        """[n_items, embedding_size + 1]."""
        vectors = self.candidate_hidden(self.candidate_encoder(items), training=training)
        bias = tf.gather(self.bias, items.ids)
        match self.config.similarity:
            case "cosine":
                vectors, bias = tf.math.l2_normalize(vectors, axis=1), tf.zeros_like(bias)
            case "euclidean":  # the product is then -d^2 / 2, but for what the query alone decides
                bias = -tf.reduce_sum(vectors**2, axis=1, keepdims=True) / 2
        return tf.concat([vectors, bias], axis=1)


def _hidden(widths: Sequence[int], embedding_size: int, dropout: float, *, name: str) -> keras.Sequential:
    """Hidden layers and a last one without activation; where there are none, what comes in goes out."""
    block = mlp(widths, dropout=dropout, name=name)
    block.add(keras.layers.Dense(embedding_size) if widths else keras.layers.Activation("linear"))
    block.build((None, embedding_size))
    return block
