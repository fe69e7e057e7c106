"""Model: a config and what was learned under it, which is how every model is kept, however it is trained."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Generic, NamedTuple, Self, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from belfry.dataset.errors import InputError
from belfry.layers.config import ModelConfig
from belfry.layers.saved.array_check import ArrayForms, check_arrays
from belfry.layers.saved.files import ReadablePath, read_array, read_settings

CONFIG_FILE = "config.json"

Arrays: TypeAlias = dict[str, npt.NDArray[Any]]
Progress: TypeAlias = Callable[[int, int], None]  # told of (epochs done, epochs at most)

ConfigT = TypeVar("ConfigT", bound=ModelConfig)
LearnedT = TypeVar("LearnedT")


class Epoch(NamedTuple):
    """One point of a training curve."""

    epoch: int  # 0: before the first one
    loss: float | None  # mean over the steps
    validation: float | None  # higher is better; None: not evaluated


def no_progress(done: int, total: int) -> None:
    """Report to nobody."""


class Model(Generic[ConfigT, LearnedT]):
    """Its `fit` or `load` sets `_learned`; to read a model before is refused."""

    config_type: ClassVar[type[ModelConfig]]
    curve: Sequence[Epoch] = ()  # of the last fit; none where training knows no epochs

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
    def _of_saved_config(cls, directory: ReadablePath) -> Self:
        """A model that knows what `save` above wrote, and has learned nothing yet."""
        return cls(read_settings(directory / CONFIG_FILE, cls.config_type))  # type: ignore[arg-type]


class ArrayModel(Model[ConfigT, Arrays]):
    """A model that learns a few arrays; what `save` writes is the serving form too."""

    array_forms: ClassVar[ArrayForms]

    def save(self, directory: Path) -> None:
        super().save(directory)
        for name in self.array_forms:
            np.save(directory / f"{name}.npy", self.learned[name])

    @classmethod
    def load(cls, directory: ReadablePath) -> Self:
        """Raises ArtifactError: an array is of another form."""
        model = cls._of_saved_config(directory)
        model._learned = {name: read_array(directory / f"{name}.npy") for name in cls.array_forms}
        check_arrays(directory, model._learned, cls.array_forms)
        return model
