"""The watch task: the two towers learn to predict a hidden part of each history from the rest."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from belfry.dataset.arrays import Positions
from belfry.dataset.features import FeatureTables
from belfry.dataset.interactions import Interactions
from belfry.dataset.vocabulary import ItemNums, Numbers
from belfry.layers.backend import Tensor, tf
from belfry.layers.batches import Cells, WatchBatches, WatchBlock
from belfry.layers.losses import MASKED, correct_for_sampling, keep_hardest, sampled_loss, softmax_over_candidates
from belfry.layers.negatives import NegativeSampler
from belfry.layers.steps.loop import Batch, Block, Nest, Stack
from belfry.layers.towers.config import TowersConfig
from belfry.layers.towers.item_encoder import ItemInputs
from belfry.layers.towers.network import TowerNetwork, is_cold, sum_bags
from belfry.layers.towers.ridge import FeatureMatrix

_DIVERGED = 10  # times the loss of equal scores, log(n_items); training that works stays below once that


class WatchTensors(NamedTuple):
    """Inputs of a step; only the items in `read` and `candidates` are encoded."""

    uniform: Tensor  # sparse [n_queries, n_read]
    recency: Tensor  # sparse [n_queries, n_read]
    read: ItemInputs
    candidates: ItemInputs
    is_cold: Tensor  # [n_queries, 1]
    user_columns: Mapping[str, Tensor]  # [n_queries, ...]
    age: Tensor  # [n_queries]
    target_weight: Tensor  # [n_queries, n_candidates] weights of targets, 0 for others
    negative_weight: Tensor  # [n_queries, n_candidates] weights of negatives, 0 for others
    log_weight: Tensor  # [n_queries, n_candidates] 0 at targets, else log of the negative's weight, `MASKED` for 0
    log_q: Tensor | None  # [n_candidates]; None where the candidates are not sampled


class WatchTraining:
    """Epochs over one history as blocks of steps, and what all steps share."""

    def __init__(self, history: Interactions, features: FeatureTables, config: TowersConfig) -> None:
        self.sampler = NegativeSampler(history, config.negatives, config.n_candidates, config.n_sampled)
        self._batches, self._features = WatchBatches(history, config, self.sampler), features
        self.n_steps = self._batches.n_steps  # of an epoch
        self.n_epochs = config.n_epochs(self.n_steps)
        self.evaluate_every = config.evaluate_every(self.n_epochs)
        is_bounded = config.objective == "softmax"
        self.loss_limit = _DIVERGED * float(np.log(len(history.items) + 1)) if is_bounded else np.inf
        self.n_watches = len(history)
        self._l2 = np.float32(config.l2 / len(history) ** 0.5)

    def shared(self) -> Nest:
        """What `watch_loss` reads beside a batch: the penalty, and the candidates where all steps have the same."""
        if not self.sampler.is_whole:
            return {"l2": self._l2}
        everything = self.sampler.everything
        stacks = self._item_stacks("candidates", everything, np.array([0, len(everything)]))
        return {"l2": self._l2, **{name: stack.values for name, stack in stacks.items()}}

    def blocks(self, generator: np.random.Generator, mined: ItemNums | None = None) -> Iterator[Block]:
        """One epoch; see `WatchBatches.epoch`."""
        return map(self._stacks, self._batches.epoch(generator, mined))

    def _stacks(self, block: WatchBlock) -> Block:
        """The inputs of the steps of a block."""
        bags, columns, n_steps = block.bags, self._features.users.content.inputs(block.users), block.n_steps
        first_query = np.searchsorted(block.step, np.arange(n_steps + 1))
        of_query = np.arange(len(block.users)) - first_query[block.step]  # its number in its step
        entry_step = block.step[bags.row]
        stride = len(self._features.history.items) + 1
        read, place = np.unique(entry_step * stride + bags.item_num, return_inverse=True)
        read_starts = np.searchsorted(read, np.arange(n_steps + 1) * stride)
        cells = np.stack([of_query[bags.row], place - read_starts[entry_step]], axis=1)

        def stack_of(cells: Cells) -> Stack:
            starts = np.searchsorted(block.step[cells.query], np.arange(n_steps + 1))
            places = np.stack([of_query[cells.query], cells.column], axis=1).astype(np.int32)
            return Stack(starts, (places, cells.weight))

        stacks = {
            "queries": Stack(first_query, (is_cold(bags, len(block.users)), block.age, columns)),
            "bags": Stack(np.searchsorted(entry_step, np.arange(n_steps + 1)), (cells, bags.uniform, bags.recency)),
            "targets": stack_of(block.targets),
            "special": stack_of(block.special),
            "watched": stack_of(block.watched),
            **self._item_stacks("read", (read % stride).astype(np.int32), read_starts),
        }
        if not self.sampler.is_whole:
            stacks |= self._item_stacks("candidates", block.candidates, block.candidate_starts)
            stacks["sampled"] = Stack(block.candidate_starts, (block.log_q, block.is_negative.astype(np.float32)))
        return stacks

    def _item_stacks(self, name: str, items: ItemNums, starts: Positions) -> dict[str, Stack]:
        return feature_stacks(name, items, starts, self._features.items.matrix)


def feature_stacks(name: str, numbers: Numbers, starts: Positions, table: FeatureMatrix) -> dict[str, Stack]:
    """Numbers, of items or of users, and their rows of `table`, for `encoder_inputs`; `starts` of each step."""
    rows = table[numbers] if table.shape[1] else sp.csr_matrix(np.zeros((len(numbers), 0), np.float32))
    row = np.arange(len(numbers)) - np.repeat(starts[:-1], np.diff(starts))  # its number in its step
    cells = np.stack([np.repeat(row, np.diff(rows.indptr)), rows.indices], axis=1).astype(np.int64)
    return {
        f"{name}/ids": Stack(starts, numbers),
        f"{name}/features": Stack(rows.indptr[starts].astype(np.int64), (cells, rows.data)),
    }


def encoder_inputs(name: str, batch: Batch, n_features: int) -> ItemInputs:
    """What `feature_stacks` put under `name`."""
    ids, (cells, values) = batch[f"{name}/ids"], batch[f"{name}/features"]
    return ItemInputs(ids, tf.SparseTensor(cells, values, tf.stack([tf.size(ids, tf.int64), n_features])))


def watch_tensors(batch: Batch, shared: Nest, n_features: int) -> WatchTensors:
    """The inputs of one step, from its rows of `WatchTraining.blocks`; `n_features` of an item."""
    cold, age, user_columns = batch["queries"]
    read, n_queries = encoder_inputs("read", batch, n_features), tf.shape(age)[0]
    is_whole = "sampled" not in batch
    candidates = encoder_inputs("candidates", shared if is_whole else batch, n_features)
    shape = tf.stack([n_queries, tf.size(candidates.ids)])
    cells, uniform, recency = batch["bags"]
    bags_shape = tf.cast(tf.stack([n_queries, tf.size(read.ids)]), tf.int64)
    log_q, is_negative = (None, tf.ones(shape[1:])) if is_whole else batch["sampled"]
    (targets, target_weight), (special, special_weight), (watched, no_weight) = (
        batch[name] for name in ("targets", "special", "watched")
    )
    set_cells = tf.tensor_scatter_nd_update
    negative_weight = set_cells(tf.broadcast_to(is_negative, shape), special, special_weight)
    log_weight = set_cells(tf.broadcast_to(_log(is_negative), shape), special, _log(special_weight))
    log_weight = set_cells(log_weight, watched, tf.fill(tf.shape(no_weight), MASKED))
    return WatchTensors(
        tf.SparseTensor(cells, uniform, bags_shape),
        tf.SparseTensor(cells, recency, bags_shape),
        read,
        candidates,
        cold,
        user_columns,
        age,
        set_cells(tf.zeros(shape), targets, target_weight),
        set_cells(negative_weight, watched, no_weight),
        set_cells(log_weight, targets, tf.zeros_like(target_weight)),
        log_q,
    )


def watch_loss(network: TowerNetwork, batch: Batch, shared: Nest) -> tuple[Tensor, Tensor]:
    """Two scalars: the mean loss over the targets of a step, and l2 / sqrt(n_watches) * |embeddings of the step|^2.

    Logits are (query . candidate) / temperature.
    """
    config, tensors = network.config, watch_tensors(batch, shared, network.n_item_features)
    tables = network.history_table(tensors.read)
    bags = sum_bags(tensors.uniform, tables[0])
    if network.reads_order:
        bags += sum_bags(tensors.recency, tables[1])
    queries = network.query(bags, tensors.is_cold, tensors.user_columns, tensors.age, training=True)
    candidates = network.candidates(tensors.candidates, training=True)
    logits = tf.matmul(queries, candidates, transpose_b=True) / config.temperature
    if config.objective == "softmax" and tensors.log_q is not None:
        logits = correct_for_sampling(logits, tensors.log_q)
    if config.objective == "softmax" and config.negatives != "hard":
        loss = softmax_over_candidates(logits + tensors.log_weight, tensors.target_weight)
    else:
        negative_weight = tensors.negative_weight
        if config.negatives == "hard":
            negative_weight = keep_hardest(logits, negative_weight, config.n_negatives)
        loss = sampled_loss(
            logits,
            tensors.target_weight,
            negative_weight,
            objective=config.objective,
            n_negatives=config.n_negatives,
            margin=config.margin,
        )
    squares = tf.add_n([tf.reduce_sum(part**2) for part in (*tables, candidates[:, :-1])])
    return loss, shared["l2"] * squares


def _log(weight: Tensor) -> Tensor:
    return tf.maximum(tf.math.log(weight), MASKED)
