"""Item2Vec: items of the same histories get like vectors; a user is the bag of their items, or has a vector."""

from collections.abc import Iterator
from typing import Literal

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from pydantic import Field
from threadpoolctl import threadpool_limits

from belfry.dataset import columns
from belfry.dataset.errors import DivergenceError, InputError
from belfry.dataset.features import FeatureTables
from belfry.dataset.history import history_bags
from belfry.dataset.interactions import Interactions, Positions
from belfry.dataset.vocabulary import UNKNOWN, ItemNums, Numbers, UserNums
from belfry.layers.config import ModelConfig
from belfry.retrieval.base import Embeddings
from belfry.retrieval.models.factors import ITEM_FACTORS, Arrays, FactorTowers, Progress

_START = 0.1  # spread of the vectors that training starts from
_DIVERGED = 1e4  # a component as large is no likeness of anything


class Item2VecConfig(ModelConfig):
    kind: Literal["item2vec"] = "item2vec"
    embedding_size: int = Field(64, ge=1, le=4096, description="dimensions of an item's vectors")
    users: Literal["bag", "vector"] = Field(
        "bag", description="a query: the mean of the user's items, or (user2vec) a vector trained for each user"
    )
    popularity: float = Field(
        0.5, ge=0, description="how much the logarithm of an item's share of the watches counts in its score"
    )
    window: int | None = Field(
        None, ge=1, description="neighbours are at most so many events apart; none: anywhere in the history"
    )
    half_life: float | None = Field(
        None, gt=0, description="items after which a watch counts half in a bag; none: all count alike"
    )
    subsample: float = Field(1.0, gt=0, description="share of all watches above which an item's are thinned out")
    n_negatives: int = Field(1, ge=1, description="how much drawn items weigh against a neighbour")
    power: float = Field(1.0, ge=0, description="negatives are drawn by popularity to this power")
    user_l2: float = Field(
        0.4, ge=0, description="penalty on the squares of a user's vector, for each of its pairs, under users=vector"
    )
    batch_size: int = Field(1024, ge=1, description="pairs in a step")
    n_candidates: int = Field(128, ge=1, description="negatives drawn for all the pairs of a step together")
    learning_rate: float = Field(0.1, gt=0, description="of Adagrad")
    epochs: int = Field(50, ge=1, description="passes over the watches, each paired with one neighbour in a pass")


class Item2Vec(FactorTowers[Item2VecConfig]):
    """score = mean over the user's items of how well they predict this one + popularity * log(share of the watches).

    Skip-gram with negative sampling, where a history is a sentence: each watch predicts one neighbour drawn from its
    window in each pass, so that a long history weighs by its length and not by its square. The pairs of a step share
    their negatives. What is learned says how much likelier than by its popularity an item is next to another; alone it
    would rank the rarest first, so popularity is added again. It rides in a last dimension that is 1 in every query:
    an empty history gets the most popular.

    Under users=vector (user2vec) a vector of the user predicts the same neighbours, beside the watch. The unknown,
    those who came after the fit and those who are asked for with a history of their own get the bag.

    Sources: Barkan and Koenigstein, Item2Vec, MLSP 2016; Grbovic et al., E-commerce in your inbox, KDD 2015 (prod2vec,
    user2vec); Mikolov et al., Distributed representations of words and phrases, NIPS 2013; Le and Mikolov, Distributed
    representations of sentences and documents, ICML 2014.
    """

    config_type = Item2VecConfig
    name = "item2vec"
    array_names = (ITEM_FACTORS, "item_vectors", "user_vectors", "known_users")

    def check(self, history: Interactions, features: FeatureTables) -> None:
        """Refuse histories without neighbours, and a window or a half-life without times.

        Raises:
            InputError: names the column, or what is missing.
        """
        if not (np.diff(history.by_user.starts)[1:] >= 2).any():
            raise InputError(
                "interactions: no user has two events, so item2vec has no neighbours to learn from; add data"
            )
        for name in ("window", "half_life"):
            if getattr(self.config, name) is not None and history.timestamp_s is None:
                raise InputError(
                    f"item2vec: {name} needs a column {columns.TIMESTAMP_S!r} in the interactions; set {name} to none"
                )

    def encode_queries(self, users: UserNums, features: FeatureTables) -> Embeddings:
        """[n_users, embedding_size + 1]; bags are of `features.history`."""
        history, vectors, user_vectors = features.history, self._arrays["item_vectors"], self._arrays["user_vectors"]
        bags = history_bags(history, users, half_life=self.config.half_life or 1, max_length=len(history))
        weights = bags.uniform if self.config.half_life is None else bags.recency
        total = np.bincount(bags.row, weights, minlength=len(users)).astype(np.float32)
        cells = (weights / total[bags.row], (bags.row, bags.item_num))
        queries = np.asarray(sp.csr_matrix(cells, shape=(len(users), len(vectors))) @ vectors)
        if len(user_vectors) and history.users.content_hash == self._arrays["known_users"]:
            is_trained = user_vectors[users].any(axis=1)
            queries[is_trained] = user_vectors[users[is_trained]]
        return np.concatenate([queries, np.ones((len(users), 1), np.float32)], axis=1)

    def _train(self, history: Interactions, *, seed: int, progress: Progress) -> Arrays:
        inputs, outputs = _skip_gram(history, self.config, seed=seed, progress=progress)
        counts = history.item_counts + 0.5  # an item that nobody has watched has a logarithm too
        popularity = self.config.popularity * np.log(counts / counts.sum()).astype(np.float32)
        popularity[UNKNOWN] = 0
        n_items = len(outputs)
        return {
            ITEM_FACTORS: np.column_stack([outputs, popularity]),
            "item_vectors": inputs[:n_items],
            "user_vectors": inputs[n_items:],  # [n_users + 1, embedding_size], or none
            "known_users": np.array(history.users.content_hash),
        }


