"""What a run's work needs at least: operations and reads, counted on what the run holds; no time in it is assumed."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pyarrow.parquet as pq

from belfry.layers.saved.files import load_arrays, read_arrays
from belfry.pipeline.runs.manifest import MANIFEST, Manifest, read_manifest
from belfry.pipeline.training.train import LAST_FIRST_STAGE
from belfry.ranking.features.groups.times import WINDOWS, WatchTimes


@dataclass(frozen=True)
class Need:
    """Operations and reads that no way around is known of."""

    what: str
    flops: float = 0.0
    lookups: float = 0.0  # of single numbers, in no order
    bytes: float = 0.0  # read in rows

    def seconds(self, machine: Mapping[str, float]) -> float:
        """On one core that does nothing but this as fast as it can, one kind after another."""
        return self.flops / machine["flops"] + self.lookups / machine["lookups"] + self.bytes / machine["bytes"]


@dataclass(frozen=True)
class Run:
    """A published run, as far as its size tells what work it is."""

    folder: Path
    manifest: Manifest

    @classmethod
    def open(cls, folder: Path) -> "Run":
        return cls(folder, read_manifest(folder / MANIFEST))

    @property
    def n_users(self) -> int:
        return int(pq.read_metadata(self.folder / "users.parquet").num_rows)

    @property
    def n_items(self) -> int:
        return int(pq.read_metadata(self.folder / "items.parquet").num_rows)

    @property
    def n_events(self) -> int:
        return len(self._history["item_num"])

    @property
    def n_candidates(self) -> int:
        found = self.manifest.config["n_candidates"]
        assert isinstance(found, int)
        return min(found, self.n_items)

    @property
    def pair_tables(self) -> dict[str, tuple[int, int]]:
        """Shapes of the ranker's arrays with a row for each item."""
        return _tables_in(self._pair_arrays, self.n_items)

    @property
    def neighbours(self) -> dict[str, tuple[float, int]]:
        """Of each table of neighbours: the mean count of a watch, and of how many watches of a user they are read."""
        arrays = self._pair_arrays
        watched = self._history["item_num"]
        if "neighbours/tables" not in arrays:
            return {}
        names, start, recent = (arrays[f"neighbours/{name}"] for name in ("tables", "start", "n_recent"))
        counts = np.diff(start).reshape(len(names), -1)
        return {
            name: (float(of_items[watched].mean()), n_recent)
            for name, of_items, n_recent in zip(names.tolist(), counts, recent.tolist(), strict=True)
        }

    @property
    def _history(self) -> dict[str, np.ndarray]:
        return load_arrays(self.folder / "history")

    @property
    def _pair_arrays(self) -> dict[str, np.ndarray]:
        folder = self.folder / "serving" / "ranker" / "pair_features"
        return load_arrays(folder) if folder.is_dir() else {}

    @property
    def largest_table(self) -> int:
        """Numbers in the largest of them."""
        return max((rows * width for rows, width in self.pair_tables.values()), default=1 << 20)


def table_work(run: Run) -> list[Need]:
    """For the list of one user with a history of mean length."""
    length, k = run.n_events / run.n_users, run.n_candidates
    return [*_source_work(run, length), *_feature_work(run, length, k), *_ranker_work(run, k)]


def last_stage_work(run: Run) -> list[Need]:
    """For the first stage on everything: towers by their epochs, closed forms by their inverses.

    In an epoch each user asks once at least: a product with the candidates forward and two backward, and a row of the
    tables read for each watch. The inverse of a symmetric [n, n] matrix takes n^3 operations.
    """
    found = []
    notes = run.manifest.notes["sources"]
    assert isinstance(notes, dict)
    for name, source in _sources(run).items():
        vectors = _source_folder(run, name) / "vectors.npy"
        note = notes.get(name)
        epochs = note.get("epochs") if isinstance(note, dict) else None
        if vectors.is_file() and isinstance(epochs, int) and epochs:
            model = source["model"]
            is_whole = run.n_items <= (model.get("n_candidates") or run.n_items)
            n_candidates = run.n_items if is_whole else model.get("n_sampled") or model["n_candidates"]
            dim = np.load(vectors, mmap_mode="r").shape[1]
            flops, read = 6 * run.n_users * dim * n_candidates, 4 * run.n_events * dim
            found.append(Need(f"{epochs} epochs of {name}", flops=epochs * flops, bytes=epochs * read))
    squares = [shape for name in _sources(run) for shape in _arrays_of(run, name).values() if shape[0] == shape[1]]
    if squares:
        found.append(Need(f"{len(squares)} inverses", flops=float(sum(n**3 for n, _ in squares))))
    return found


