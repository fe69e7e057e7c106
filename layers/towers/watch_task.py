"""The watch task: the two towers learn to predict a hidden part of each history from the rest."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from belfry.dataset.errors import InputError
from belfry.dataset.features import FeatureTables
from belfry.dataset.interactions import Interactions
from belfry.dataset.vocabulary import ItemNums
from belfry.layers.backend import Tensor, tf
from belfry.layers.batches import RetrievalBatch, retrieval_batches
from belfry.layers.losses import correct_for_sampling, keep_hardest, sampled_loss
from belfry.layers.negatives import NegativeSampler
from belfry.layers.towers.config import TowersConfig
from belfry.layers.towers.item_encoder import ItemInputs, item_inputs
from belfry.layers.towers.network import TowerNetwork, bag_matrices, is_cold, sum_bags

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
    log_q: Tensor  # [n_candidates]
    target_weight: Tensor  # [n_queries, n_candidates]
    negative_weight: Tensor  # [n_queries, n_candidates]


def check_watches(history: Interactions) -> None:
    """A history of one event cannot predict anything.

    Raises:
        InputError: no user has two.
    """
    if not (np.diff(history.by_user.starts)[1:] >= 2).any():
        raise InputError("interactions: no user has two events, so no history can predict anything; add data")


class WatchTraining:
    """Epochs over one history, and the loss of a step."""

    def __init__(self, history: Interactions, config: TowersConfig) -> None:
        self.config, self.sampler = config, NegativeSampler(history, config.negatives, config.n_candidates)
        n_users = int((np.diff(history.by_user.starts)[1:] >= 2).sum())
        self.n_steps = -(-n_users // config.batch_users)  # of an epoch
        self.n_epochs = config.n_epochs(self.n_steps)
        self.evaluate_every = config.evaluate_every(self.n_epochs)
        is_bounded = config.objective == "softmax"
        self.loss_limit = _DIVERGED * float(np.log(len(history.items) + 1)) if is_bounded else np.inf
        self.n_watches = len(history)
        self._history, self._l2 = history, config.l2 / len(history) ** 0.5

    def batches(self, generator: np.random.Generator, mined: ItemNums | None = None) -> Iterator[RetrievalBatch]:
        """One epoch; see `retrieval_batches`."""
        return retrieval_batches(self._history, self.config, self.sampler, generator, mined)

    def loss(self, network: TowerNetwork, tensors: WatchTensors) -> tuple[Tensor, Tensor]:
        """Two scalars: the mean loss over the targets of a step, and l2 / sqrt(n_watches) * |embeddings of the step|^2.

        Logits are (query . candidate) / temperature.
        """
        config = self.config
        tables = network.history_table(tensors.read)
        bags = sum_bags(tensors.uniform, tables[0]) + sum_bags(tensors.recency, tables[1])
        queries = network.query(bags, tensors.is_cold, tensors.user_columns, tensors.age, training=True)
        candidates = network.candidates(tensors.candidates, training=True)
        logits = tf.matmul(queries, candidates, transpose_b=True) / config.temperature
        negative_weight = tensors.negative_weight
        if config.objective == "softmax":
            logits = correct_for_sampling(logits, tensors.log_q)
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
        return loss, self._l2 * squares


def watch_tensors(batch: RetrievalBatch, features: FeatureTables) -> WatchTensors:
    """The inputs of a step on `batch`."""
    read = np.unique(batch.bags.item_num)
    places = np.searchsorted(read, batch.bags.item_num).astype(np.int32)
    uniform, recency = bag_matrices(batch.bags, len(batch.users), places, len(read))
    dense = (
        is_cold(batch.bags, len(batch.users)),
        features.users.content.take(batch.users),
        batch.age,
        batch.log_q,
        batch.target_weight,
        batch.negative_weight,
    )
    return WatchTensors(
        uniform,
        recency,
        item_inputs(read, features.items),
        item_inputs(batch.candidates, features.items),
        *tf.nest.map_structure(tf.constant, dense),
    )
