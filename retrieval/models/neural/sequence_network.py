"""SequenceNetwork: the weights of the sequence towers, and how they turn windows into queries."""

from collections.abc import Mapping

import numpy as np

from belfry.dataset.arrays import Times
from belfry.layers.backend import Tensor, keras, tf
from belfry.layers.encoders import FeatureEncoder
from belfry.layers.sequences import N_AGES, AttentionEncoder, Calendar, RecurrentEncoder, ages, buckets
from belfry.layers.steps.noise import Dropout
from belfry.layers.towers.item_encoder import ItemEncoder, ItemInputs
from belfry.layers.towers.network import TowerShapes
from belfry.retrieval.config import SequenceConfig

_N_REQUEST_TIMES = 32  # buckets of the history's time, with equally many events each


class SequenceNetwork(keras.Model):  # type: ignore[misc]
    """Both towers.

    The input of event j with item i at time t_j is sqrt(size) E(i), plus the embeddings of the user's content columns,
    of hour and weekday of t_j (both under `context`), and of the bucket of t_j - t_{j-1} (under `time`). The query of a
    position is its output of the encoder, plus (under `time`) embeddings of the request time and of the time since the
    event.
    """

    def __init__(self, shapes: TowerShapes, config: SequenceConfig) -> None:
        super().__init__(name="sequence")
        size = config.embedding_size
        self.config, self.n_item_features = config, shapes.n_item_features
        self.item_encoder = ItemEncoder(
            n_ids=shapes.n_ids, n_features=shapes.n_item_features, embedding_size=size, name="item"
        )
        self.bias = self.add_weight(name="bias", shape=(shapes.n_ids, 1), initializer="zeros")
        self.start = self.add_weight(name="start", shape=(1, size), initializer="zeros")
        self.drop = Dropout(config.dropout)
        self.encoder = (
            AttentionEncoder(
                length=config.max_length,
                n_blocks=config.n_blocks,
                n_heads=config.n_heads,
                dropout=config.dropout,
                reads_time=config.time,
            )
            if config.encoder == "attention"
            else RecurrentEncoder(size, dropout=config.dropout, reads_time=config.time)
        )
        columns = shapes.user_columns
        self.user_encoder = (
            FeatureEncoder(columns, embedding_size=size, name="user") if config.context and columns else None
        )
        self.event_calendar = Calendar(size, name="event_calendar") if config.context else None
        if config.time:
            self.gaps = keras.layers.Embedding(N_AGES, size, embeddings_initializer="zeros", name="gaps")
            self.waits = keras.layers.Embedding(N_AGES, size, embeddings_initializer="zeros", name="waits")
            self.request_times = keras.layers.Embedding(
                _N_REQUEST_TIMES, size, embeddings_initializer="zeros", name="request_times"
            )
            self.request_time_edges = self.add_weight(
                name="request_time_edges",
                shape=(_N_REQUEST_TIMES - 1,),
                dtype=tf.int64,
                initializer="zeros",
                trainable=False,
            )
        # Every weight is built now, so that weights can be saved, loaded and copied.
        times = tf.zeros([1, config.max_length], tf.int64)
        steps = tf.zeros([1, config.max_length, size])
        self.encoder(steps, times > 0, times, times, self.start, training=False)
        readers = (self.gaps, self.waits, self.request_times) if config.time else ()
        for reader in (*readers, *([self.event_calendar] if self.event_calendar is not None else [])):
            reader(times)
        self.built = True

    def set_request_times(self, timestamp_s: Times) -> None:
        """Set the edges of the request time's buckets to quantiles of `timestamp_s`."""
        shares = np.linspace(0, 1, _N_REQUEST_TIMES + 1)[1:-1]
        if self.config.time:
            self.request_time_edges.assign(np.quantile(timestamp_s, shares, method="higher").astype(np.int64))

    def watched(self, items: ItemInputs) -> Tensor:
        """[n_items, size] the items as inputs of the encoder."""
        return self.item_encoder(items) * self.config.embedding_size**0.5

    def candidates(self, items: ItemInputs) -> Tensor:
        """[n_items, size + 1]; the last dimension is the bias."""
        return tf.concat([self.item_encoder(items), tf.gather(self.bias, items.ids)], axis=1)

    def newest(
        self, table: Tensor, items: Tensor, time_s: Tensor, request_s: Tensor, user_columns: Mapping[str, Tensor]
    ) -> Tensor:
        """[n, size + 1] queries of the last position at request time `request_s` [n]; the rest as in `queries`."""
        requests = tf.concat([time_s[:, 1:], tf.cast(request_s, tf.int64)[:, tf.newaxis]], axis=1)
        return self.queries(table, items, time_s, requests, user_columns, training=False)[:, -1]

    def queries(
        self,
        table: Tensor,
        items: Tensor,
        time_s: Tensor,
        request_s: Tensor,
        user_columns: Mapping[str, Tensor],
        *,
        training: bool,
    ) -> Tensor:
        """[n, length, size + 1].

        Args:
            table: [n_items, size] inputs of items; row 0 is the unknown's.
            items: [n, length] rows of `table`, 0 where padded.
            time_s: [n, length] int64, UTC time of each event.
            request_s: [n, length] int64, request time of each position.
            user_columns: the content columns, [n, ...].
        """
        is_event = items > 0
        steps, start = tf.gather(table, items), tf.repeat(self.start, tf.shape(items)[0], axis=0)
        if self.user_encoder is not None:
            user = self.user_encoder(user_columns)
            steps, start = steps + user[:, tf.newaxis], start + user
        if self.event_calendar is not None:
            steps += self.event_calendar(time_s)
        if self.config.time:
            before_s = tf.concat([time_s[:, :1], time_s[:, :-1]], axis=1)
            steps += self.gaps(ages(before_s, time_s))
        queries = self.encoder(
            self.drop(steps, training=training), is_event, time_s, request_s, start, training=training
        )
        if self.config.time:
            waits = self.waits(ages(time_s, request_s)) * tf.cast(is_event, tf.float32)[..., tf.newaxis]
            request_times = self.request_times(buckets(request_s, self.request_time_edges))
            queries += waits + request_times
        return tf.concat([queries, tf.ones_like(queries[..., :1])], axis=2)
