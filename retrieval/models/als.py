"""ALS: implicit matrix factorisation; users are folded in from their history at request time."""

from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from belfry.dataset.concurrency.blas import one_thread
from belfry.dataset.features import FeatureTables
from belfry.dataset.interactions import Interactions
from belfry.dataset.vocabulary import UserNums
from belfry.layers.config import EMBEDDING_SIZE, ModelConfig
from belfry.layers.model import Arrays, Progress
from belfry.retrieval.base import Embeddings
from belfry.retrieval.models.factors import ITEM_FACTORS, FactorTowers

_CELLS_PER_BLOCK = 1 << 22  # of the users' normal equations


class ALSConfig(ModelConfig):
    kind: Literal["als"] = "als"
    embedding_size: int = Field(
        64,
        validation_alias=EMBEDDING_SIZE,
        ge=1,
        le=4096,
        description="dimensions that users and items share",
    )
    alpha: float = Field(10.0, gt=0, description="a watched cell weighs 1 + alpha, any other 1")
    l2: float = Field(60.0, gt=0, description="penalty on the squares of the factors")
    epochs: int = Field(15, ge=1, description="passes over users and items")


class ALS(FactorTowers[ALSConfig]):
    """score(u, i) = p_u . q_i with user factors p_u and item factors q_i that minimise

        sum over all cells of c_ui (x_ui - p_u . q_i)^2 + l2 (sum |p_u|^2 + sum |q_i|^2)

    where x_ui is 1 and c_ui is 1 + alpha w_ui if u watched i, else 0 and 1; w_ui is the entry of
    `Interactions.relative_matrix`: 1 where all watches count alike. The library `implicit` trains the q_i, on one
    thread: with more, sums come in another order and equal seeds give other factors. At request time, with Q the rows
    q_i and Q_u those of the user's history,

        p_u = (Q^T Q + alpha Q_u^T W_u Q_u + l2 I)^-1 Q_u^T (1 + alpha w_u)

    so fresh watches count at once. An empty history gives zeros.

    Source: Hu, Koren and Volinsky, Collaborative filtering for implicit feedback datasets, ICDM 2008.
    """

    config_type = ALSConfig
    _gram: tuple[Embeddings, npt.NDArray[np.float32]] | None = None  # of which factors, and what it is

    def encode_queries(self, users: UserNums, features: FeatureTables) -> Embeddings:
        """[n_users, embedding_size] user factors, solved for from `features.history`."""
        factors, config = self.learned[ITEM_FACTORS], self.config
        seen, pair_weights, gram = features.history.seen_items, features.history.pair_weights, self._regularised_gram()
        queries = np.zeros((len(users), config.embedding_size), np.float32)
        n_users = max(1, _CELLS_PER_BLOCK // config.embedding_size**2)
        for first in range(0, len(users), n_users):
            rows = [slice(*seen.starts[[user, user + 1]]) for user in users[first : first + n_users]]
            watched = [factors[seen.item_num[row]] for row in rows]
            weights = [config.alpha * pair_weights[row] for row in rows]
            left = np.stack([gram + (items.T * own) @ items for items, own in zip(watched, weights, strict=True)])
            right = np.stack([(1 + own) @ items for items, own in zip(watched, weights, strict=True)])
            queries[first : first + n_users] = np.linalg.solve(left, right[..., None])[..., 0]
        return queries

    def _regularised_gram(self) -> npt.NDArray[np.float32]:
        """[embedding_size, embedding_size] Q^T Q + l2 I, computed once: it costs as much as the catalogue is large."""
        factors = self.learned[ITEM_FACTORS]
        if self._gram is None or self._gram[0] is not factors:
            penalty = self.config.l2 * np.eye(factors.shape[1], dtype=np.float32)
            self._gram = factors, factors.T @ factors + penalty
        return self._gram[1]

    def _train(self, history: Interactions, *, seed: int, progress: Progress) -> Arrays:
        from implicit.cpu.als import AlternatingLeastSquares

        config = self.config
        with one_thread:  # what the library asks for, without its warning
            model = AlternatingLeastSquares(
                factors=config.embedding_size,
                regularization=config.l2,
                alpha=config.alpha,
                iterations=config.epochs,
                use_cg=False,
                num_threads=1,
                random_state=seed,
            )
            confidence = history.relative_matrix[1:, 1:]
            confidence.data = (1 + np.float32(config.alpha) * confidence.data) / np.float32(config.alpha)
            model.fit(  # the library takes values times alpha as confidences, 1 where nothing was watched
                confidence,
                show_progress=False,
                callback=lambda epoch, seconds, loss: progress(epoch + 1, config.epochs),
            )
        return {ITEM_FACTORS: np.concatenate([np.zeros((1, config.embedding_size), np.float32), model.item_factors])}
