"""NeighbourRetriever: what the items of a history say for others, by one sparse table of item-to-item weights."""

from abc import abstractmethod
from math import ceil
from typing import Annotated, ClassVar, Self, TypeVar

import numpy as np
import scipy  # its parts load when they are used
from pydantic import Field

from belfry.dataset.arrays import blocks, distinct, stretches
from belfry.dataset.candidates import Candidates
from belfry.dataset.concurrency.cached import cached_property
from belfry.dataset.errors import ArtifactError, InputError
from belfry.dataset.features import FeatureTables
from belfry.dataset.history.bags import recency_bag, recency_matrix, weighted_bag, weighted_rows
from belfry.dataset.history.seen_items import SeenItems
from belfry.dataset.interactions import Interactions
from belfry.dataset.vocabulary import ItemNums, UserNums
from belfry.layers.config import ModelConfig
from belfry.layers.model import ArrayModel
from belfry.layers.saved.array_check import ArrayForms, counts, numbers
from belfry.layers.saved.files import ReadablePath
from belfry.retrieval.dense import Scores, stack, top_candidates, top_of_few, top_sparse_candidates

HalfLife = Annotated[
    float | None,
    Field(
        gt=0,
        description="items after which the weight of a watch is halved in retrieval; none: all weigh as in the history",
    ),
]

_HALF_LIVES = 16  # after which a watch is not read: it would weigh 1 / 65,000 of the newest
_DENSE_SHARE = 0.25  # of all scores; where more are not 0, a whole table is faster

NeighbourConfigT = TypeVar("NeighbourConfigT", bound="NeighbourConfig")


class NeighbourConfig(ModelConfig):
    """What every model of item-to-item weights has."""

    n_neighbours: int = Field(200, ge=1, description="items kept for each item")
    half_life: HalfLife = None


class NeighbourRetriever(ArrayModel[NeighbourConfigT]):
    """score(u, i) = sum over the items j that u has watched of w_uj s_ji; `weights` gives s, a family's own.

    w_uj is the entry of `Interactions.weighted_matrix`, or the recency weight of the watch under `half_life`. Items
    whose score is 0 are not returned, so a cold user gets none.
    """

    # s as compressed rows: items scored by watched item j, and how much, are `start[j] : start[j + 1]` of the other two
    array_forms: ClassVar[ArrayForms] = {
        "start": counts("n_items + 2"),
        "scored": counts("n_weights"),
        "weight": numbers("n_weights"),
    }

    @classmethod
    def load(cls, directory: ReadablePath) -> Self:
        """Raises ArtifactError: the rows lead out of the items, where SciPy would follow."""
        model = super().load(directory)
        start, scored, _ = (model.learned[name] for name in cls.array_forms)
        if len(start) < 2 or start[0] != 0 or start[-1] != len(scored) or (np.diff(start) < 0).any():
            raise ArtifactError(f"{directory}: {', '.join(cls.array_forms)} are no rows of neighbours; train again")
        if len(scored) and scored.max() >= len(start) - 1:
            raise ArtifactError(f"{directory}: {', '.join(cls.array_forms)} name items that there are not; train again")
        return model

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
        weights = self.weights(history)
        self._learned = {"start": weights.indptr, "scored": weights.indices, "weight": weights.data}
        self.__dict__.pop("_matrix", None)
        return self

    @abstractmethod
    def weights(self, history: Interactions) -> "scipy.sparse.csr_matrix[np.float32]":
        """[n_items + 1 watched, n_items + 1 scored] s, none below 0."""

    def retrieve(
        self, users: UserNums, features: FeatureTables, *, top_k: int, exclude: SeenItems, only: ItemNums | None = None
    ) -> Candidates:
        """Lists by `features.history`, which may be newer than the history of the fit.

        Raises:
            ArtifactError: the weights are of other items.
        """
        n_rows = len(self.learned["start"]) - 1
        if n_rows != len(features.history.items) + 1:
            raise ArtifactError(f"{self.config.kind}: weights of {n_rows - 1:,} items, the run has others; train again")
        if len(users) == 1:
            items, own = self._scores_of_one(users, features)
            return top_of_few(users, items, own, exclude, top_k, self.config.kind, only)
        parts = []
        for block in blocks(len(users), len(features.history.items) + 1):
            asked = users[block]
            scores = self._histories(asked, features) @ self._matrix
            if scores.nnz > _DENSE_SHARE * len(asked) * scores.shape[1]:
                table = scores.toarray()
                table[table == 0] = -np.inf
                parts.append(top_candidates(asked, table, exclude, top_k, self.config.kind, only))
            else:
                parts.append(top_sparse_candidates(asked, scores, exclude, top_k, self.config.kind, only))
        return stack(parts)

    @cached_property
    def _matrix(self) -> "scipy.sparse.csr_matrix[np.float32]":
        start, scored, weight = (self.learned[name] for name in self.array_forms)
        return scipy.sparse.csr_matrix((weight, scored, start), shape=(len(start) - 1, len(start) - 1))

    def _scores_of_one(self, users: UserNums, features: FeatureTables) -> tuple[ItemNums, Scores]:
        """The items that one user's are near to, in no order, and their scores; not worth the load of a sparse library.

        To the bit what the product of a block gives: single precision, item by item.
        """
        start, scored, weight = (self.learned[name] for name in self.array_forms)
        history, half_life = features.history, self.config.half_life
        if half_life is None:
            items, own = weighted_bag(history, int(users[0]))
        else:
            max_length = ceil(_HALF_LIVES * half_life)
            items, own = recency_bag(history, int(users[0]), half_life=half_life, max_length=max_length)
        counts = (start[items + 1] - start[items]).astype(np.int64)
        places = stretches(start[items].astype(np.int64), counts)
        near, position = distinct(scored[places], len(start) - 1)
        scores = np.zeros(len(near), np.float32)
        np.add.at(scores, position, np.repeat(own, counts) * weight[places])
        return near, scores

    def _histories(self, users: UserNums, features: FeatureTables) -> "scipy.sparse.csr_matrix[np.float32]":
        """[n_users, n_items + 1] the weight of each watch."""
        half_life = self.config.half_life
        if half_life is None:
            return weighted_rows(features.history, users)
        max_length = ceil(_HALF_LIVES * half_life)
        return recency_matrix(features.history, users, half_life=half_life, max_length=max_length)
