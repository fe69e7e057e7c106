"""PureSVD: the largest singular vectors of the watch table; a user is the projection of their history."""

from typing import Literal

import numpy as np
from pydantic import Field

from belfry.dataset.errors import InputError
from belfry.dataset.features import FeatureTables
from belfry.dataset.interactions import Interactions
from belfry.dataset.vocabulary import UserNums
from belfry.layers.config import EMBEDDING_SIZE, ModelConfig
from belfry.layers.model import Arrays, Progress
from belfry.retrieval.base import Embeddings
from belfry.retrieval.models.factors import ITEM_FACTORS, FactorTowers

_EPSILON = 1e-6  # share of the largest singular value; below it directions are rounding noise


class PureSVDConfig(ModelConfig):
    kind: Literal["pure_svd"] = "pure_svd"
    embedding_size: int = Field(
        15,
        validation_alias=EMBEDDING_SIZE,
        ge=1,
        le=4096,
        description="singular vectors kept; larger tables can use more",
    )


class PureSVD(FactorTowers[PureSVDConfig]):
    """score(u, .) = x_u V V^T, where x_u is the user's row of the watch table X and X ~ U S V^T its truncated SVD.

    Queries are x_u V, candidates the rows of V. Fresh watches count at once. An empty history gives zeros.

    Source: Cremonesi, Koren and Turrin, Performance of recommender algorithms on top-n recommendation tasks, RecSys
    2010.
    """

    config_type = PureSVDConfig

    def check(self, history: Interactions, features: FeatureTables) -> None:
        """Refuse an embedding_size above the rank that the watch table can have.

        Raises:
            InputError: names the sizes.
        """
        n_users, n_items, size = len(history.users), len(history.items), self.config.embedding_size
        if size > min(n_users, n_items):
            raise InputError(
                f"pure_svd: embedding_size={size} is more than {n_users:,} users and {n_items:,} items can have; "
                "lower it"
            )

    def encode_queries(self, users: UserNums, features: FeatureTables) -> Embeddings:
        """[n_users, embedding_size] x_u V: sums of the factors of the watched items."""
        return np.asarray(features.history.matrix[users] @ self.learned[ITEM_FACTORS])

    def _train(self, history: Interactions, *, seed: int, progress: Progress) -> Arrays:
        matrix = history.matrix.astype(np.float64)
        start = np.random.default_rng(seed).normal(size=min(matrix.shape))
        from scipy.sparse.linalg import svds  # takes a while to load; the settings above do not need it

        _, values, vectors = svds(matrix, k=self.config.embedding_size, v0=start)
        vectors[values <= _EPSILON * values.max()] = 0
        return {ITEM_FACTORS: vectors.T.astype(np.float32)}
