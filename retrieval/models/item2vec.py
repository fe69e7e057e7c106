"""Item2Vec: items of the same histories get similar vectors; a user is the mean of their items, or has a vector."""

from collections.abc import Iterator
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
import scipy  # its parts load when they are used
from pydantic import Field

from belfry.dataset import columns
from belfry.dataset.arrays import Positions
from belfry.dataset.concurrency.blas import one_thread
from belfry.dataset.errors import DivergenceError, InputError
from belfry.dataset.features import FeatureTables
from belfry.dataset.history.bags import history_bags
from belfry.dataset.interactions import Interactions
from belfry.dataset.vocabulary import UNKNOWN, ItemNums, Numbers, UserNums
from belfry.layers.config import ModelConfig
from belfry.layers.model import Arrays, Progress
from belfry.layers.saved.array_check import ArrayForms, numbers, texts
from belfry.retrieval.base import Embeddings
from belfry.retrieval.models.factors import ITEM_FACTORS, FactorTowers

_INITIAL_SCALE = 0.1  # standard deviation of the initial vectors
_DIVERGED = 1e4  # largest component of a vector; training that works stays far below
_EPSILON = 1e-6  # initial sum of squares of Adagrad, so that the first step divides by something


class Item2VecConfig(ModelConfig):
    kind: Literal["item2vec"] = "item2vec"
    embedding_size: int = Field(64, ge=1, le=4096, description="dimensions of an item's vectors")
    users: Literal["bag", "vector"] = Field(
        "bag", description="a query: the mean of the user's items, or (user2vec) a vector trained for each user"
    )
    popularity: float = Field(0.5, ge=0, description="weight of log(item's share of the watches) in the score")
    window: int | None = Field(
        None, ge=1, description="most events between a watch and its neighbour; none: anywhere in the history"
    )
    half_life: float | None = Field(
        None,
        gt=0,
        description="items after which the weight of a watch in the mean is halved; none: all weigh the same",
    )
    subsample: float = Field(1.0, gt=0, description="items with a larger share of the watches are subsampled")
    n_negatives: int = Field(1, ge=1, description="weight of the negatives against a neighbour")
    power: float = Field(1.0, ge=0, description="negatives are sampled by popularity to this power")
    user_l2: float = Field(
        0.4, ge=0, description="penalty on the squares of a user's vector, per pair, under users=vector"
    )
    batch_size: int = Field(1024, ge=1, description="pairs in a step")
    n_candidates: int = Field(128, ge=1, description="negatives sampled for all pairs of a step together")
    learning_rate: float = Field(0.1, gt=0, description="of Adagrad")
    epochs: int = Field(50, ge=1, description="passes over the watches, each paired with one neighbour in a pass")


