"""ALS: implicit matrix factorisation; a user is folded in from the history that is there when asked."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from dataset.errors import InputError
from dataset.features import FeatureTables
from dataset.interactions import Interactions
from dataset.vocabulary import Numbers
from retrieval.base import Embeddings, Towers

_CELLS_PER_BLOCK = 1 << 22  # of the users' normal equations


class ALSConfig(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: Literal["als"] = "als"
    factors: int = Field(64, ge=1, le=4096, description="dimensions that users and items share")
    alpha: float = Field(10.0, gt=0, description="how much more a watched cell weighs than one that was not watched")
    l2: float = Field(60.0, gt=0, description="penalty on the squares of the factors")
    epochs: int = Field(15, ge=1, description="passes over users and items")


class ALS:
    """score = dot product of factors that fit the table of ones and zeros, where watched cells weigh 1 + alpha.

    Item factors come from the library `implicit`. A query solves for the factors of its user given those, the step
    that the library itself takes, so fresh watches count at once. An empty history gives zeros.

    Source: Hu, Koren and Volinsky, Collaborative filtering for implicit feedback datasets, ICDM 2008.
    """

    epochs_trained = 0  # training runs to its end

    def __init__(self, config: ALSConfig | None = None) -> None:
        self.config = config or ALSConfig()
        self._item_factors: Embeddings | None = None  # [n_items + 1, factors]; row 0, the unknown's, is zero

    def check(self, history: Interactions, features: FeatureTables) -> None:
        """Everything will do."""

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

        One thread: with more, sums come in another order and equal seeds give other factors.
        """
        from implicit.cpu.als import AlternatingLeastSquares
        from threadpoolctl import threadpool_limits

        config = self.config
        with threadpool_limits(1, "blas"):  # what the library asks for, without its warning
            model = AlternatingLeastSquares(
                factors=config.factors,
                regularization=config.l2,
                alpha=config.alpha,
                iterations=config.epochs,
                use_cg=False,
                num_threads=1,
                random_state=seed,
            )
            # The library takes values as confidences, 1 where nothing was watched.
            model.fit(
                history.matrix[1:, 1:] * np.float32((1 + config.alpha) / config.alpha),
                show_progress=False,
                callback=lambda epoch, seconds, loss: progress(epoch + 1, config.epochs),
            )
        self._item_factors = np.concatenate([np.zeros((1, config.factors), np.float32), model.item_factors])
        return self

    def encode_queries(self, users: Numbers, features: FeatureTables) -> Embeddings:
        """[n_users, factors], solved for from `features.history`."""
        factors, config = self._fitted(), self.config
        matrix = features.history.matrix[users]
        everywhere = factors.T @ factors + config.l2 * np.eye(config.factors, dtype=np.float32)
        queries = np.zeros((len(users), config.factors), np.float32)
        n_users = max(1, _CELLS_PER_BLOCK // config.factors**2)
        for first in range(0, len(users), n_users):
            block = matrix[first : first + n_users]
            watched = [factors[block.indices[start:stop]] for start, stop in pairwise(block.indptr)]
            left = np.stack([everywhere + config.alpha * rows.T @ rows for rows in watched])
            right = np.stack([(1 + config.alpha) * rows.sum(axis=0) for rows in watched])
            queries[first : first + n_users] = np.linalg.solve(left, right[..., None])[..., 0]
        return queries

    def encode_candidates(self, items: Numbers, features: FeatureTables) -> Embeddings:
        """[n_items, factors]."""
        return self._fitted()[items]

    def save(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "config.json").write_text(self.config.model_dump_json(indent=2))
        np.save(directory / "item_factors.npy", self._fitted())

    def export(self, directory: Path, features: FeatureTables) -> None:
        """What `save` writes is the serving form too."""
        self.save(directory)

    @classmethod
    def load(cls, directory: Path) -> Self:
        model = cls(ALSConfig.model_validate_json((directory / "config.json").read_bytes()))
        model._item_factors = np.load(directory / "item_factors.npy", mmap_mode="r")
        return model

    def _fitted(self) -> npt.NDArray[np.float32]:
        if self._item_factors is None:
            raise InputError("als: not fitted; call fit() or load() first")
        return self._item_factors
