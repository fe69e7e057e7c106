"""Model: a config and what was learned under it, which is how every model is kept, however it is trained."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from belfry.dataset.errors import InputError
from belfry.layers.config import ModelConfig

CONFIG_FILE = "config.json"

Arrays: TypeAlias = dict[str, npt.NDArray[Any]]
Progress: TypeAlias = Callable[[int, int], None]  # told of (epochs done, epochs at most)

ConfigT = TypeVar("ConfigT", bound=ModelConfig)
LearnedT = TypeVar("LearnedT")


def no_progress(done: int, total: int) -> None:
    """Report to nobody."""


class Model(Generic[ConfigT, LearnedT]):
    """Its `fit` or `load` sets `_learned`; to read a model before is refused."""

    config_type: ClassVar[type[ModelConfig]]

    def __init__(self, config: ConfigT) -> None:
        self.config = config
        self._learned: LearnedT | None = None

    @property
    def learned(self) -> LearnedT:
        """Raises InputError: there is nothing yet."""
        if self._learned is None:
            raise InputError(f"{self.config.kind}: not fitted; call fit() or load() first")
        return self._learned

    def save(self, directory: Path) -> None:
        """Write the config; a family adds what was learned."""
        directory.mkdir(parents=True, exist_ok=True)
        (directory / CONFIG_FILE).write_text(self.config.model_dump_json(indent=2))

    @classmethod
    def _of_saved_config(cls, directory: Path) -> Self:
        """A model that knows what `save` above wrote, and has learned nothing yet."""
        return cls(cls.config_type.model_validate_json((directory / CONFIG_FILE).read_bytes()))  # type: ignore[arg-type]


class ArrayModel(Model[ConfigT, Arrays]):
    """A model that learns a few arrays; what `save` writes is the serving form too."""

    array_names: ClassVar[tuple[str, ...]]

    def save(self, directory: Path) -> None:
        super().save(directory)
        for name in self.array_names:
            np.save(directory / f"{name}.npy", self.learned[name])

    @classmethod
    def load(cls, directory: Path) -> Self:
        model = cls._of_saved_config(directory)
        model._learned = {name: np.load(directory / f"{name}.npy", mmap_mode="r") for name in cls.array_names}
        return model
