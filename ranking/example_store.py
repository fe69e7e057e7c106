"""ExampleStore: examples in memory as long as they fit, then in Parquet files, read back one file at a time."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from belfry.ranking.examples import Examples, concatenate
from belfry.ranking.lists import Lists

_LISTS, _ROWS = "lists.parquet", "rows.parquet"
_N_RELEVANT, _LENGTH, _USER, _HISTORY, _ITEM, _LABEL = "n_relevant", "length", "user", "history", "item", "label"


class ExampleSource(Protocol):
    """Examples to learn from, wherever they are."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of the features."""
        ...

    def __len__(self) -> int:
        """Count of lists."""
        ...

    def blocks(self, generator: np.random.Generator) -> Iterator[Examples]:
        """Everything once, in parts that fit into memory, in an order drawn from `generator`."""
        ...


class ExampleStore:
    """Examples part by part, in memory up to a limit and on disk beyond it; gone from disk when it is closed."""

    def __init__(self, *, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._in_memory: list[Examples] = []
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._files: list[Path] = []
        self._n_lists = 0
        self.names: tuple[str, ...] = ()

    def close(self) -> None:
        """Let go of what is in memory, and remove what is on disk."""
        self._in_memory.clear()
        if self._folder:
            self._folder.cleanup()

    def __len__(self) -> int:
        return self._n_lists

    def add(self, examples: Examples) -> None:
        """Keep another part; the features must be those of the earlier ones."""
        if not len(examples):
            return
        self.names = examples.lists.names
        self._n_lists += len(examples)
        self._in_memory.append(examples)
        if sum(part.lists.pairs.nbytes for part in self._in_memory) > self._limit_bytes:
            self._spill()

    def blocks(self, generator: np.random.Generator) -> Iterator[Examples]:
        """As in `ExampleSource`: what is in memory as one part, then each file."""
        if self._in_memory:
            if len(self._in_memory) > 1:
                self._in_memory = [concatenate(self._in_memory)]
            yield self._in_memory[0]
        for place in generator.permutation(len(self._files)):
            yield read_examples(self._files[place])

    def _spill(self) -> None:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="belfry-examples-")
        for part in self._in_memory:
            folder = Path(self._folder.name) / f"part-{len(self._files):05}"
            write_examples(part, folder)
            self._files.append(folder)
        self._in_memory = []


def write_examples(examples: Examples, folder: Path) -> None:
    """Write lists.parquet, a row for each list, and rows.parquet, a row for each candidate with its features."""
    folder.mkdir(parents=True)
    lists = examples.lists
    width = lists.history.shape[1]
    of_lists = {
        _USER: lists.users,
        _LENGTH: lists.lengths,
        _N_RELEVANT: examples.n_relevant,
        _HISTORY: pa.FixedSizeListArray.from_arrays(pa.array(lists.history.ravel()), width),
    }
    pq.write_table(pa.table(of_lists), folder / _LISTS)
    columns = {_ITEM: lists.items, _LABEL: examples.labels}
    columns |= {f"feature.{name}": lists.pairs[:, place] for place, name in enumerate(lists.names)}
    pq.write_table(pa.table(columns), folder / _ROWS, compression="zstd")


def read_examples(folder: Path) -> Examples:
    """What `write_examples` wrote."""
    of_lists, rows = pq.read_table(folder / _LISTS), pq.read_table(folder / _ROWS)
    names = [name for name in rows.column_names if name.startswith("feature.")]
    pairs = np.stack([rows[name].to_numpy() for name in names], axis=1)
    history = of_lists[_HISTORY].combine_chunks()
    lists = Lists(
        pairs,
        tuple(name.removeprefix("feature.") for name in names),
        rows[_ITEM].to_numpy(),
        np.append(0, np.cumsum(of_lists[_LENGTH].to_numpy())),
        of_lists[_USER].to_numpy(),
        history.flatten().to_numpy().reshape(len(history), -1),
    )
    return Examples(lists, rows[_LABEL].to_numpy(), of_lists[_N_RELEVANT].to_numpy())
