"""FactorTowers: the shared part of towers that are plain arrays; a family adds its training and its queries."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Self

from belfry.dataset.errors import ArtifactError
from belfry.dataset.features import FeatureTables
from belfry.dataset.interactions import Interactions
from belfry.dataset.vocabulary import ItemNums, UserNums
from belfry.layers.model import ArrayModel, Arrays, ConfigT, Progress, no_progress
from belfry.layers.saved.array_check import ArrayForms, numbers
from belfry.retrieval.base import Embeddings, Towers

ITEM_FACTORS = "item_factors"  # [n_items + 1, dim] float32, the candidates; row 0 is the unknown's


class FactorTowers(ArrayModel[ConfigT], ABC):
    """Towers that are a config and a few arrays, `ITEM_FACTORS` among them; what is saved is the serving form too."""

    array_forms: ClassVar[ArrayForms] = {ITEM_FACTORS: numbers("n_items + 1", "dim")}

    epochs_trained = 0  # training runs to its end

    def check(self, history: Interactions, features: FeatureTables) -> None:
        """Refuse data that this model cannot learn from.

        Raises:
            InputError: names the missing column or the limit that is exceeded.
        """

    def fit(
        self,
        history: Interactions,
        features: FeatureTables,
        *,
        seed: int,
        validate: Callable[[Towers], float] | None = None,
        epochs: int | None = None,
        progress: Progress = no_progress,
    ) -> Self:
        """Train from scratch and return itself; `features`, `validate` and `epochs` are not used.

        Raises:
            InputError: the data cannot be learned from, see `check`.
            DivergenceError: an array is no longer finite.
        """
        self.check(history, features)
        self._learned = self._train(history, seed=seed, progress=progress)
        return self

    def check_vectors(self, vectors: Embeddings) -> None:
        """Raises ArtifactError: what was loaded is of other items or dimensions than their embeddings."""
        factors = self.learned[ITEM_FACTORS]
        if factors.shape != vectors.shape:
            raise ArtifactError(
                f"{self.config.kind}: {ITEM_FACTORS!r} have the shape {factors.shape}, the vectors of the items "
                f"{vectors.shape}; train again"
            )

    @abstractmethod
    def encode_queries(self, users: UserNums, features: FeatureTables) -> Embeddings:
        """[n_users, dim], from `features.history`; user number 0, the unknown, gets a vector too."""

    def encode_candidates(self, items: ItemNums, features: FeatureTables) -> Embeddings:
        """[n_items, dim]."""
        return self.learned[ITEM_FACTORS][items]

    def export(self, directory: Path, features: FeatureTables) -> None:
        """What `save` writes is the serving form too."""
        self.save(directory)

    @abstractmethod
    def _train(self, history: Interactions, *, seed: int, progress: Progress) -> Arrays:
        """An array for each of `array_forms`."""
