"""Dry runs: what training or a table would take on this machine, and whether there is that much of it."""

import logging
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from belfry.dataset import columns
from belfry.dataset.concurrency.machine import available_bytes
from belfry.dataset.encoding.dictionary import distinct_in
from belfry.dataset.errors import TableError
from belfry.dataset.prepare import Data
from belfry.dataset.sources.parts import open_table
from belfry.dataset.sources.reading import AS_IT_IS, Reading
from belfry.dataset.sources.tabular import Source
from belfry.dataset.validation.usual_names import remedy
from belfry.pipeline.jobs.estimate.costs import MEBIBYTE, Cost, Shape, table_cost, training_cost
from belfry.pipeline.jobs.estimate.rates import Rates, known_rates
from belfry.pipeline.jobs.sinks.destination import work_folder
from belfry.pipeline.runs.remote.copies import local_folder
from belfry.pipeline.serving.recommender import Recommender

log = logging.getLogger(__name__)

_ORIGIN = "measured sizes of docs/results/scale.md"


@dataclass(frozen=True)
class Estimate:
    """What work would take."""

    work: str
    shape: Shape
    cost: Cost
    notes: tuple[str, ...]
    available_bytes: int | None  # of memory; None where it cannot be told
    free_bytes: int  # of the disk
    rates: Rates | None = None  # of this machine

    @property
    def problems(self) -> tuple[str, ...]:
        """What there is too little of: of the lower estimates."""
        found = []
        (memory, _), (disk, _) = self.cost.memory_bytes, self.cost.disk_bytes
        if self.available_bytes is not None and memory > self.available_bytes:
            found.append(
                f"memory: at least about {_size(memory)} are needed and {_size(self.available_bytes)} can be had; "
                "take a machine with more, or fewer rows or users"
            )
        if disk > self.free_bytes:
            found.append(f"disk: about {_size(disk)} are needed and {_size(self.free_bytes)} are free; free some")
        return tuple(found)

    def lines(self) -> list[str]:
        """For people."""
        by = "as fast as theirs" if self.rates is None else f"{self.rates.slowness:.2f} times as slow as theirs"
        lines = [
            f"{self.work}: {self.shape.line()}",
            f"CPU     {_both(self.cost.cpu_s, _time)} on one core",
            f"memory  {_both(self.cost.memory_bytes, _size)} at the peak"
            + ("" if self.available_bytes is None else f"; {_size(self.available_bytes)} can be had"),
            f"disk    {_both(self.cost.disk_bytes, _size)}; {_size(self.free_bytes)} are free",
            f"from the {_ORIGIN}, a core taken for {by}"
            + ("; `belfry doctor --rates` measures it" if self.rates is None else f" ({self.rates.measured})"),
        ]
        lines += [f"note: {note}" for note in self.notes]
        return lines + [f"error: {problem}" for problem in self.problems]

    @property
    def document(self) -> dict[str, object]:
        """For programs."""
        return {"is_enough": not self.problems, "problems": self.problems, **asdict(self)}


def estimate_training(
    interactions: Source,
    items: Source | None = None,
    users: Source | None = None,
    *,
    reading: Reading = AS_IT_IS,
    artifacts: Path,
    is_default: bool = True,
    workers: int = 1,
) -> Estimate:
    """What `belfry train` would take; of the tables only ids are read, and nothing is checked.

    Args:
        artifacts: where the run would lie.
        is_default: whether it is the default preset, without settings.
        workers: processes.

    Raises:
        InputError, TableError: a table cannot be read, or has no ids.
    """
    notes = [] if is_default else ["the default preset was measured; others and settings take less or more"]
    return _of_training(read_shape(interactions, items, users, reading), artifacts, workers, notes)


def note_if_scarce(data: Data, artifacts: Path, workers: int) -> None:
    """Say before training where there is too little memory or disk for it."""
    history = data.interactions
    shape = Shape(len(history), len(history.users), len(history.items))
    for problem in _of_training(shape, artifacts, workers, []).problems:
        log.warning("note: %s; this is what the default preset takes", problem)


def _of_training(shape: Shape, artifacts: Path, workers: int, notes: list[str]) -> Estimate:
    rates = known_rates()
    cost = training_cost(shape, slowness=rates.slowness if rates else 1.0, workers=workers)
    return Estimate(
        "training", shape, cost, tuple(notes), _with_own(available_bytes()), _free(local_folder(artifacts)), rates
    )


def estimate_table(recommender: Recommender, out: str | Path, users: pa.Array | pa.Table | None, n: int) -> Estimate:
    """What `write_batch` would take, by one thread."""
    history = recommender.features.history
    shape = Shape(len(history), len(history.users), len(history.items))
    n_asked = shape.n_users if users is None else len(users)
    run_bytes = sum(path.stat().st_size for path in recommender.run.folder.rglob("*") if path.is_file())
    rates = known_rates()
    cost = table_cost(shape, run_bytes, n_asked, n, slowness=rates.slowness if rates else 1.0)
    work = f"table of {n} for {n_asked:,} users"
    available = _with_own(available_bytes())  # the run is in memory already
    return Estimate(work, shape, cost, (), available, _free(work_folder(out)), rates)


def read_shape(
    interactions: Source, items: Source | None = None, users: Source | None = None, reading: Reading = AS_IT_IS
) -> Shape:
    """Rows and distinct ids; Parquet is read in parts."""
    n_watches = 0
    counts: dict[str, int] = {}
    for label, source in (("interactions", interactions), ("items", items), ("users", users)):
        if source is None:
            continue
        table = open_table(source, reading)
        wanted = {"items": [columns.ITEM_ID], "users": [columns.USER_ID]}.get(label, [columns.USER_ID, columns.ITEM_ID])
        if missing := [name for name in wanted if name not in table.schema.names]:
            raise TableError(f"{label}: no column {', '.join(missing)}: {remedy(missing, table.schema.names, label)}")
        distinct: dict[str, pa.Array | None] = dict.fromkeys(wanted)
        for part in table.read(wanted):
            n_watches += len(part) if label == "interactions" else 0
            for name in wanted:
                known = distinct[name]
                chunks = [distinct_in(part[name])] if known is None else [known, distinct_in(part[name])]
                distinct[name] = pc.unique(pa.chunked_array(chunks))
        for name, ids in distinct.items():
            counts[name] = max(counts.get(name, 0), 0 if ids is None else len(ids) - ids.null_count)
    return Shape(n_watches, counts[columns.USER_ID], counts[columns.ITEM_ID])


def _free(folder: Path) -> int:
    """Bytes of the disk that a folder is, or will be, on."""
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free


def _with_own(available: int | None) -> int | None:
    """Memory that can be had, with what this process holds already."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return available
    return None if available is None else available + pages * 4096


def _both(values: tuple[float, float], shown: Callable[[float], str]) -> str:
    low, high = map(shown, values)
    return f"about {low}" if low == high else f"about {low} to {high}"


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _size(n_bytes: float) -> str:
    mib = n_bytes / MEBIBYTE
    return f"{mib:,.0f} MiB" if mib < 2048 else f"{mib / 1024:,.1f} GiB"