def seconds_of_last_stage(run: Run) -> float:
    """CPU seconds that the run took for it."""
    seconds = run.manifest.notes["seconds"]
    assert isinstance(seconds, dict)
    stage = seconds[LAST_FIRST_STAGE]
    assert isinstance(stage, dict)
    return float(str(stage["cpu"]))


def _source_work(run: Run, length: float) -> Iterator[Need]:
    for name in _sources(run):
        vectors = _source_folder(run, name) / "vectors.npy"
        if vectors.is_file():
            dim = np.load(vectors, mmap_mode="r").shape[1]
            read = 4 * length * dim  # one vector for each watch
            yield Need(f"{name}: query and search", flops=2 * (length + run.n_items) * dim, bytes=read)
        for array, (rows, width) in _arrays_of(run, name).items():
            if rows == width:
                yield Need(f"{name}: {array}", flops=length * width, bytes=4 * length * width)


def _feature_work(run: Run, length: float, k: int) -> Iterator[Need]:
    """Neighbours are read of each watch that counts, counts at both ends of each window of time, factors of watches
    and candidates.
    """
    neighbours = sum(min(length, n_recent) * n_neighbours for n_neighbours, n_recent in run.neighbours.values())
    counts, factors = 0.0, 0.0
    for name, (_, width) in run.pair_tables.items():
        _, _, array = name.partition("/")
        if name == f"{WatchTimes.name}/count":
            counts += 2 * len(WINDOWS) * k
        elif array.endswith("factors"):
            factors += (length + k) * width
    if neighbours:
        yield Need("pair features: neighbours", flops=2 * neighbours, lookups=neighbours, bytes=8 * neighbours)
    if counts:
        yield Need("pair features: counts by time", flops=counts, lookups=counts)
    if factors:
        yield Need("pair features: factors of items", flops=2 * factors, bytes=4 * factors)


def _ranker_work(run: Run, k: int) -> Iterator[Need]:
    folder = run.folder / "serving" / "ranker"
    if (graph := folder / "ranker.onnx").is_file():
        n_weights = _n_weights(graph)
        yield Need(f"network of {n_weights:,} weights", flops=2.0 * k * n_weights)
    elif (trees := folder / "ranker.txt").is_file():
        leaves = [int(line.partition("=")[2]) for line in trees.read_text().splitlines() if line.startswith("num_lea")]
        steps = float(np.log2(np.maximum(leaves, 1)).sum())  # where trees are balanced; others are deeper
        yield Need(f"{len(leaves)} trees", flops=k * steps, lookups=k * steps)


def _n_weights(graph: Path) -> int:
    """Of matrices that a row is multiplied with; tables that are read by number are none."""
    model = onnx.load(str(graph)).graph
    read_by_number = {node.input[0] for node in model.node if node.op_type == "Gather"}
    return sum(
        int(np.prod(array.dims))
        for array in model.initializer
        if len(array.dims) >= 2 and array.name not in read_by_number
    )


def _sources(run: Run) -> dict[str, dict[str, dict[str, float]]]:
    found: dict[str, dict[str, dict[str, float]]] = json.loads((run.folder / "serving" / "sources.json").read_text())
    return found


def _source_folder(run: Run, name: str) -> Path:
    return run.folder / "serving" / "sources" / name


def _arrays_of(run: Run, name: str) -> dict[str, tuple[int, int]]:
    arrays: dict[str, tuple[int, int]] = {}
    for path in sorted(_source_folder(run, name).glob("*.npz")):
        arrays |= _tables_in(read_arrays(path), run.n_items)
    return arrays


def _tables_in(arrays: dict[str, np.ndarray], n_items: int) -> dict[str, tuple[int, int]]:
    shapes = {name: values.shape for name, values in arrays.items()}
    return {name: (shape[0], shape[1]) for name, shape in shapes.items() if len(shape) == 2 and shape[0] == n_items + 1}
