"""Results on disk: a small JSON and the lists of each split, system and seed; a long run can be done in parts."""

import hashlib
import json
import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict

from belfry.dataset.candidates import Candidates, take_top_k

ROOT = Path(__file__).parent.parent.parent
CODE_FOLDERS = ("dataset", "layers", "retrieval", "evaluation")  # what can change a figure

LIST_PARTS = ("users", "row_user", "item_num", "score")  # of Candidates

ModelT = TypeVar("ModelT", bound=BaseModel)


class Estimate(BaseModel):
    """A mean over users and its 95% interval, which a property of all lists together has none of."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mean: float
    low: float | None
    high: float | None


class Chosen(BaseModel):
    """What was found on the validation part of seed 0's train part, before any test part was looked at."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    recall: float  # @100 there
    epochs: int = 0  # of training; 0 where it knows none
    weights: dict[str, float] = {}  # of a combination, by system


class Result(BaseModel):
    """One system on the test part of one seed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str  # results of other settings have another one
    split: str
    system: str
    seed: int
    settings: dict[str, Any]  # those that are not at their default; weights of a combination
    epochs: int  # 0 where training knows none
    n_users: int
    metrics: dict[str, Estimate]
    fit_s: float  # of CPU: training, and filling the index; without the choice of epochs
    users_per_s: float
    versions: dict[str, str]
    code: str  # `code_state` of then
    measured_on: str  # UTC date


VALIDATION = "validation"  # name of the lists for the validation part; those of a test part bear that of their seed


class Store:
    """The results folder; a file under another key counts as not there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def result(self, split: str, system: str, seed: int, key: str) -> Result | None:
        return self._read(Result, self._path(split, system, seed_name(seed)), key)

    def results(self, split: str, system: str, seeds: Sequence[int], key: str) -> list[Result]:
        found = [self.result(split, system, seed, key) for seed in seeds]
        return [result for result in found if result is not None]

    def chosen(self, split: str, system: str, key: str) -> Chosen | None:
        return self._read(Chosen, self._path(split, system, "chosen"), key)

    def keep_result(self, result: Result) -> None:
        self._write(result, self._path(result.split, result.system, seed_name(result.seed)))

    def keep_chosen(self, chosen: Chosen, split: str, system: str) -> None:
        self._write(chosen, self._path(split, system, "chosen"))

    def lists(self, split: str, system: str, name: str, key: str) -> Candidates | None:
        path = self._path(split, system, name, "npz")
        if not path.exists():
            return None
        with np.load(path) as arrays:
            if str(arrays["key"]) != key:
                return None
            users, row_user, item_num, score = (arrays[part] for part in LIST_PARTS)
        return take_top_k(users, row_user, item_num, score, top_k=len(row_user), origin=system)

    def keep_lists(self, lists: Candidates, split: str, system: str, name: str, key: str) -> None:
        """To be kept before the result that is made of them: where that is, they are."""
        path = self._path(split, system, name, "npz")
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_suffix(f".{os.getpid()}.npz")
        np.savez(aside, key=np.array(key), **{part: getattr(lists, part) for part in LIST_PARTS})
        aside.replace(path)

    def _path(self, split: str, system: str, name: str, suffix: str = "json") -> Path:
        return self._folder / split / system / f"{name}.{suffix}"

    def _read(self, model: type[ModelT], path: Path, key: str) -> ModelT | None:
        """Only files of this `key` are held to the present form, so older ones are in nobody's way."""
        if not path.exists() or json.loads(path.read_bytes()).get("key") != key:
            return None
        return model.model_validate_json(path.read_bytes())

    def _write(self, model: BaseModel, path: Path) -> None:
        """Whole or not at all, also beside other processes."""
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_suffix(f".{os.getpid()}")
        aside.write_text(model.model_dump_json(indent=2))
        aside.replace(path)


def seed_name(seed: int) -> str:
    return f"seed-{seed}"


def key_of(*parts: str) -> str:
    """Changes with any of the texts."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


@cache
def code_state(folders: tuple[str, ...] = CODE_FOLDERS) -> str:
    """Changes with any source file that figures depend on, which lie in `folders`."""
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            digest.update(str(path.relative_to(ROOT)).encode() + path.read_bytes())
    return digest.hexdigest()[:16]
