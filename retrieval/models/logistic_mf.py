"""LogisticMF: the log odds that a user watches an item, factorised; users are folded in at request time."""

from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from belfry.dataset.errors import DivergenceError
from belfry.dataset.features import FeatureTables
from belfry.dataset.interactions import Interactions
from belfry.dataset.vocabulary import UserNums
from belfry.layers.config import EMBEDDING_SIZE, ModelConfig
from belfry.layers.model import Arrays, Progress
from belfry.layers.saved.array_check import ArrayForms, numbers
from belfry.retrieval.base import Embeddings
from belfry.retrieval.models.factors import ITEM_FACTORS, FactorTowers

_NEGATIVE_SHARE = "negative_share"
_CELLS_PER_BLOCK = 1 << 22  # of the users' weighted item factors
_MAX_NEGATIVES = 4096  # items sampled to stand for all as negatives of a query
_DIVERGED = 1e4  # largest factor; training that works stays far below
_MAX_STEPS = 50
_MAX_MOVE = 1.5  # of a score in a Newton step: up to 1.79 the objective is sure to rise (Bach 2010, proposition 1)
_TOLERANCE = 1e-3  # a step that moves all scores less is the last


class LogisticMFConfig(ModelConfig):
    kind: Literal["logistic_mf"] = "logistic_mf"
    embedding_size: int = Field(
        60,
        validation_alias=EMBEDDING_SIZE,
        ge=1,
        le=4096,
        description="dimensions that users and items share, without the two biases",
    )
    alpha: float = Field(1.0, gt=0, description="weight of a watch; a negative weighs 1")
    l2: float = Field(4.0, gt=0, description="penalty on the squares of the factors")
    n_negatives: int = Field(
        30,
        ge=1,
        description="negatives sampled by popularity for each watch; of a user, embedding_size + 2 at most",
    )
    learning_rate: float = Field(0.5, gt=0, description="of Adagrad")
    epochs: int = Field(60, ge=1, description="passes over users and items")


class LogisticMF(FactorTowers[LogisticMFConfig]):
    """log odds that u watches i = p_u . q_i + b_u + b_i; queries are [p_u, 1, b_u], candidates [q_i, b_i, 1].

    The library `implicit` trains q_i and b_i, on one thread: with more, equal seeds give other factors. At request time
    p_u and b_u are solved for given those, with the sampled negatives replaced by their expectation (see `_solve`), so
    fresh watches count at once. An empty history gives the biases of the items alone. An unwatched item gets the lowest
    bias.

    Source: Johnson, Logistic matrix factorization for implicit feedback data, NIPS workshop 2014.
    """

    config_type = LogisticMFConfig
    array_forms: ClassVar[ArrayForms] = {
        ITEM_FACTORS: numbers("n_items + 1", "dim"),
        _NEGATIVE_SHARE: numbers("n_items + 1"),
    }

    def encode_queries(self, users: UserNums, features: FeatureTables) -> Embeddings:
        """[n_users, embedding_size + 2], solved for from `features.history`."""
        factors, share = self.learned[ITEM_FACTORS], self.learned[_NEGATIVE_SHARE]
        matrix = features.history.matrix[users]
        queries = np.zeros((len(users), factors.shape[1]), np.float32)
        n_users = max(1, _CELLS_PER_BLOCK // (np.count_nonzero(share) * factors.shape[1] + 1))
        for first in range(0, len(users), n_users):
            block = matrix[first : first + n_users]
            items = np.union1d(np.flatnonzero(share), block.indices)
            queries[first : first + n_users] = self._solve(block[:, items].toarray(), factors[items], share[items])
        return queries

    def _train(self, history: Interactions, *, seed: int, progress: Progress) -> Arrays:
        from implicit.cpu.lmf import LogisticMatrixFactorization

        config = self.config
        model = LogisticMatrixFactorization(
            factors=config.embedding_size,
            learning_rate=config.learning_rate,
            regularization=config.l2,
            iterations=config.epochs,
            neg_prop=config.n_negatives,
            num_threads=1,
            random_state=seed,
        )

        def after_epoch(epoch: int, seconds: float) -> None:
            largest = np.abs(model.item_factors).max()
            if not largest < _DIVERGED:
                raise DivergenceError(
                    f"logistic_mf: {ITEM_FACTORS!r} reach {largest:.4g} in epoch {epoch + 1}; lower its learning_rate"
                )
            progress(epoch + 1, config.epochs)

        watched = history.matrix[1:, 1:] * np.float32(config.alpha)
        model.fit(watched, show_progress=False, callback=after_epoch)
        factors = np.concatenate([np.zeros((1, config.embedding_size + 2), np.float32), model.item_factors])
        is_watched = history.item_counts > 0
        factors[1:][~is_watched[1:], -2] = factors[is_watched, -2].min(initial=0)
        return {ITEM_FACTORS: factors, _NEGATIVE_SHARE: _negative_share(history, seed)}

    def _solve(
        self, watched: npt.NDArray[np.float32], factors: Embeddings, share: npt.NDArray[np.float32]
    ) -> Embeddings:
        """[n_users, embedding_size + 2] queries that maximise, s being scores and n the user's number of negatives,

            alpha * sum over watches of log sigmoid(s) + n * sum over items of share_i log sigmoid(-s_i)
            - l2 / 2 (|p_u|^2 + b_u^2)

        by Newton steps, each shortened where it would move a score too far.

        Args:
            watched: [n_users, n_items] 1 where watched.
            factors: [n_items, embedding_size + 2] candidates.
            share: [n_items] of the watches.
        """
        config = self.config
        free = np.arange(factors.shape[1]) != factors.shape[1] - 2
        moving = factors[:, free]
        penalty = config.l2 * np.eye(moving.shape[1], dtype=np.float32)
        n_drawn = np.minimum(config.n_negatives * np.count_nonzero(watched, axis=1), factors.shape[1])
        positive = config.alpha * watched
        weight = positive + n_drawn[:, None].astype(np.float32) * share  # [n_users, n_items]
        queries = np.zeros((len(watched), factors.shape[1]), np.float32)
        queries[:, ~free] = 1
        for _ in range(_MAX_STEPS):
            probability = 0.5 + 0.5 * np.tanh(0.5 * (queries @ factors.T))
            gradient = (positive - weight * probability) @ moving - config.l2 * queries[:, free]
            hessian = (moving.T * (weight * probability * (1 - probability))[:, None]) @ moving + penalty
            step = np.linalg.solve(hessian, gradient[..., None])[..., 0]
            move = np.abs(step @ moving.T).max(axis=1, keepdims=True, initial=0)
            queries[:, free] += step * (_MAX_MOVE / np.maximum(move, _MAX_MOVE))
            if move.max(initial=0) < _TOLERANCE:
                break
        return queries


def _negative_share(history: Interactions, seed: int) -> npt.NDArray[np.float32]:
    """[n_items + 1] each item's share of the watches; with many items, its share in a sample of watches."""
    share = history.item_counts / max(history.item_counts.sum(), 1)
    if np.count_nonzero(share) > _MAX_NEGATIVES:
        share = np.random.default_rng(seed).multinomial(_MAX_NEGATIVES, share) / _MAX_NEGATIVES
    return np.asarray(share, np.float32)