def item_vectors(history: Interactions, config: Item2VecConfig, *, seed: int) -> Embeddings:
    """[n_items + 1, embedding_size] float32 vectors of items as what predicts, for other models to start from.

    Row 0, the unknown's, and those of items that nobody has watched are zero.
    """
    inputs, outputs = _skip_gram(history, config, seed=seed)
    return inputs[: len(outputs)]


def _skip_gram(
    history: Interactions, config: Item2VecConfig, *, seed: int, progress: Progress = lambda done, total: None
) -> tuple[Embeddings, Embeddings]:
    """Vectors of what predicts and of what is predicted, a row per item; zero for the unknown and the unwatched.

    Under users=vector those of users, [n_users + 1, embedding_size], stand behind those of items in the first.
    """
    generator = np.random.default_rng(seed)
    counts = np.bincount(history.item_num, minlength=len(history.items) + 1)
    counts[UNKNOWN] = 0
    is_met = counts > 0
    if config.users == "vector":
        is_met = np.append(is_met, np.bincount(history.user_num, minlength=len(history.users) + 1) > 0)
    start = generator.normal(0, _START, (len(is_met), config.embedding_size)).astype(np.float32)
    inputs = _Table(start * is_met[:, None], config.learning_rate)
    outputs = _Table(np.zeros((len(counts), config.embedding_size), np.float32), config.learning_rate)
    with threadpool_limits(1, "blas"):  # products are small, and sums keep their order
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
) -> Iterator[tuple[Numbers, Numbers, Numbers]]:
    """One epoch, as `_step` takes it: rows of what predicts, the items that they predict, negatives for all."""
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
    """Rows of `history`, and for each that of a neighbour: another of its user's, within the window.

    Watches of items that make up more than `subsample` of all are first thinned out, as words are.
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
    negatives: Numbers,
    config: Item2VecConfig,
) -> None:
    """Raise log sigmoid(centre . target) + n_negatives * mean over negatives of log sigmoid(-centre . negative).

    Where the centre is a user, user_l2 / 2 * |centre|^2 is taken off.

    Args:
        centres, targets: [n_pairs] rows of the two tables.
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
    """Vectors under Adagrad; a step touches no other rows than its own."""

    def __init__(self, values: Embeddings, learning_rate: float) -> None:
        self.values = values
        self._squares = np.full_like(values, 1e-6)
        self._learning_rate = np.float32(learning_rate)

    def ascend(self, rows: Numbers, slopes: Embeddings) -> None:
        """Follow `slopes` [n, dim], those of equal `rows` [n] added up."""
        touched, places = np.unique(rows, return_inverse=True)
        shape = (len(touched), len(rows))
        total = sp.csr_matrix((np.ones(len(rows), np.float32), (places, np.arange(len(rows)))), shape=shape) @ slopes
        self._squares[touched] += total**2
        self.values[touched] += self._learning_rate * total / np.sqrt(self._squares[touched])
