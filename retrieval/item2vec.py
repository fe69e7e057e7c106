"""item2vec: items of the same histories get like vectors; a user is the bag of their items, or has a vector too."""

import json
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal, Self

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from pydantic import BaseModel, ConfigDict, Field

from dataset.errors import DivergenceError, InputError
from dataset.features import FeatureTables
from dataset.history import history_bags
from dataset.interactions import Interactions, Positions
from dataset.vocabulary import UNKNOWN, Numbers
from retrieval.base import Embeddings, Towers


class Item2VecConfig(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: Literal["item2vec"] = "item2vec"
    embedding_size: int = Field(64, ge=1, le=4096, description="dimensions of an item's vectors")
    users: Literal["bag", "vector"] = Field(
        "bag", description="a query: the bag of the user's items, or (user2vec) a vector trained for each user"
    )
    candidate_side: Literal["output", "input"] = Field(
        "output", description="an item's vector as a candidate: that which its neighbours predict, or its own"
    )
    window: int | None = Field(
        None, ge=1, description="neighbours are at most so many events apart; none, or no times: the whole history"
    )
    half_life: float | None = Field(
        None, gt=0, description="items after which a watch counts half in a bag; none: all count alike"
    )
    subsample: float = Field(1e-3, gt=0, description="share of all watches above which an item's are thinned out")
    n_negatives: int = Field(5, ge=1, description="how much drawn items weigh against a neighbour")
    power: float = Field(0.75, ge=0, description="negatives are drawn by popularity to this power")
    start: float = Field(0.1, gt=0, description="spread of the vectors that training starts from")
    l2: float = Field(0.0, ge=0, description="penalty on the squares of the vectors of a step")
    batch_size: int = Field(1024, ge=1, description="pairs in a step")
    n_candidates: int = Field(512, ge=1, description="negatives drawn for all the pairs of a step together")
    learning_rate: float = Field(0.1, gt=0, description="of Adagrad")
    epochs: int = Field(50, ge=1, description="passes over the watches, each paired with one neighbour in a pass")


@dataclass(frozen=True)
class _Vectors:
    """What training gives; row 0 of each table is the unknown's and zero."""

    inputs: Embeddings  # [n_items + 1, dim] of items as what predicts
    outputs: Embeddings  # [n_items + 1, dim] of items as what is predicted
    users: Embeddings  # [n_users + 1, dim] of users as what predicts; [0, dim] where they have none


class Item2Vec:
    """score = dot product of the user, as a bag of what they watched or as a vector, with what is predicted next to it.

    Skip-gram with negative sampling, where a history is a sentence: each watch predicts one neighbour drawn from its
    window in each pass, so that a long history weighs by its length and not by its square. The pairs of a step share
    their negatives. Under users=vector (user2vec) a vector of the user predicts the same neighbour, beside the watch.
    Users are then known by their id; the unknown, those who came after the fit and those who are asked for with a
    history of their own get the bag. An empty history gives zeros.

    Sources: Barkan and Koenigstein, Item2Vec, MLSP 2016; Grbovic et al., E-commerce in your inbox, KDD 2015 (prod2vec,
    user2vec); Mikolov et al., Distributed representations of words and phrases, NIPS 2013; Le and Mikolov, Distributed
    representations of sentences and documents, ICML 2014.
    """

    epochs_trained = 0  # training runs to its end

    def __init__(self, config: Item2VecConfig | None = None) -> None:
        self.config = config or Item2VecConfig()
        self._fitted: tuple[_Vectors, str] | None = None  # and the hash of the vocabulary of users that it knows

    def check(self, history: Interactions, features: FeatureTables) -> None:
        """A history of one event has no neighbours.

        Raises:
            InputError: nobody has two events.
        """
        if not (np.diff(history.by_user.starts)[1:] >= 2).any():
            raise InputError(
                "interactions: no user has two events, so item2vec has no neighbours to learn from; add data"
            )

    def fit(
        self,
        history: Interactions,
        features: FeatureTables,
        *,
        seed: int,
        validate: Callable[[Towers], float] | None = None,
        epochs: int | None = None,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> Self:
        """Train from nothing and return itself; `features`, `validate` and `epochs` play no part.

        Raises:
            InputError: the data cannot be learned from, see `check`.
            DivergenceError: a vector is not finite.
        """
        self.check(history, features)
        self._fitted = _train(history, self.config, seed=seed, progress=progress), history.users.content_hash
        return self

    def encode_queries(self, users: Numbers, features: FeatureTables) -> Embeddings:
        """[n_users, dim]; bags are of `features.history`."""
        vectors, known_users = self._model()
        history, config = features.history, self.config
        bags = history_bags(history, users, half_life=config.half_life or 1, max_length=len(history))
        weights = bags.even if config.half_life is None else bags.recent
        shape = (len(users), len(vectors.inputs))
        queries = np.asarray(sp.csr_matrix((weights, (bags.row, bags.item_num)), shape=shape) @ vectors.inputs)
        if len(vectors.users) and history.users.content_hash == known_users:
            trained = vectors.users[users].any(axis=1)
            queries[trained] = vectors.users[users[trained]]
        return queries

    def encode_candidates(self, items: Numbers, features: FeatureTables) -> Embeddings:
        """[n_items, dim]."""
        vectors, _ = self._model()
        return (vectors.outputs if self.config.candidate_side == "output" else vectors.inputs)[items]

    def save(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        vectors, known_users = self._model()
        (directory / "config.json").write_text(self.config.model_dump_json(indent=2))
        (directory / "users.json").write_text(json.dumps({"vocabulary": known_users}))
        for name, table in vars(vectors).items():
            np.save(directory / f"{name}.npy", table)

    def export(self, directory: Path, features: FeatureTables) -> None:
        """What `save` writes is the serving form too."""
        self.save(directory)

    @classmethod
    def load(cls, directory: Path) -> Self:
        model = cls(Item2VecConfig.model_validate_json((directory / "config.json").read_bytes()))
        tables = {field.name: np.load(directory / f"{field.name}.npy", mmap_mode="r") for field in fields(_Vectors)}
        model._fitted = _Vectors(**tables), json.loads((directory / "users.json").read_bytes())["vocabulary"]
        return model

    def _model(self) -> tuple[_Vectors, str]:
        if self._fitted is None:
            raise InputError("item2vec: not fitted; call fit() or load() first")
        return self._fitted


def item_vectors(history: Interactions, config: Item2VecConfig, *, seed: int) -> Embeddings:
    """[n_items + 1, embedding_size] float32 vectors of items as what predicts, for other models to start from.

    Row 0, the unknown's, and those of items that nobody has watched are zero.
    """
    return _train(history, config, seed=seed).inputs


def _train(
    history: Interactions,
    config: Item2VecConfig,
    *,
    seed: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> _Vectors:
    """Adagrad on pairs; users' vectors stand behind those of items in one table of what predicts."""
    generator = np.random.default_rng(seed)
    n_items, dim = len(history.items) + 1, config.embedding_size
    counts = np.bincount(history.item_num, minlength=n_items).astype(np.float64)
    counts[UNKNOWN] = 0
    n_users = len(history.users) + 1 if config.users == "vector" else 0
    inputs = _Table(generator.normal(0, config.start, (n_items + n_users, dim)).astype(np.float32), config)
    outputs = _Table(np.zeros((n_items, dim), np.float32), config)
    drawn_share = counts**config.power * (counts > 0)
    edges = np.cumsum(drawn_share / drawn_share.sum())
    for epoch in range(1, config.epochs + 1):
        events, neighbours = _pairs(history, counts, config, generator)
        order = generator.permutation(len(events))
        for first in range(0, len(order), config.batch_size):
            rows = order[first : first + config.batch_size]
            centres, targets = history.item_num[events[rows]], history.item_num[neighbours[rows]]
            if n_users:
                centres = np.append(centres, n_items + history.user_num[events[rows]])
                targets = np.append(targets, targets)
            negatives = np.searchsorted(edges, generator.random(config.n_candidates), side="right")
            _step(inputs, outputs, centres, targets, negatives.astype(np.int32), config.n_negatives)
        if not np.isfinite(inputs.values).all():
            raise DivergenceError(f"item2vec: a vector is not finite after epoch {epoch}; lower its learning_rate")
        progress(epoch, config.epochs)
    is_known = np.append(counts > 0, np.bincount(history.user_num, minlength=n_users)[:n_users] > 0)
    inputs.values[~is_known] = 0
    return _Vectors(inputs.values[:n_items], outputs.values, inputs.values[n_items:])


def _pairs(
    history: Interactions, counts: npt.NDArray[np.float64], config: Item2VecConfig, generator: np.random.Generator
) -> tuple[Positions, Positions]:
    """Rows of `history`, and for each that of a neighbour: another of its user's, within the window.

    Watches of items that make up more than `subsample` of all are first thinned out, as words are.
    """
    share = counts / max(counts.sum(), 1)
    keep = np.sqrt(config.subsample / np.maximum(share, config.subsample))
    order = history.by_user.order
    order = order[(generator.random(len(order)) < keep[history.item_num[order]]) & (history.item_num[order] > 0)]
    n_kept = np.bincount(history.user_num[order], minlength=len(history.users) + 1)
    stops = np.repeat(np.cumsum(n_kept), n_kept)
    starts = stops - np.repeat(n_kept, n_kept)
    places = np.arange(len(order))
    if config.window is not None and history.timestamp_s is not None:
        starts, stops = np.maximum(starts, places - config.window), np.minimum(stops, places + config.window + 1)
    paired = stops - starts >= 2
    places, starts, stops = places[paired], starts[paired], stops[paired]
    neighbours = generator.integers(starts, stops - 1)
    neighbours += neighbours >= places
    return order[places], order[neighbours]


def _step(
    inputs: "_Table", outputs: "_Table", centres: Numbers, targets: Numbers, negatives: Numbers, n_negatives: int
) -> None:
    """Raise log sigmoid(centre . target) + n_negatives * mean over negatives of log sigmoid(-centre . negative).

    Args:
        centres, targets: [n_pairs] rows of the two tables.
        negatives: [n_candidates] rows of `outputs`, the same for all pairs.
    """
    centre, target, negative = inputs.values[centres], outputs.values[targets], outputs.values[negatives]
    missing = 1 - _sigmoid(np.einsum("ij,ij->i", centre, target))[:, None]  # [n_pairs, 1]
    excess = _sigmoid(centre @ negative.T) * np.float32(n_negatives / len(negatives))  # [n_pairs, n_candidates]
    inputs.ascend(centres, missing * target - excess @ negative)
    outputs.ascend(np.append(targets, negatives), np.concatenate([missing * centre, -excess.T @ centre]))


def _sigmoid(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return np.float32(0.5) + np.float32(0.5) * np.tanh(np.float32(0.5) * logits)


class _Table:
    """Vectors under Adagrad; a step touches no other rows than its own."""

    def __init__(self, values: Embeddings, config: Item2VecConfig) -> None:
        self.values = values
        self._squares = np.full_like(values, 1e-6)
        self._learning_rate, self._l2 = np.float32(config.learning_rate), np.float32(config.l2)

    def ascend(self, rows: Numbers, slopes: Embeddings) -> None:
        """Follow `slopes` [n, dim], those of equal `rows` [n] added up."""
        touched, places = np.unique(rows, return_inverse=True)
        shape = (len(touched), len(rows))
        total = sp.csr_matrix((np.ones(len(rows), np.float32), (places, np.arange(len(rows)))), shape=shape) @ slopes
        total -= self._l2 * self.values[touched]
        self._squares[touched] += total**2
        self.values[touched] += self._learning_rate * total / np.sqrt(self._squares[touched])
