"""What `compare` may be handed: run folders and tables, opened alike, with what was recorded of their cost."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from belfry.dataset.errors import InputError
from belfry.dataset.sources.tabular import CSV_SUFFIXES, Source, open_table, read_tables
from belfry.dataset.vocabulary import Vocabulary
from belfry.evaluation.table_lists import TableSource
from belfry.pipeline.runs.manifest import MANIFEST
from belfry.pipeline.runs.reader import CURRENT
from belfry.pipeline.serving.recommender import Recommender

if TYPE_CHECKING:
    from belfry.pipeline.jobs.compared_data import CompareData

USERS_PER_CALL = 1_000


class Part:
    """One run of training, or one table, of a system."""

    label: str

    def source(self, data: "CompareData", depth: int, folder: Path) -> TableSource:
        """Its lists; `folder` may be written to, and outlives them."""
        raise NotImplementedError

    def costs(self, data: "CompareData") -> dict[str, str]:
        return {}


@dataclass
class TablePart(Part):
    """A table, whoever made it."""

    table: Source
    label: str

    def source(self, data: "CompareData", depth: int, folder: Path) -> TableSource:
        table = self.table
        if isinstance(table, str | Path) and str(table).lower().endswith(CSV_SUFFIXES):
            # A CSV file does not say whether ids are numbers: those of the data decide.
            history = data.context.history
            known = {"item_id": history.items.ids}, {"user_id": history.users.ids}
            table = read_tables(table, *map(pa.table, known)).interactions
        parts = open_table(table)
        return TableSource(self.label, parts.schema, parts.n_rows, parts.read)


@dataclass
class RunPart(Part):
    """A published run: it makes lists for the judged users when asked."""

    recommender: Recommender
    label: str
    ms_per_user: float = field(default=float("nan"), init=False)

    @property
    def items(self) -> Vocabulary:
        return self.recommender.items

    def source(self, data: "CompareData", depth: int, folder: Path) -> TableSource:
        users = data.context.history.users.take(data.context.users)
        path, writer = folder / "lists.parquet", None
        seconds = 0.0
        for start in range(0, len(users), USERS_PER_CALL):
            started = time.perf_counter()
            lists = self.recommender.recommend_many(
                users[start : start + USERS_PER_CALL], depth, exclude_seen=not data.seen_allowed
            )
            seconds += time.perf_counter() - started
            if writer is None:
                writer = pq.ParquetWriter(path, lists.schema)
            writer.write_table(lists)
        assert writer
        writer.close()
        self.ms_per_user = 1000 * seconds / len(users)
        parts = open_table(path)
        return TableSource(self.label, parts.schema, parts.n_rows, parts.read)

    def costs(self, data: "CompareData") -> dict[str, str]:
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
    long_name: str  # with the folder, where the file's name is not enough
    parts: tuple[Part, ...]

    def costs(self, data: "CompareData") -> dict[str, str]:
        """What is known of the first run of training."""
        return self.parts[0].costs(data)


def open_system(system: Any, label: str) -> Opened:
    """One system; `label` is what it is called where no path gives it a name.

    Raises:
        InputError: there is nothing there, or a run is damaged.
    """
    several = list(system) if isinstance(system, Sequence) and not isinstance(system, str) else [system]
    if not several:
        raise InputError("compare: a system is an empty sequence; name its runs of training")
    parts = tuple(_open(one, label) for one in several)
    name = long_name = parts[0].label
    if isinstance(first := several[0], str | Path) and isinstance(parts[0], TablePart):
        path = Path(first)
        name, long_name = path.name.partition(".")[0], "/".join(path.parts[-2:])
    return Opened(name, long_name, parts)


def _open(source: Source, label: str) -> Part:
    if not isinstance(source, str | Path):
        return TablePart(source, label)
    path = Path(source)
    if (path / MANIFEST).exists() or (path / CURRENT).exists():
        recommender = Recommender.load(path)
        return RunPart(recommender, recommender.run.name)
    return TablePart(path, str(path))
