"""SequenceTowers: a query tower that reads the newest events in order, by self-attention or a recurrent unit."""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from belfry.dataset.features import FeatureTables
from belfry.dataset.history.bags import history_windows
from belfry.dataset.interactions import Interactions
from belfry.dataset.vocabulary import ItemNums, UserNums
from belfry.layers.backend import Tensor, tf
from belfry.layers.export import export_onnx
from belfry.layers.losses import MASKED, correct_for_sampling
from belfry.layers.steps.loop import Batch, Nest, Trainer
from belfry.layers.towers.item_encoder import impute_new_items, item_inputs, shift
from belfry.layers.towers.network import TowerShapes, all_items
from belfry.layers.towers.start import item_start
from belfry.layers.towers.watch_task import encoder_inputs
from belfry.retrieval.base import Embeddings
from belfry.retrieval.config import SequenceConfig
from belfry.retrieval.models.neural.sequence_batches import SequenceBatches
from belfry.retrieval.models.neural.sequence_network import SequenceNetwork
from belfry.retrieval.neural_towers import NeuralTowers, TrainingPlan
from belfry.retrieval.new_items import Offsets
from belfry.retrieval.onnx_towers import QUERY_TOWER_FILE

_USERS_PER_BLOCK = 256
_DIVERGED = 10  # times the loss of equal scores, log(n_items)


class SequenceTowers(NeuralTowers[SequenceConfig, SequenceNetwork]):
    """query = [encoder(newest `max_length` events), 1]; candidate = [id + features, bias].

    Both towers share the embeddings of items. Every position of a window predicts the next event, against items that
    its user has not watched, because those are what lists rank: all of a small catalogue, else targets of the step and
    sampled ones. The query of an empty history comes from a learned start vector, and from user columns under
    `context`.
    """

    config_type = SequenceConfig

    def check(self, history: Interactions, features: FeatureTables) -> None:
        """Refuse a history without order, `time` without times, and a history in which no user has two events."""
        self.config.check(history)

    def encode_queries(self, users: UserNums, features: FeatureTables) -> Embeddings:
        """[n_users, embedding_size + 1] with request time `features.now_s`; the last dimension is 1."""
        table = self.learned.watched(all_items(features))
        blocks = [np.zeros((0, self.config.embedding_size + 1), np.float32)]
        for first in range(0, len(users), _USERS_PER_BLOCK):
            block = users[first : first + _USERS_PER_BLOCK]
            windows = history_windows(features.history, block, length=self.config.max_length)
            request_s = np.full(len(block), features.now_s)
            columns_of = features.users.content.inputs(block)
            blocks.append(self.learned.newest(table, windows.item_num, windows.time_s, request_s, columns_of).numpy())
        return np.concatenate(blocks)

    def encode_candidates(self, items: ItemNums, features: FeatureTables) -> Embeddings:
        """[n_items, embedding_size + 1]; the last dimension is the bias."""
        return np.asarray(self.learned.candidates(item_inputs(items, features.items)))

    def export(self, directory: Path, features: FeatureTables) -> None:
        """Write the query tower as an ONNX graph.

        Inputs, as far as the config reads them: `window` [n, max_length] int32 item numbers, padded with 0 in front;
        `window_s` [n, max_length] and `request_s` [n] int64 UTC seconds; the user columns under their `input_names`.
        Output: `query` [n, embedding_size + 1] float32.
        """
        # As NumPy, so that the graph holds it as a constant rather than asking for it.
        table = self.learned.watched(all_items(features)).numpy()
        shape = (1, self.config.max_length)
        reads_time, reads_columns = self.config.time, self.learned.user_encoder is not None
        example: dict[str, npt.NDArray[np.generic]] = {"window": np.zeros(shape, np.int32)}
        if self.config.time or self.config.context:
            example["window_s"] = np.zeros(shape, np.int64)
        if reads_time:
            example["request_s"] = np.zeros(1, np.int64)
        if reads_columns:
            example |= features.users.content.inputs(np.zeros(1, np.int32))

        def query(inputs: Mapping[str, Tensor]) -> Tensor:
            window = inputs["window"]
            window_s = inputs.get("window_s", tf.zeros_like(window, tf.int64))
            request_s = inputs.get("request_s", window_s[:, -1])
            return self.learned.newest(table, window, window_s, request_s, inputs)

        export_onnx(query, example, directory / QUERY_TOWER_FILE, output="query")

    def _make_network(self, features: FeatureTables) -> SequenceNetwork:
        return SequenceNetwork(TowerShapes.of(features), self.config)

    def _start(self, history: Interactions, generator: np.random.Generator) -> None:
        if self.config.item_start == "svd":
            seed = int(generator.integers(1 << 31))
            self.learned.item_encoder.start_from(item_start(history, self.config.embedding_size, seed=seed))

    def _of_items(self) -> Sequence[Tensor]:
        return [self.learned.item_encoder.ids, self.learned.bias]

    def _plan(self, history: Interactions, features: FeatureTables, generator: np.random.Generator) -> TrainingPlan:
        config, network = self.config, self.learned
        if history.timestamp_s is not None:
            network.set_request_times(history.timestamp_s)
        batches = SequenceBatches(history, features, config)
        network.item_encoder.hide_ids(batches.sampler.has_events)
        max_epochs = config.n_epochs(batches.n_steps)
        trainer = _trainer(TowerShapes.of(features), config, batches.sampler.is_whole)
        n_steps = batches.n_steps * max_epochs
        trainer.start(network, rate=config.learning_rate, n_steps=n_steps, shared=batches.shared())

        def run_epoch() -> Iterator[float]:
            for block in batches.blocks(generator):
                yield from trainer.run(block, seed=int(generator.integers(1 << 31)))
            trainer.copy_to(network)

        return TrainingPlan(
            run_epoch=run_epoch,
            n_epochs=max_epochs,
            evaluate_every=config.evaluate_every(max_epochs),
            patience=config.patience,
            loss_limit=_DIVERGED * float(np.log(len(history.items) + 1)),
            evaluate_start=config.item_start != "random",
            release=trainer.release,
        )

    def shift_new_items(self, offsets: Offsets) -> None:
        shift(self.learned.bias, offsets)

    def _impute_new_items(self, features: FeatureTables) -> None:
        impute_new_items([self.learned.item_encoder], self.learned.bias, features)


