"""What `compare` may be handed: run folders and tables, opened alike, with what was recorded of their cost."""

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from belfry.dataset.errors import InputError
from belfry.dataset.history.repeats import Repeats
from belfry.dataset.sources.reading import AS_IT_IS, Reading
from belfry.dataset.sources.tabular import Source
from belfry.evaluation.context import EvaluationContext
from belfry.evaluation.table_lists import TableLists, open_lists, repeats_of_table
from belfry.pipeline.jobs.sinks.base import writing
from belfry.pipeline.jobs.sinks.parquet import ParquetSink
from belfry.pipeline.runs.reader import is_artifacts, is_run
from belfry.pipeline.serving.recommender import PathLike, Recommender

USERS_PER_CALL = 1_000


@dataclass
class Part(ABC):
    """One run of training, or one table, of a system."""

    label: str  # in messages
    name: str  # of a system that begins with it
    long_name: str  # the same with the folder, where the file's name is not enough
    recommender: Recommender | None = field(default=None, kw_only=True)  # of a run

    @abstractmethod
    def repeats(self) -> Repeats | None:
        """What its lists hold of seen items, as it says itself; None where it does not."""

    @abstractmethod
    def lists(self, context: EvaluationContext, folder: Path, *, depth: int, repeats: Repeats) -> TableLists:
        """Its lists; `folder` may be written to, and outlives them.

        Args:
            depth: length of lists that are made here.
            repeats: what such lists hold of seen items.
        """

    def costs(self) -> dict[str, str]:
        return {}


@dataclass
class TablePart(Part):
    """A table, whoever made it."""

    table: Source
    reading: Reading = AS_IT_IS

    def repeats(self) -> Repeats | None:
        return repeats_of_table(self.table)

    def lists(self, context: EvaluationContext, folder: Path, *, depth: int, repeats: Repeats) -> TableLists:
        return open_lists(self.table, context, folder, label=self.label, reading=self.reading)


@dataclass
class RunPart(Part):
    """A published run: it makes lists for the judged users when asked."""

    recommender: Recommender = field(kw_only=True)
    ms_per_user: float = field(default=float("nan"), init=False)

    def repeats(self) -> Repeats:
        return self.recommender.repeats

    def lists(self, context: EvaluationContext, folder: Path, *, depth: int, repeats: Repeats) -> TableLists:
        users = context.history.users.take(context.users)
        path, seconds = folder / "lists.parquet", 0.0
        schema = self.recommender.recommend_many(users[:0], depth).schema
        with writing(ParquetSink(path), schema) as sink:
            for start in range(0, len(users), USERS_PER_CALL):
                started = time.perf_counter()
                block = users[start : start + USERS_PER_CALL]
                lists = self.recommender.recommend_many(block, depth, repeats=repeats)
                seconds += time.perf_counter() - started
                sink.write(lists.to_arrow())
        self.ms_per_user = 1000 * seconds / len(users)
        return open_lists(path, context, folder, label=self.label)

    def costs(self) -> dict[str, str]:
        manifest = self.recommender.run.manifest
        size = sum(entry.size for entry in manifest.files.values())
        costs = {
            "lists made here": f"{self.ms_per_user:.2f} ms per user",
            "size of the run": f"{size / (1 << 20):.1f} MiB",
            "published": manifest.created_at,
            "preset and seed": f"{manifest.preset}, {manifest.seed}",
        }
        index: Any = manifest.notes.get("index")
        if isinstance(index, dict):
            costs |= {f"index: {name.replace('_', ' ')}": f"{value}" for name, value in index.items() if value}
        return costs


@dataclass(frozen=True)
class Opened:
    """One system."""

    name: str
    long_name: str
    parts: tuple[Part, ...]

    def costs(self) -> dict[str, str]:
        """What is known of the first run of training."""
        return self.parts[0].costs()

    @property
    def recommenders(self) -> list[Recommender]:
        """Of the parts that are runs."""
        return [part.recommender for part in self.parts if part.recommender is not None]


def open_systems(
    systems: Sequence[Any], names: Sequence[str], reading: Reading, require_signature: PathLike | None
) -> list[Opened]:
    """Systems with names of their own: as given, else by file, else by folder and file, else numbered.

    Raises:
        InputError: there is nothing there, a run is damaged, or there are more names than systems.
    """
    opened = [_open_system(*one, reading, require_signature) for one in zip(systems, _labels(), strict=False)]
    if len(names) > len(opened):
        raise InputError(f"names: there are {len(names)} for {len(opened)} systems")
    found = [*names, *(one.name for one in opened[len(names) :])]
    longer = [name if found.count(name) == 1 else one.long_name for name, one in zip(found, opened, strict=True)]
    unique = [name if longer.count(name) == 1 else f"{name} ({place})" for place, name in enumerate(longer, 1)]
    return [replace(one, name=name) for one, name in zip(opened, unique, strict=True)]


def common_repeats(systems: Sequence[Opened]) -> Repeats:
    """The rule that all runs and tables go by which say one; "exclude" where none does.

    Raises:
        InputError: they differ.
    """
    said = {part.label: part.repeats() for system in systems for part in system.parts}
    told = {label: repeats for label, repeats in said.items() if repeats is not None}
    if len(set(told.values())) > 1:
        each = ", ".join(f"{label}: {repeats}" for label, repeats in told.items())
        raise InputError(
            f"compare: the systems differ in what lists hold of seen items ({each}); name one rule for all by --repeats"
        )
    return next(iter(told.values()), "exclude")


def _labels() -> Iterator[str]:
    """What systems are called where no path gives them a name: A, B, ..., Z, system 27, ..."""
    yield from ascii_uppercase
    yield from (f"system {place}" for place in count(len(ascii_uppercase) + 1))


def _open_system(system: Any, label: str, reading: Reading, require_signature: PathLike | None) -> Opened:
    several = list(system) if isinstance(system, Sequence) and not isinstance(system, str) else [system]
    if not several:
        raise InputError("compare: a system is an empty sequence; name its runs of training")
    parts = tuple(_open(one, label, reading, require_signature) for one in several)
    return Opened(parts[0].name, parts[0].long_name, parts)


def _open(source: Source, label: str, reading: Reading, require_signature: PathLike | None) -> Part:
    if not isinstance(source, str | Path):
        return TablePart(label, label, label, source, reading)
    path = Path(source)
    if is_run(path) or is_artifacts(path):
        recommender = Recommender.load(path, require_signature=require_signature)
        name = recommender.run.name
        return RunPart(name, name, name, recommender=recommender)
    return TablePart(str(path), path.name.partition(".")[0], "/".join(path.parts[-2:]), path, reading)
