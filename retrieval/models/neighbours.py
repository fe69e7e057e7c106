"""NeighbourRetriever: what the items of a history say for others, by one sparse table of item-to-item weights."""

from abc import abstractmethod
from pathlib import Path
from typing import Annotated, ClassVar, Self, TypeVar

import numpy as np
import scipy  # its parts load when they are used
from pydantic import Field

from belfry.dataset.candidates import Candidates
from belfry.dataset.errors import InputError
from belfry.dataset.features import FeatureTables
from belfry.dataset.history import history_bags
from belfry.dataset.interactions import Interactions, SeenItems
from belfry.dataset.vocabulary import ItemNums, UserNums
from belfry.layers.config import ModelConfig
from belfry.layers.model import Model
from belfry.retrieval.dense import blocks, stack, top_candidates, top_sparse_candidates

HalfLife = Annotated[
    float | None,
    Field(
        gt=0,
        description="items after which the weight of a watch is halved in retrieval; none: all weigh as in the history",
    ),
]

MAX_HISTORY = 1000  # newest items of a history that are read where recent ones weigh more
_DENSE_SHARE = 0.25  # of all scores; where more are not 0, a whole table is faster

NeighbourConfigT = TypeVar("NeighbourConfigT", bound="NeighbourConfig")


class NeighbourConfig(ModelConfig):
    """What every model of item-to-item weights has."""

    n_neighbours: int = Field(200, ge=1, description="items kept for each item")
    half_life: HalfLife = None


class NeighbourRetriever(Model[NeighbourConfigT, "scipy.sparse.csr_matrix[np.float32]"]):
    """score(u, i) = sum over the items j that u has watched of w_uj s_ji; `weights` gives s, a family's own.

    w_uj is the entry of `Interactions.weighted_matrix`, or the recency weight of the watch under `half_life`. Items
    whose score is 0 are not returned, so a cold user gets none.
    """

    weights_file: ClassVar[str] = "weights.npz"

    def check(self, history: Interactions, features: FeatureTables) -> None:
        """Refuse a half-life without an order.

        Raises:
            InputError: names the column.
        """
        if self.config.half_life is not None and not history.is_ordered:
            raise InputError(
                f"{self.config.kind}: half_life needs a timestamp_s column in the interactions, or data.order; "
                "set half_life to none"
            )

    def fit(self, history: Interactions, features: FeatureTables, *, seed: int) -> Self:
        """Compute the weights; `features` and `seed` are not used."""
        self._learned = self.weights(history)
        return self

    @abstractmethod
    def weights(self, history: Interactions) -> "scipy.sparse.csr_matrix[np.float32]":
        """[n_items + 1 watched, n_items + 1 scored] s, none below 0."""

    def retrieve(
        self, users: UserNums, features: FeatureTables, *, top_k: int, exclude: SeenItems, only: ItemNums | None = None
    ) -> Candidates:
        """Lists by `features.history`, which may be newer than the history of the fit."""
        weights, kind = self.learned, self.config.kind
        parts = []
        for block in blocks(len(users), weights.shape[0]):
            asked = users[block]
            scores = self._histories(asked, features) @ weights
            if scores.nnz > _DENSE_SHARE * len(asked) * weights.shape[0]:
                table = scores.toarray()
                table[table == 0] = -np.inf
                parts.append(top_candidates(asked, table, exclude, top_k, kind, only))
            else:
                parts.append(top_sparse_candidates(asked, scores, exclude, top_k, kind, only))
        return stack(parts)

    def _histories(self, users: UserNums, features: FeatureTables) -> "scipy.sparse.csr_matrix[np.float32]":
        """[n_users, n_items + 1] the weight of each watch."""
        if self.config.half_life is None:
            return features.history.weighted_matrix[users]
        bags = history_bags(features.history, users, half_life=self.config.half_life, max_length=MAX_HISTORY)
        shape = (len(users), len(features.history.items) + 1)
        return scipy.sparse.csr_matrix((bags.recency, (bags.row, bags.item_num)), shape=shape)

    def save(self, directory: Path) -> None:
        super().save(directory)
        scipy.sparse.save_npz(directory / self.weights_file, self.learned, compressed=False)

    @classmethod
    def load(cls, directory: Path) -> Self:
        model = cls._of_saved_config(directory)
        model._learned = scipy.sparse.csr_matrix(scipy.sparse.load_npz(directory / cls.weights_file))
        return model
