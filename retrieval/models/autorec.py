"""AutoRec by item: an autoencoder of the columns of the user-item table, through few hidden units."""

from dataclasses import dataclass
from typing import ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
import scipy  # its parts load when they are used
from pydantic import Field

from belfry.dataset import columns
from belfry.dataset.arrays import blocks
from belfry.dataset.concurrency.blas import one_thread
from belfry.dataset.errors import DivergenceError, InputError
from belfry.dataset.features import FeatureTables
from belfry.dataset.interactions import Interactions
from belfry.dataset.vocabulary import UserNums
from belfry.layers.config import ModelConfig
from belfry.layers.model import Arrays, Progress
from belfry.layers.saved.array_check import ArrayForms, numbers
from belfry.retrieval.base import Embeddings
from belfry.retrieval.models.factors import ITEM_FACTORS, FactorTowers

_INITIAL_SCALE = 0.1  # standard deviation of the initial weights


class AutoRecConfig(ModelConfig):
    kind: Literal["autorec"] = "autorec"
    reads: Literal["watches", "ratings"] = Field(
        "watches", description="every cell, 1 if watched and else 0, for lists; or the cells with a rating, for ratings"
    )
    embedding_size: int = Field(200, ge=1, le=4096, description="hidden units")
    l2: float = Field(50.0, gt=0, description="penalty on the squares of the weights on both sides")
    epochs: int = Field(100, ge=1, description="steps of L-BFGS, each over the whole table, at most")
    max_cells: int = Field(
        100_000_000, ge=1, description="a larger table, users times items, is refused: each step reads all of it"
    )


