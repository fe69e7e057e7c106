"""SequenceTowers: a query tower that reads the newest events in order, by self-attention or a recurrent unit."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from belfry.dataset import columns
from belfry.dataset.errors import InputError
from belfry.dataset.features import FeatureTables
from belfry.dataset.history import HistoryWindows, history_windows, windows_between
from belfry.dataset.interactions import Interactions, Positions, Times
from belfry.dataset.vocabulary import ItemNums, UserNums
from belfry.layers.backend import Tensor, keras, tf
from belfry.layers.export import export_onnx
from belfry.layers.losses import MASKED, correct_for_sampling
from belfry.layers.negatives import NegativeSampler
from belfry.layers.towers.item_encoder import ItemInputs, impute_cold_items, item_inputs
from belfry.layers.towers.network import all_items
from belfry.layers.training import make_step
from belfry.retrieval.base import Embeddings
from belfry.retrieval.config import SequenceConfig
from belfry.retrieval.models.neural.sequence_network import SequenceNetwork
from belfry.retrieval.neural_towers import NeuralTowers, TrainingPlan
from belfry.retrieval.onnx_towers import QUERY_TOWER_FILE

_USERS_PER_BLOCK = 256
_DIVERGED = 10  # times the loss of equal scores, log(n_items)


class _Batch(NamedTuple):
    """One step of training; `positions` index the flattened windows, [n_windows * length]."""

    item_num: ItemNums  # [n_windows, length]
    time_s: Times  # [n_windows, length]
    request_s: Times  # [n_windows, length] request time of each position
    users: UserNums  # [n_windows]
    positions: Positions  # [n_positions] which predict their next events
    candidates: ItemNums  # [n_candidates]
    log_q: npt.NDArray[np.float32]  # [n_candidates]
    targets: Positions  # [n_positions, n_next] places in `candidates`
    is_target: npt.NDArray[np.float32]  # [n_positions, n_next] 0 after the end of the history
    is_watched: npt.NDArray[np.bool_]  # [n_windows, n_candidates]


class SequenceTowers(NeuralTowers[SequenceConfig, SequenceNetwork]):
    """query = [encoder(newest `max_length` events), 1]; candidate = [id + features, bias].

    Every position of a window predicts the next `n_next` events, against all items that its user has not watched,
    because those are what lists rank. The query of an empty history comes from a learned start vector, and from user
    columns under `context`.
    """

    config_type = SequenceConfig

    def check(self, history: Interactions, features: FeatureTables) -> None:
        """Refuse a history without order, `time` without times, and a history in which no user has two events."""
        if not history.is_ordered:
            raise InputError(
                f"interactions: no column {columns.TIMESTAMP_S!r}, which the order of events is read from; add it, say "
                "data.order=rows, or choose a retrieval system other than kind=sequence"
            )
        if self.config.time and history.timestamp_s is None:
            raise InputError(
                f"sequence: time needs a column {columns.TIMESTAMP_S!r} in the interactions; set time to false"
            )
        if not (np.diff(history.by_user.starts)[1:] >= 2).any():
            raise InputError("interactions: no user has two events, so there is no next event to learn from; add data")

    def encode_queries(self, users: UserNums, features: FeatureTables) -> Embeddings:
        """[n_users, embedding_size + 1] with request time `features.now_s`; the last dimension is 1."""
        table = self.learned.both(all_items(features))[0]
        blocks = [np.zeros((0, self.config.embedding_size + 1), np.float32)]
        for first in range(0, len(users), _USERS_PER_BLOCK):
            block = users[first : first + _USERS_PER_BLOCK]
            windows = history_windows(features.history, block, length=self.config.max_length)
            request_s = np.full(len(block), features.now_s)
            columns_of = features.users.content.take(block)
            blocks.append(self.learned.newest(table, windows.item_num, windows.time_s, request_s, columns_of).numpy())
        return np.concatenate(blocks)

    def encode_candidates(self, items: ItemNums, features: FeatureTables) -> Embeddings:
        """[n_items, embedding_size + 1]; the last dimension is the bias."""
        return np.asarray(self.learned.both(item_inputs(items, features.items))[1])

    def export(self, directory: Path, features: FeatureTables) -> None:
        """Write the query tower as an ONNX graph.

        Inputs, as far as the config reads them: `window` [n, max_length] int32 item numbers, padded with 0 in front;
        `window_s` [n, max_length] and `request_s` [n] int64 UTC seconds; the user columns under their names. Output:
        `query` [n, embedding_size + 1] float32.
        """
        # As NumPy, so that the graph holds it as a constant rather than asking for it.
        table = self.learned.both(all_items(features))[0].numpy()
        shape = (1, self.config.max_length)
        reads_time, reads_columns = self.config.time, self.learned.user_encoder is not None
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
            return self.learned.newest(table, window, window_s, request_s, inputs)

        export_onnx(query, example, directory / QUERY_TOWER_FILE, output="query")

    def _make_network(self, features: FeatureTables) -> SequenceNetwork:
        return SequenceNetwork(features, self.config)

    def _plan(self, history: Interactions, features: FeatureTables, generator: np.random.Generator) -> TrainingPlan:
        config = self.config
        if history.timestamp_s is not None:
            self.learned.set_request_times(history.timestamp_s)
        n_steps = -(-len(_window_ends(history, config)[0]) // config.batch_windows)
        max_epochs = config.n_epochs(n_steps)
        schedule = keras.optimizers.schedules.CosineDecay(config.learning_rate, n_steps * max_epochs)
        step = make_step(self.learned, keras.optimizers.Adam(schedule), self._losses)
        sampler = NegativeSampler(history, "all", config.n_candidates)
        for encoder in self.learned.item_encoders:
            encoder.hide_ids(sampler.has_events)
        return TrainingPlan(
            run_epoch=lambda: (
                step(*self._tensors(batch, features))
                for batch in _batches(history, features.now_s, config, sampler, generator)
            ),
            n_epochs=max_epochs,
            evaluate_every=config.evaluate_every(max_epochs),
            patience=config.patience,
            loss_limit=_DIVERGED * float(np.log(len(history.items) + 1)),
        )

    def _impute_cold_items(self, features: FeatureTables) -> None:
        impute_cold_items(
            self.learned.item_encoders, self.learned.bias, features, optimism=self.config.new_item_optimism
        )

    def _tensors(self, batch: _Batch, features: FeatureTables) -> tuple[Tensor, ...]:
        """The inputs of a step; only the items that it touches are encoded, and the batch says where they stand."""
        touched = np.union1d(np.append(batch.item_num, 0), batch.candidates)
        placed = batch._replace(
            item_num=np.searchsorted(touched, batch.item_num).astype(np.int32),
            candidates=np.searchsorted(touched, batch.candidates).astype(np.int32),
        )
        dense = features.users.content.take(batch.users), placed
        return item_inputs(touched, features.items), *tf.nest.map_structure(tf.constant, dense)

    def _losses(self, touched: ItemInputs, user_columns: Mapping[str, Tensor], batch: _Batch) -> tuple[Tensor, Tensor]:
        """The loss of a step, and the same with the penalty; the arguments are those that `_tensors` gives."""
        network, config = self.learned, self.config
        watched, candidates = network.both(touched)
        steps = network.queries(watched, batch.item_num, batch.time_s, batch.request_s, user_columns, training=True)
        queries = tf.gather(tf.reshape(steps, [-1, steps.shape[-1]]), batch.positions)
        candidates = tf.gather(candidates, batch.candidates)
        logits = correct_for_sampling(tf.matmul(queries, candidates, transpose_b=True), batch.log_q)
        is_watched = tf.gather(batch.is_watched, batch.positions // config.max_length)
        loss = next_item_loss(logits, batch.targets, batch.is_target, is_watched)
        return loss, loss + config.l2 * tf.reduce_sum(candidates**2)


def next_item_loss(logits: Tensor, targets: Tensor, is_target: Tensor, is_watched: Tensor) -> Tensor:
    """Mean over targets t of -log(e^s_t / (e^s_t + sum over unwatched candidates n of e^s_n)); a scalar.

    So the targets of one position do not compete with one another.

    Args:
        logits: [n_positions, n_candidates] float32.
        targets: [n_positions, n_next] columns of `logits`.
        is_target: [n_positions, n_next] float32, 0 where there is no target.
        is_watched: [n_positions, n_candidates] bool.
    """
    negatives = tf.reduce_logsumexp(tf.where(is_watched, MASKED, logits), axis=1, keepdims=True)
    losses = tf.nn.softplus(negatives - tf.gather(logits, targets, batch_dims=1))
    return tf.reduce_sum(losses * is_target) / tf.maximum(tf.reduce_sum(is_target), 1.0)


def _window_ends(history: Interactions, config: SequenceConfig) -> tuple[UserNums, Positions]:
    """User and end (a position in `by_user.order`) of each window of an epoch, which predicts every event once."""
    starts = history.by_user.starts
    counts = np.diff(starts)
    n_windows = np.where(counts >= 2, np.minimum(-(-counts // config.max_length), config.max_windows), 0)
    n_windows[0] = 0
    users = np.repeat(np.arange(len(counts), dtype=np.int32), n_windows)
    turn = np.arange(len(users)) - np.repeat(np.cumsum(n_windows) - n_windows, n_windows)
    return users, starts[users + 1] - turn * config.max_length


def _batches(
    history: Interactions, now_s: int, config: SequenceConfig, sampler: NegativeSampler, generator: np.random.Generator
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
        sampled = sampler(labels[labels > 0], np.zeros(0, np.int32), generator)
        yield _Batch(
            item_num=windows.item_num[:, :-1],
            time_s=windows.time_s[:, :-1],
            request_s=np.where(is_late[:, None], now_s, windows.time_s[:, 1:]),
            users=of,
            positions=positions,
            candidates=sampled.item_num,
            log_q=sampled.log_q,
            targets=np.searchsorted(sampled.item_num, np.maximum(labels, sampled.item_num[0])),
            is_target=(labels > 0).astype(np.float32),
            is_watched=history.matrix[of][:, sampled.item_num].toarray() > 0,
        )
