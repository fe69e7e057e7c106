"""EASE: a linear item-to-item model in closed form."""

from typing import ClassVar, Literal, Self

import numpy as np
import scipy  # its parts load when they are used
from pydantic import Field

from belfry.dataset.arrays import blocks
from belfry.dataset.candidates import Candidates
from belfry.dataset.errors import ArtifactError, InputError
from belfry.dataset.features import FeatureTables
from belfry.dataset.history.bags import recency_bag, recency_matrix, relative_bag, relative_rows
from belfry.dataset.history.seen_items import SeenItems
from belfry.dataset.interactions import Interactions
from belfry.dataset.similarity import ease_weights
from belfry.dataset.vocabulary import ItemNums, UserNums
from belfry.layers.config import ModelConfig
from belfry.layers.model import ArrayModel
from belfry.layers.saved.array_check import ArrayForms, numbers
from belfry.retrieval.dense import Scores, stack, top_candidates


class EASEConfig(ModelConfig):
    kind: Literal["ease"] = "ease"
    l2: float = Field(12.0, gt=0, description="penalty on the weights, per square root of the number of users")
    half_life: float | None = Field(
        None,
        gt=0,
        description="items after which the weight of a watch is halved in retrieval; none: all weigh the same",
    )
    max_items: int = Field(20_000, ge=1, description="larger catalogues are refused: time is cubic, memory quadratic")


class EASE(ArrayModel[EASEConfig]):
    """score(u, i) = sum over the history of u of w_uj B_ji, with the weights B of `ease_weights`.

    w_uj is the entry of `Interactions.relative_matrix`, or the recency weight of the watch under `half_life`. A user
    without a history gets no list.

    Source: Steck, Embarrassingly shallow autoencoders for sparse data, WWW 2019.
    """

    config_type = EASEConfig
    array_forms: ClassVar[ArrayForms] = {"weights": numbers("n_items + 1", "n_items + 1")}  # watched, scored

    def check(self, history: Interactions, features: FeatureTables) -> None:
        """Refuse a catalogue above the limit, and a half-life without times.

        Raises:
            InputError: names the limit or the column.
        """
        n_items, max_items = len(history.items), self.config.max_items
        if n_items > max_items:
            raise InputError(
                f"ease: {n_items:,} items are above ease's max_items={max_items:,}, its table of all pairs would take "
                f"{4 * n_items**2 / 2**30:,.0f} GiB; leave this source out, or raise max_items if memory allows"
            )
        if self.config.half_life is not None and not history.is_ordered:
            raise InputError(
                "ease: half_life needs a timestamp_s column in the interactions, or data.order; set half_life to none"
            )

    def fit(self, history: Interactions, features: FeatureTables, *, seed: int) -> Self:
        """Solve for the weights; `seed` is not used."""
        self.check(history, features)
        self._learned = {"weights": ease_weights(history, l2=self.config.l2)}
        return self

    def retrieve(
        self, users: UserNums, features: FeatureTables, *, top_k: int, exclude: SeenItems, only: ItemNums | None = None
    ) -> Candidates:
        """Lists by `features.history`, which may be newer than the history of the fit.

        Raises:
            ArtifactError: the weights are of other items.
        """
        weights, n_rows = self.learned["weights"], len(features.history.items) + 1
        if weights.shape != (n_rows, n_rows):
            raise ArtifactError(
                f"ease: weights of the shape {weights.shape}, the run has {n_rows - 1:,} items; train again"
            )
        if len(users) == 1:
            return top_candidates(users, self._scores_of_one(users, features), exclude, top_k, "ease", only)
        parts = []
        for block in blocks(len(users), len(weights)):
            read = self._histories(users[block], features)
            scores = np.asarray(read @ weights)
            scores[np.diff(read.indptr) == 0] = -np.inf
            parts.append(top_candidates(users[block], scores, exclude, top_k, "ease", only))
        return stack(parts)

    def _scores_of_one(self, users: UserNums, features: FeatureTables) -> Scores:
        """[1, n_items + 1] of one user: not worth the load of a sparse library; to the bit what a block gives."""
        weights, history = self.learned["weights"], features.history
        if self.config.half_life is None:
            items, own = relative_bag(history, int(users[0]))
        else:
            items, own = recency_bag(history, int(users[0]), half_life=self.config.half_life, max_length=len(weights))
        if not len(items):
            return np.full((1, len(weights)), -np.inf, np.float32)
        return np.asarray(np.einsum("i,ij->j", own, weights[items])[np.newaxis])

    def _histories(self, users: UserNums, features: FeatureTables) -> "scipy.sparse.csr_matrix[np.float32]":
        """[n_users, n_items + 1] the weight of each watch."""
        history, half_life = features.history, self.config.half_life
        if half_life is None:
            return relative_rows(history, users)
        return recency_matrix(history, users, half_life=half_life, max_length=len(history.items) + 1)
