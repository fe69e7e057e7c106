"""Tables that are read in parts and need not fit into memory."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from belfry.dataset.sources.tabular import PARQUET_SUFFIXES, Source, parquet_files, read_table, reading

ROWS_PER_PART = 1 << 20


@dataclass(frozen=True)
class TableParts:
    """A table that is read in parts, as often as asked, and need not fit into memory."""

    schema: pa.Schema
    n_rows: int
    read: Callable[[Sequence[str]], Iterator[pa.Table]] = field(repr=False)  # names of columns -> the rows, in parts


def open_table(source: Source) -> TableParts:
    """Any source that `read_table` takes; Parquet is read from the disk part by part, the rest is held in memory.

    Raises:
        InputError, TableError: as `read_table`; what only the rows can tell comes when they are read.
    """
    if isinstance(source, str | Path):
        path = Path(source)
        if path.is_dir():
            return _open_parquet(path, parquet_files(path))
        if path.is_file() and path.name.lower().endswith(PARQUET_SUFFIXES) and path.stat().st_size:
            return _open_parquet(path, [path])
    table = read_table(source)

    def slices(names: Sequence[str]) -> Iterator[pa.Table]:
        chosen = table.select(list(names))
        for start in range(0, len(table), ROWS_PER_PART):
            yield chosen.slice(start, ROWS_PER_PART)

    return TableParts(table.schema, len(table), slices)


def _open_parquet(source: Path, paths: list[Path]) -> TableParts:
    import pyarrow.parquet as pq

    with reading(source):
        heads = [pq.ParquetFile(path) for path in paths]
        schema = pa.unify_schemas([head.schema_arrow for head in heads], promote_options="permissive")
        n_rows = sum(head.metadata.num_rows for head in heads)
        for head in heads:
            head.close()

    def batches(names: Sequence[str]) -> Iterator[pa.Table]:
        wanted = pa.schema([schema.field(name) for name in names])
        for path in paths:
            with reading(path), pq.ParquetFile(path) as file:
                for batch in file.iter_batches(ROWS_PER_PART, columns=list(names)):
                    part = pa.Table.from_batches([batch])
                    part.validate(full=True)
                    missing = [name for name in names if name not in part.column_names]
                    for name in missing:
                        part = part.append_column(name, pa.nulls(len(part), wanted.field(name).type))
                    yield part.select(list(names)).cast(wanted)

    return TableParts(schema, n_rows, batches)