class AutoRec(FactorTowers[AutoRecConfig]):
    """score(u, i) = d_u . h_i + b_u with h_i = sigmoid(E^T x_i + offset), x_i being the column of item i.

    Training minimises half of the squared errors of the cells that count, plus l2 / 2 (|E|^2 + |D|^2), where row u of D
    is [d_u, b_u]. Given the h_i, that row is a ridge regression of the user's history on [h_i, 1]; it is solved for at
    request time, so fresh watches (fresh ratings under reads=ratings) count at once. The h_i stay as they were at the
    fit. An empty history gets the mean row.

    Under reads=ratings, scores are ratings less the mean rating: good for predicting ratings, poor for lists, because
    they do not know what a user would watch.

    Source: Sedhain, Menon, Sanner and Xie, AutoRec: Autoencoders meet collaborative filtering, WWW 2015. There missing
    ratings are zeros in the input; here they are means.
    """

    config_type = AutoRecConfig
    array_forms: ClassVar[ArrayForms] = {
        ITEM_FACTORS: numbers("n_items + 1", "dim"),
        "mean_row": numbers("dim"),
        "mean_rating": numbers(),
    }

    def check(self, history: Interactions, features: FeatureTables) -> None:
        """Refuse a history without ratings under reads=ratings, and a table above the limit.

        Raises:
            InputError: names the column or the limit.
        """
        if self.config.reads == "ratings" and (history.rating is None or np.isnan(history.rating).all()):
            raise InputError(
                f"interactions: no {columns.RATING!r} column with a value in it, which autorec learns from under "
                "reads=ratings; add it, or set reads to watches"
            )
        n_users, n_items, max_cells = len(history.users), len(history.items), self.config.max_cells
        if n_users * n_items > max_cells:
            raise InputError(
                f"autorec: a table of {n_users:,} users and {n_items:,} items is above autorec's "
                f"max_cells={max_cells:,}, and each step of training reads all of it; leave this source out, or raise "
                "max_cells and wait"
            )

    def _train(self, history: Interactions, *, seed: int, progress: Progress) -> Arrays:
        """On one thread: with more, sums come in another order and equal seeds give other weights."""
        from scipy.optimize import fmin_l_bfgs_b

        config, size = self.config, self.config.embedding_size
        mean = 0.0
        if config.reads == "ratings" and history.rating is not None:
            mean = float(np.nanmean(history.rating, dtype=np.float64))
        table = _Table.of(_values(history, config.reads, mean), is_whole=config.reads == "watches")
        n_done = 0

        def loss_and_gradient(flat: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
            return _loss_and_gradient(_Weights.unflatten(flat, size), table, config.l2)

        def count(flat: npt.NDArray[np.float64]) -> None:
            nonlocal n_done
            n_done += 1
            progress(n_done, config.epochs)

        with one_thread:
            start = _Weights.random(len(history.users), size, np.random.default_rng(seed)).flatten()
            flat, loss, _ = fmin_l_bfgs_b(loss_and_gradient, start, maxiter=config.epochs, callback=count)
            weights = _Weights.unflatten(flat, size)
            if not np.isfinite(loss):
                raise DivergenceError(f"autorec: loss is {loss} after {n_done} steps of L-BFGS; raise its l2")
            units = np.pad(weights.units(table), [(1, 0), (0, 0)])  # zeros for the unknown item
        mean_row = weights.rows.mean(axis=0, dtype=np.float64).astype(np.float32)
        return {ITEM_FACTORS: units, "mean_row": mean_row, "mean_rating": np.array(mean)}

    def encode_queries(self, users: UserNums, features: FeatureTables) -> Embeddings:
        """[n_users, embedding_size + 1] rows [d_u, b_u], solved for from `features.history`."""
        units = self.learned[ITEM_FACTORS]
        penalty = self.config.l2 * np.eye(units.shape[1], dtype=np.float32)
        values = _values(features.history, self.config.reads, self.mean_rating)[users]
        queries = np.tile(self.learned["mean_row"], (len(users), 1))
        known = np.flatnonzero(np.diff(values.indptr))
        if self.config.reads == "watches":  # the cells that count are the same for all users
            queries[known] = np.linalg.solve(units.T @ units + penalty, (values[known] @ units).T).T
            return queries
        for row in known:
            entries = slice(*values.indptr[row : row + 2])
            rated = units[values.indices[entries]]
            queries[row] = np.linalg.solve(rated.T @ rated + penalty, rated.T @ values.data[entries])
        return queries

    @property
    def mean_rating(self) -> float:
        """Under reads=ratings, what must be added to scores to make them ratings; else 0."""
        return float(self.learned["mean_rating"])


def _values(history: Interactions, reads: str, mean: float) -> "scipy.sparse.csr_matrix[np.float32]":
    """[n_users + 1, n_items + 1] the cells: 1 for a watch; or the rating less `mean`, the last of a repeated pair."""
    if reads == "watches":
        return history.matrix
    shape = history.matrix.shape
    if history.rating is None:
        return scipy.sparse.csr_matrix(np.zeros(shape, np.float32))
    rows = history.rated_rows
    ratings = history.rating[rows] - np.float32(mean)
    pairs = (history.user_num[rows], history.item_num[rows])
    return scipy.sparse.csr_matrix((ratings, pairs), shape=shape)  # zeros stay stored


@dataclass(frozen=True)
class _Table:
    """The table to reconstruct, without the row and column of the unknown."""

    by_user: "scipy.sparse.csr_matrix[np.float32]"  # [n_users, n_items]
    by_item: "scipy.sparse.csr_matrix[np.float32]"  # [n_items, n_users]
    is_whole: bool  # every cell counts, else only those that are stored

    @classmethod
    def of(cls, values: "scipy.sparse.csr_matrix[np.float32]", *, is_whole: bool) -> Self:
        by_user = scipy.sparse.csr_matrix(values[1:, 1:])
        return cls(by_user, scipy.sparse.csr_matrix(by_user.T), is_whole)

    def errors(self, units: Embeddings, rows: Embeddings, items: slice) -> Embeddings:
        """[n_items, n_users] prediction less value for some items, 0 where a cell does not count."""
        errors = units[items] @ rows.T
        part = self.by_item[items]
        item = np.repeat(np.arange(part.shape[0]), np.diff(part.indptr))
        differences = errors[item, part.indices] - part.data
        if not self.is_whole:
            errors = np.zeros_like(errors)
        errors[item, part.indices] = differences
        return errors


@dataclass(frozen=True)
class _Weights:
    encoder: Embeddings  # E, [n_users, size]
    offset: npt.NDArray[np.float32]  # [size]
    rows: Embeddings  # D, [n_users, size + 1], each user's bias last

    @classmethod
    def random(cls, n_users: int, size: int, generator: np.random.Generator) -> Self:
        encoder, rows = (generator.normal(0, _INITIAL_SCALE, (n_users, width)) for width in (size, size + 1))
        return cls(encoder.astype(np.float32), np.zeros(size, np.float32), rows.astype(np.float32))

    @classmethod
    def unflatten(cls, flat: npt.NDArray[np.float64], size: int) -> Self:
        n_users = (len(flat) - size) // (2 * size + 1)
        encoder, offset, rows = np.split(flat.astype(np.float32), [n_users * size, (n_users + 1) * size])
        return cls(encoder.reshape(n_users, size), offset, rows.reshape(n_users, size + 1))

    def flatten(self) -> npt.NDArray[np.float64]:
        return np.concatenate([self.encoder.ravel(), self.offset, self.rows.ravel()]).astype(np.float64)

    def units(self, table: _Table) -> Embeddings:
        """[n_items, size + 1] the hidden units of every item, and 1."""
        sigmoids = (1 + np.tanh((table.by_item @ self.encoder + self.offset) / 2)) / 2  # exp would overflow
        return np.concatenate([sigmoids, np.ones((len(sigmoids), 1), np.float32)], axis=1)


def _loss_and_gradient(weights: _Weights, table: _Table, l2: float) -> tuple[float, npt.NDArray[np.float64]]:
    """The objective in `AutoRec`, and its gradient by each weight."""
    units = weights.units(table)
    back = np.empty_like(units)
    of_rows = l2 * weights.rows
    loss = sum(l2 * float(np.sum(part**2, dtype=np.float64)) for part in (weights.encoder, weights.rows))
    for items in blocks(len(units), len(weights.rows)):
        errors = table.errors(units, weights.rows, items)
        loss += float(np.sum(errors**2, dtype=np.float64))
        of_rows += errors.T @ units[items]
        back[items] = errors @ weights.rows
    hidden = units[:, :-1]
    of_inputs = back[:, :-1] * hidden * (1 - hidden)
    of_encoder = table.by_user @ of_inputs + l2 * weights.encoder
    return loss / 2, _Weights(of_encoder, of_inputs.sum(axis=0), of_rows).flatten()