@lru_cache(maxsize=1)
def _trainer(shapes: TowerShapes, config: SequenceConfig, is_whole: bool) -> Trainer:
    """Compiled once for all folds; `is_whole`: the candidates of a step are the whole catalogue."""
    return Trainer(SequenceNetwork(shapes, config), sequence_loss)


def sequence_loss(network: SequenceNetwork, batch: Batch, shared: Nest) -> tuple[Tensor, Tensor]:
    """Mean -log(e^s_t / (e^s_t + sum over unwatched candidates n of e^s_n)) over the predicted events, their item t.

    Twice: it is the loss and the objective. Logits s of sampled candidates are corrected by `log_q`.
    """
    config, n_features = network.config, network.n_item_features
    is_whole = "log_q" not in batch
    table = network.watched(encoder_inputs("read", batch, n_features))
    candidates = network.candidates(encoder_inputs("candidates", shared if is_whole else batch, n_features))
    # The recurrent unit is written out step by step, so that its windows have one length.
    length = config.max_length if config.encoder == "recurrent" else batch["length"][0]
    items, time_s, request_s = (
        tf.reshape(values, tf.stack([-1, length])) for values in (batch["places"], *batch["times"])
    )
    steps = network.queries(table, items, time_s, request_s, batch["columns"], training=True)
    positions, targets = batch["predicted"]
    queries = tf.gather(tf.reshape(steps, [-1, config.embedding_size + 1]), positions)
    logits = tf.matmul(queries, candidates, transpose_b=True)
    if not is_whole:
        logits = correct_for_sampling(logits, batch["log_q"])
    n_windows = tf.shape(items)[0]
    cells = batch["watched"]
    watched = tf.scatter_nd(cells, tf.fill(tf.shape(cells)[:1], MASKED), tf.stack([n_windows, tf.shape(logits)[1]]))
    negatives = logits + tf.gather(watched, positions // length)
    target = tf.gather(logits, targets, batch_dims=1)
    loss = tf.reduce_mean(tf.nn.softplus(tf.reduce_logsumexp(negatives, axis=1) - target))
    return loss, loss
