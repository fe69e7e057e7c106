"""Parts of the experiment on disk: what each system did on one seed and share, as arrays by user."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import numpy.typing as npt

Arrays = dict[str, npt.NDArray[np.float64]]


class Parts:
    """A folder of `.npz` files; a part is there whole or not at all."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder

    def __contains__(self, name: str) -> bool:
        return self._path(name).exists()

    def save(self, name: str, groups: Mapping[str, object]) -> None:
        """Every field of every dataclass in `groups`, as `<group>/<field>`."""
        arrays = {f"{key}/{field}": value for key, group in groups.items() for field, value in asdict(group).items()}
        unfinished = self._folder / f".{name}.npz"
        np.savez(unfinished, **arrays)
        unfinished.rename(self._path(name))

    def load(self, name: str) -> dict[str, Arrays]:
        """Group -> field -> array."""
        groups: dict[str, Arrays] = {}
        with np.load(self._path(name)) as file:
            for key, array in file.items():
                group, _, field = key.rpartition("/")
                groups.setdefault(group, {})[field] = array
        return groups

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.npz"