class Item2Vec(FactorTowers[Item2VecConfig]):
    """score(u, i) = (sum over j of w_uj v_j) . v'_i + popularity * log(share of i among the watches)

    v_j and v'_i are input and output vectors, w_uj the weights of the history's items, which sum to 1. Skip-gram with
    negative sampling, where a history is a sentence: in each epoch a watch predicts one neighbour of its window, so a
    history counts by its length and not by its square. The pairs of a step share their negatives. Skip-gram learns
    how much likelier than by its popularity an item is next to another; alone it would rank the rarest first, so
    popularity is added again. It is the last dimension of candidates, which is 1 in queries: an empty history gets the
    most popular items.

    Under users=vector (user2vec) a vector v_u predicts the same neighbours too, and replaces the sum. Users without one
    (unknown, or new since the fit) and session users keep the sum.

    Sources: Barkan and Koenigstein, Item2Vec, MLSP 2016; Grbovic et al., E-commerce in your inbox, KDD 2015 (prod2vec,
    user2vec); Mikolov et al., Distributed representations of words and phrases, NIPS 2013; Le and Mikolov, Distributed
    representations of sentences and documents, ICML 2014.
    """

    config_type = Item2VecConfig
    array_forms: ClassVar[ArrayForms] = {
        ITEM_FACTORS: numbers("n_items + 1", "dim"),
        "item_vectors": numbers("n_items + 1", "embedding_size"),
        "user_vectors": numbers("n_user_vectors", "embedding_size"),
        "known_users": texts(),
    }

    def check(self, history: Interactions, features: FeatureTables) -> None:
        """Refuse histories without neighbours, and a window or a half-life without order.

        Raises:
            InputError: names the column, or what is missing.
        """
        if not (np.diff(history.by_user.starts)[1:] >= 2).any():
            raise InputError(
                "interactions: no user has two events, so item2vec has no neighbours to learn from; add data"
            )
        for name in ("window", "half_life"):
            if getattr(self.config, name) is not None and not history.is_ordered:
                raise InputError(
                    f"item2vec: {name} needs a column {columns.TIMESTAMP_S!r} in the interactions, or their order "
                    f"(data.order); set {name} to none"
                )

    def encode_queries(self, users: UserNums, features: FeatureTables) -> Embeddings:
        """[n_users, embedding_size + 1]; histories are those of `features.history`."""
        history, vectors, user_vectors = features.history, self.learned["item_vectors"], self.learned["user_vectors"]
        bags = history_bags(history, users, half_life=self.config.half_life or 1, max_length=len(history))
        weights = bags.uniform if self.config.half_life is None else bags.recency
        total = np.bincount(bags.row, weights, minlength=len(users)).astype(np.float32)
        cells = (weights / total[bags.row], (bags.row, bags.item_num))
        queries = np.asarray(scipy.sparse.csr_matrix(cells, shape=(len(users), len(vectors))) @ vectors)
        if len(user_vectors) == len(history.users) + 1 and history.users.content_hash == self.learned["known_users"]:
            is_trained = user_vectors[users].any(axis=1)
            queries[is_trained] = user_vectors[users[is_trained]]
        return np.concatenate([queries, np.ones((len(users), 1), np.float32)], axis=1)

    def _train(self, history: Interactions, *, seed: int, progress: Progress) -> Arrays:
        inputs, outputs = _skip_gram(history, self.config, seed=seed, progress=progress)
        counts = history.item_counts + 0.5  # so that an unwatched item has a finite logarithm
        popularity = self.config.popularity * np.log(counts / counts.sum()).astype(np.float32)
        popularity[UNKNOWN] = 0
        n_items = len(outputs)
        return {
            ITEM_FACTORS: np.column_stack([outputs, popularity]),
            "item_vectors": inputs[:n_items],
            "user_vectors": inputs[n_items:],  # [n_users + 1, embedding_size], or none
            "known_users": np.array(history.users.content_hash),
        }


def _skip_gram(
    history: Interactions, config: Item2VecConfig, *, seed: int, progress: Progress
) -> tuple[Embeddings, Embeddings]:
    """Input and output vectors, one row per item; zero for the unknown and the unwatched.

    Under users=vector the first table goes on with the vectors of users, [n_users + 1, embedding_size].
    """
    generator = np.random.default_rng(seed)
    counts = np.bincount(history.item_num, minlength=len(history.items) + 1)
    counts[UNKNOWN] = 0
    has_events = counts > 0
    if config.users == "vector":
        has_events = np.append(has_events, np.bincount(history.user_num, minlength=len(history.users) + 1) > 0)
    start = generator.normal(0, _INITIAL_SCALE, (len(has_events), config.embedding_size)).astype(np.float32)
    inputs = _Table(start * has_events[:, None], config.learning_rate)
    outputs = _Table(np.zeros((len(counts), config.embedding_size), np.float32), config.learning_rate)
    with one_thread:  # products are small, and sums keep their order
        for epoch in range(1, config.epochs + 1):
            for step, batch in enumerate(_batches(history, counts, config, generator), 1):
                _step(inputs, outputs, *batch, config)
                largest = np.abs(inputs.values[batch[0]]).max()
                if not largest < _DIVERGED:
                    raise DivergenceError(
                        f"item2vec: 'item_vectors' reach {largest:.4g} in epoch {epoch}, step {step}; "
                        "lower its learning_rate"
                    )
            progress(epoch, config.epochs)
    return inputs.values, outputs.values


