"""SequenceTowers: a query tower that reads the newest events in order, by attention or by a recurrent unit."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from belfry.dataset import columns
from belfry.dataset.errors import InputError
from belfry.dataset.features import FeatureTables
from belfry.dataset.history import HistoryWindows, history_windows, windows_between
from belfry.dataset.interactions import Interactions, Positions, Times
from belfry.dataset.vocabulary import ItemNums, Numbers, UserNums
from belfry.layers.backend import Tensor, keras, tf
from belfry.layers.encoders import FeatureEncoder
from belfry.layers.export import export_onnx
from belfry.layers.losses import MASKED, correct_for_sampling
from belfry.layers.negatives import NegativeSampler
from belfry.layers.sequences import N_AGES, AttentionEncoder, Calendar, RecurrentEncoder, ages, buckets
from belfry.layers.towers.item_encoder import ItemEncoder, ItemInputs, impute_cold_items, item_inputs
from belfry.retrieval.base import Embeddings
from belfry.retrieval.config import SequenceConfig
from belfry.retrieval.neural_towers import NeuralTowers, TrainingPlan
from belfry.retrieval.onnx_towers import QUERY_TOWER_FILE

_USERS_PER_BLOCK = 256
_N_REQUEST_TIMES = 32  # stretches of the history's time, of equally many events
_DIVERGED = 10  # times the loss of equal scores


@dataclass(frozen=True)
class _Batch:
    """One step of training; positions count through the windows, [n_windows * length]."""

    item_num: ItemNums  # [n_windows, length]
    time_s: Times  # [n_windows, length]
    request_s: Times  # [n_windows, length] when each position is asked
    users: UserNums  # [n_windows]
    positions: Positions  # [n_positions] those that predict
    candidates: ItemNums  # [n_candidates]
    log_q: npt.NDArray[np.float32]  # [n_candidates]
    targets: Positions  # [n_positions, n_next] places in `candidates`
    is_target: npt.NDArray[np.float32]  # [n_positions, n_next] 0 where the history has ended
    is_watched: npt.NDArray[np.bool_]  # [n_windows, n_candidates]


class SequenceTowers(NeuralTowers[SequenceConfig, "_SequenceLayers"]):
    """query = what the newest `max_length` events lead up to; candidate = id + features + bias.

    Every position of a window predicts the events after it, against all items that its user has not watched, for
    those are what will be ranked. An empty history is answered by a learned start, and by user columns under
    `context`. The bias rides in a last dimension that is 1 in every query.
    """

    config_type = SequenceConfig
    name = "sequence"

    def check(self, history: Interactions, features: FeatureTables) -> None:
        """Order comes from times, and a history of one event has none."""
        if history.timestamp_s is None:
            raise InputError(
                f"interactions: no column {columns.TIMESTAMP_S!r}, which the order of events is read from; add it, or "
                "choose a retrieval system other than kind=sequence"
            )
        if not (np.diff(history.by_user.starts)[1:] >= 2).any():
            raise InputError("interactions: no user has two events, so there is no next event to learn from; add data")

    def encode_queries(self, users: UserNums, features: FeatureTables) -> Embeddings:
        """[n_users, embedding_size + 1], asked at `features.now_s`."""
        table = self._network.both(_all_items(features))[0]
        blocks = [np.zeros((0, self.config.embedding_size + 1), np.float32)]
        for first in range(0, len(users), _USERS_PER_BLOCK):
            block = users[first : first + _USERS_PER_BLOCK]
            windows = history_windows(features.history, block, length=self.config.max_length)
            request_s = np.full(len(block), features.now_s)
            columns_of = features.users.content.take(block)
            blocks.append(self._network.newest(table, windows.item_num, windows.time_s, request_s, columns_of).numpy())
        return np.concatenate(blocks)

    def encode_candidates(self, items: ItemNums, features: FeatureTables) -> Embeddings:
        """[n_items, embedding_size + 1]."""
        return np.asarray(self._network.both(item_inputs(items, features.items))[1])

    def export(self, directory: Path, features: FeatureTables) -> None:
        """Write the query tower as an ONNX graph.

        Inputs, of which it names those that it reads: `window` [n, max_length] int32 item numbers, padded with 0 in
        front; `window_s` [n, max_length] and `request_s` [n] int64 UTC seconds; the user columns under their names.
        Output: `query` [n, embedding_size + 1] float32.
        """
        # As NumPy, so that the graph holds it as a constant rather than asking for it.
        table = self._network.both(_all_items(features))[0].numpy()
        shape = (1, self.config.max_length)
        reads_time, reads_columns = self.config.time, self._network.user_encoder is not None
        example: dict[str, npt.NDArray[np.generic]] = {"window": np.zeros(shape, np.int32)}
        if self.config.time or self.config.context:
            example["window_s"] = np.zeros(shape, np.int64)
        if reads_time:
            example["request_s"] = np.zeros(1, np.int64)
        if reads_columns:
            example |= features.users.content.take(np.zeros(1, np.int32))

        def query(inputs: Mapping[str, Tensor]) -> Tensor:
            window = inputs["window"]
            window_s = inputs.get("window_s", tf.zeros_like(window, tf.int64))
            request_s = inputs.get("request_s", window_s[:, -1])
            return self._network.newest(table, window, window_s, request_s, inputs)

        export_onnx(query, example, directory / QUERY_TOWER_FILE, output="query")

    def _make_network(self, features: FeatureTables) -> "_SequenceLayers":
        return _SequenceLayers(features, self.config)

    def _plan(self, history: Interactions, features: FeatureTables, generator: np.random.Generator) -> TrainingPlan:
        config = self.config
        assert history.timestamp_s is not None  # `check` saw to it
        self._network.set_request_times(history.timestamp_s)
        n_steps = -(-len(_window_ends(history, config)[0]) // config.batch_windows)
        max_epochs = config.n_epochs(n_steps)
        schedule = keras.optimizers.schedules.CosineDecay(config.learning_rate, n_steps * max_epochs)
        step = self._make_step(keras.optimizers.Adam(schedule))
        draw = NegativeSampler(history, "all", config.n_candidates)
        for encoder in self._network.item_encoders:
            encoder.start_ids(draw.has_events)
        return TrainingPlan(
            run_epoch=lambda: (
                step(*self._tensors(batch, features))
                for batch in _batches(history, features.now_s, config, draw, generator)
            ),
            n_epochs=max_epochs,
            evaluate_every=config.evaluate_every(max_epochs),
            patience=config.patience,
            loss_limit=_DIVERGED * float(np.log(len(history.items) + 1)),
        )

    def _impute_cold_items(self, features: FeatureTables) -> None:
        impute_cold_items(
            self._network.item_encoders, self._network.bias, features, optimism=self.config.new_item_optimism
        )

    def _tensors(self, batch: _Batch, features: FeatureTables) -> tuple[Tensor, ...]:
        """What a step takes: only the items that it touches are encoded."""
        touched = np.union1d(np.append(batch.item_num, 0), batch.candidates)
        dense = (
            features.users.content.take(batch.users),
            np.searchsorted(touched, batch.item_num).astype(np.int32),
            np.searchsorted(touched, batch.candidates),
            batch.time_s,
            batch.request_s,
            batch.positions,
            batch.log_q,
            batch.targets,
            batch.is_target,
            batch.is_watched,
        )
        return item_inputs(touched, features.items), *tf.nest.map_structure(tf.constant, dense)

    def _make_step(self, optimizer: keras.optimizers.Optimizer) -> Callable[..., Tensor]:
        layers, config = self._network, self.config

        @tf.function(autograph=False, reduce_retracing=True)  # type: ignore[untyped-decorator]
        def step(
            touched: ItemInputs,
            user_columns: Mapping[str, Tensor],
            items: Tensor,
            candidate_places: Tensor,
            time_s: Tensor,
            request_s: Tensor,
            positions: Tensor,
            log_q: Tensor,
            targets: Tensor,
            is_target: Tensor,
            is_watched: Tensor,
        ) -> Tensor:
            with tf.GradientTape() as tape:
                watched, candidates = layers.both(touched)
                steps = layers.queries(watched, items, time_s, request_s, user_columns, training=True)
                queries = tf.gather(tf.reshape(steps, [-1, steps.shape[-1]]), positions)
                candidates = tf.gather(candidates, candidate_places)
                logits = correct_for_sampling(tf.matmul(queries, candidates, transpose_b=True), log_q)
                loss = next_item_loss(logits, targets, is_target, tf.gather(is_watched, positions // config.max_length))
                objective = loss + config.l2 * tf.reduce_sum(candidates**2)
            variables = layers.trainable_variables
            gradients = tape.gradient(objective, variables)
            optimizer.apply_gradients(
                [
                    (tf.convert_to_tensor(gradient), variable)
                    for gradient, variable in zip(gradients, variables, strict=True)
                    if gradient is not None
                ]
            )
            return loss

        return step  # type: ignore[no-any-return]


def next_item_loss(logits: Tensor, targets: Tensor, is_target: Tensor, is_watched: Tensor) -> Tensor:
    """Mean over targets of -log of each one's share among itself and what its user has not watched; a scalar.

    Targets of one position do not compete with one another.

    Args:
        logits: [n_positions, n_candidates] float32.
        targets: [n_positions, n_next] columns of `logits`.
        is_target: [n_positions, n_next] float32, 0 where there is no such target.
        is_watched: [n_positions, n_candidates] bool.
    """
    others = tf.reduce_logsumexp(tf.where(is_watched, MASKED, logits), axis=1, keepdims=True)
    losses = tf.nn.softplus(others - tf.gather(logits, targets, batch_dims=1))
    return tf.reduce_sum(losses * is_target) / tf.maximum(tf.reduce_sum(is_target), 1.0)


class _SequenceLayers(keras.Model):  # type: ignore[misc]
    """The weights of both towers."""

    def __init__(self, features: FeatureTables, config: SequenceConfig) -> None:
        super().__init__(name="sequence")
        n_ids, size = len(features.history.items) + 1, config.embedding_size
        self.config = config
        self.item_encoder = ItemEncoder(features.items, n_ids=n_ids, embedding_size=size, name="item")
        self.candidate_encoder = (
            self.item_encoder
            if config.shares_items
            else ItemEncoder(features.items, n_ids=n_ids, embedding_size=size, name="candidate")
        )
        self.item_encoders = tuple(dict.fromkeys([self.item_encoder, self.candidate_encoder]))
        self.bias = self.add_weight(name="bias", shape=(n_ids, 1), initializer="zeros")
        self.start = self.add_weight(name="start", shape=(1, size), initializer="zeros")
        self.drop = keras.layers.Dropout(config.dropout)
        self.encoder = (
            AttentionEncoder(
                length=config.max_length,
                n_blocks=config.n_blocks,
                n_heads=config.n_heads,
                norm=config.norm,
                dropout=config.dropout,
                reads_time=config.time,
            )
            if config.encoder == "attention"
            else RecurrentEncoder(size, dropout=config.dropout, reads_time=config.time)
        )
        cold = features.users.content
        self.user_encoder = (
            FeatureEncoder(cold, embedding_size=size, name="user")
            if config.context and cold.take(np.zeros(0, np.int32))
            else None
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
        # Building every weight once, so that they can be saved, and filled with those that were.
        window = np.zeros((1, config.max_length), np.int32)
        self.newest(
            self.both(item_inputs(np.zeros(1, np.int32), features.items))[0],
            window,
            window.astype(np.int64),
            np.zeros(1, np.int64),
            cold.take(np.zeros(1, np.int32)),
        )
        self.built = True

    def set_request_times(self, timestamp_s: Times) -> None:
        shares = np.linspace(0, 1, _N_REQUEST_TIMES + 1)[1:-1]
        if self.config.time:
            self.request_time_edges.assign(np.quantile(timestamp_s, shares, method="higher").astype(np.int64))

    def both(self, items: ItemInputs) -> tuple[Tensor, Tensor]:
        """[n_items, size] what an item brings to a step, and [n_items, size + 1] the item as a candidate."""
        watched = self.item_encoder(items)
        candidates = watched if self.config.shares_items else self.candidate_encoder(items)
        bias = tf.gather(self.bias, items.ids)
        return watched * self.config.embedding_size**0.5, tf.concat([candidates, bias], axis=1)

    def newest(
        self, table: Tensor, items: Tensor, time_s: Tensor, request_s: Tensor, user_columns: Mapping[str, Tensor]
    ) -> Tensor:
        """[n, size + 1] queries of the last position, asked at `request_s` [n]; the rest as in `queries`."""
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
            table: [n_items, size]; row 0 of the unknown.
            items: [n, length] rows of `table`, 0 where padded.
            time_s: [n, length] int64, when each event was.
            request_s: [n, length] int64, when each position is asked.
            user_columns: of the cold columns, [n, ...].
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


def _window_ends(history: Interactions, config: SequenceConfig) -> tuple[Numbers, Positions]:
    """User and end, a place in `by_user.order`, of every window of an epoch: each event is predicted once."""
    starts = history.by_user.starts
    counts = np.diff(starts)
    n_windows = np.where(counts >= 2, np.minimum(-(-counts // config.max_length), config.max_windows), 0)
    n_windows[0] = 0
    users = np.repeat(np.arange(len(counts), dtype=np.int32), n_windows)
    turn = np.arange(len(users)) - np.repeat(np.cumsum(n_windows) - n_windows, n_windows)
    return users, starts[users + 1] - turn * config.max_length


def _batches(
    history: Interactions, now_s: int, config: SequenceConfig, draw: NegativeSampler, generator: np.random.Generator
) -> Iterator[_Batch]:
    """One epoch: every window once, in random order."""
    length, n_next = config.max_length, config.n_next
    users, ends = _window_ends(history, config)
    starts = history.by_user.starts
    order = generator.permutation(len(users))
    for begin in range(0, len(order), config.batch_windows):
        rows = order[begin : begin + config.batch_windows]
        of, past = users[rows], ends[rows]
        windows: HistoryWindows = windows_between(history, starts[of], past, length=length + 1)
        following = np.pad(windows.item_num[:, 1:], ((0, 0), (0, n_next - 1)))
        is_late = generator.random(len(rows)) < config.late_share
        predicts = np.flatnonzero(windows.item_num[:, 1:] > 0)
        positions = np.sort(generator.permutation(predicts)[: config.n_positions])
        labels = np.lib.stride_tricks.sliding_window_view(following, n_next, axis=1).reshape(-1, n_next)[positions]
        drawn = draw(labels[labels > 0], np.zeros(0, np.int32), generator)
        yield _Batch(
            item_num=windows.item_num[:, :-1],
            time_s=windows.time_s[:, :-1],
            request_s=np.where(is_late[:, None], now_s, windows.time_s[:, 1:]),
            users=of,
            positions=positions,
            candidates=drawn.item_num,
            log_q=drawn.log_q,
            targets=np.searchsorted(drawn.item_num, np.maximum(labels, drawn.item_num[0])),
            is_target=(labels > 0).astype(np.float32),
            is_watched=history.matrix[of][:, drawn.item_num].toarray() > 0,
        )


def _all_items(features: FeatureTables) -> ItemInputs:
    return item_inputs(np.arange(len(features.history.items) + 1, dtype=np.int32), features.items)
