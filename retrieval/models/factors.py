"""FactorTowers: the shared part of towers that are plain arrays; a family adds its training and its queries."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from belfry.dataset.errors import InputError
from belfry.dataset.features import FeatureTables
from belfry.dataset.interactions import Interactions
from belfry.dataset.vocabulary import ItemNums, UserNums
from belfry.layers.config import ModelConfig
from belfry.retrieval.base import Embeddings, Towers

ITEM_FACTORS = "item_factors"  # [n_items + 1, dim] float32, the candidates; row 0 is the unknown's
CONFIG_FILE = "config.json"

Arrays: TypeAlias = dict[str, npt.NDArray[Any]]
Progress: TypeAlias = Callable[[int, int], None]

ConfigT = TypeVar("ConfigT", bound=ModelConfig)


class FactorTowers(ABC, Generic[ConfigT]):
    """Towers that are a config and a few arrays, `ITEM_FACTORS` among them; what is saved is the serving form too."""

    config_type: ClassVar[type[ModelConfig]]
    name: ClassVar[str]
    array_names: ClassVar[tuple[str, ...]] = (ITEM_FACTORS,)

    epochs_trained = 0  # training runs to its end

    def __init__(self, config: ConfigT) -> None:
        self.config = config
        self._fitted: Arrays | None = None

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
        progress: Progress = lambda done, total: None,
    ) -> Self:
        """Train from scratch and return itself; `features`, `validate` and `epochs` are not used.

        Raises:
            InputError: the data cannot be learned from, see `check`.
            DivergenceError: an array is no longer finite.
        """
        self.check(history, features)
        self._fitted = self._train(history, seed=seed, progress=progress)
        return self

    @abstractmethod
    def encode_queries(self, users: UserNums, features: FeatureTables) -> Embeddings:
        """[n_users, dim], from `features.history`; user number 0, the unknown, gets a vector too."""

    def encode_candidates(self, items: ItemNums, features: FeatureTables) -> Embeddings:
        """[n_items, dim]."""
        return self._arrays[ITEM_FACTORS][items]

    def save(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / CONFIG_FILE).write_text(self.config.model_dump_json(indent=2))
        for name in self.array_names:
            np.save(directory / f"{name}.npy", self._arrays[name])

    def export(self, directory: Path, features: FeatureTables) -> None:
        """What `save` writes is the serving form too."""
        self.save(directory)

    @classmethod
    def load(cls, directory: Path) -> Self:
        model = cls(cls.config_type.model_validate_json((directory / CONFIG_FILE).read_bytes()))  # type: ignore[arg-type]
        model._fitted = {name: np.load(directory / f"{name}.npy", mmap_mode="r") for name in cls.array_names}
        return model

    @abstractmethod
    def _train(self, history: Interactions, *, seed: int, progress: Progress) -> Arrays:
        """An array for each of `array_names`."""

    @property
    def _arrays(self) -> Arrays:
        if self._fitted is None:
            raise InputError(f"{self.name}: not fitted; call fit() or load() first")
        return self._fitted