def _batches(
    history: Interactions, counts: Positions, config: Item2VecConfig, generator: np.random.Generator
) -> Iterator[tuple[Numbers, ItemNums, ItemNums]]:
    """One epoch of centres (rows of the input table), the items that they predict, and shared negatives."""
    events, neighbours = _pairs(history, counts, config, generator)
    order = generator.permutation(len(events))
    drawn_share = np.cumsum(counts**config.power * (counts > 0))
    for first in range(0, len(order), config.batch_size):
        rows = order[first : first + config.batch_size]
        centres, targets = history.item_num[events[rows]], history.item_num[neighbours[rows]]
        if config.users == "vector":
            centres = np.append(centres, len(counts) + history.user_num[events[rows]])
            targets = np.append(targets, targets)
        drawn = generator.random(config.n_candidates) * drawn_share[-1]
        yield centres, targets, np.searchsorted(drawn_share, drawn, side="right").astype(np.int32)


def _pairs(
    history: Interactions, counts: Positions, config: Item2VecConfig, generator: np.random.Generator
) -> tuple[Positions, Positions]:
    """Rows of `history`, and for each the row of a neighbour: another event of its user, within the window.

    Before that, a watch of an item of share s is kept with probability sqrt(subsample / max(s, subsample)).
    """
    keep = np.sqrt(config.subsample / np.maximum(counts / max(counts.sum(), 1), config.subsample))
    order = history.by_user.order
    item_num = history.item_num[order]
    order = order[(generator.random(len(order)) < keep[item_num]) & (item_num > 0)]
    n_kept = np.bincount(history.user_num[order], minlength=len(history.users) + 1)
    stops = np.repeat(np.cumsum(n_kept), n_kept)
    starts = stops - np.repeat(n_kept, n_kept)
    places = np.arange(len(order))
    if config.window is not None:
        starts, stops = np.maximum(starts, places - config.window), np.minimum(stops, places + config.window + 1)
    paired = stops - starts >= 2
    places, starts, stops = places[paired], starts[paired], stops[paired]
    neighbours = generator.integers(starts, stops - 1)
    neighbours += neighbours >= places
    return order[places], order[neighbours]


def _step(
    inputs: "_Table",
    outputs: "_Table",
    centres: Numbers,
    targets: ItemNums,
    negatives: ItemNums,
    config: Item2VecConfig,
) -> None:
    """One Adagrad step that raises, summed over pairs with centre v, target t and negatives n,

        log sigmoid(v . t) + n_negatives * mean over n of log sigmoid(-v . n) - user_l2 / 2 |v|^2 if v is a user's

    Args:
        centres, targets: [n_pairs] rows of the input and of the output table.
        negatives: [n_candidates] rows of `outputs`, the same for all pairs.
    """
    centre, target, negative = inputs.values[centres], outputs.values[targets], outputs.values[negatives]
    missing = _sigmoid(-(centre * target).sum(axis=1))[:, None]  # [n_pairs, 1]
    excess = _sigmoid(centre @ negative.T) * np.float32(config.n_negatives / len(negatives))  # [n_pairs, n_candidates]
    penalty = np.float32(config.user_l2) * (centres >= len(outputs.values))[:, None]  # users stand behind the items
    inputs.ascend(centres, missing * target - excess @ negative - penalty * centre)
    outputs.ascend(np.append(targets, negatives), np.concatenate([missing * centre, -excess.T @ centre]))


def _sigmoid(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * logits), np.float32)


class _Table:
    """Vectors trained by Adagrad; a step touches only its own rows."""

    def __init__(self, values: Embeddings, learning_rate: float) -> None:
        self.values = values
        self._squares = np.full_like(values, _EPSILON)
        self._learning_rate = np.float32(learning_rate)

    def ascend(self, rows: Numbers, gradients: Embeddings) -> None:
        """Follow `gradients` [n, dim], those of equal `rows` [n] added up."""
        touched, places = np.unique(rows, return_inverse=True)
        shape = (len(touched), len(rows))
        cells = (np.ones(len(rows), np.float32), (places, np.arange(len(rows))))
        total = scipy.sparse.csr_matrix(cells, shape=shape) @ gradients
        self._squares[touched] += total**2
        self.values[touched] += self._learning_rate * total / np.sqrt(self._squares[touched])
