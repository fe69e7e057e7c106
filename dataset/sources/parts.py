"""Tables that are read in parts and need not fit into memory."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from belfry.dataset.encoding.text import is_text
from belfry.dataset.sources.folders import common_schema, partition_columns, table_files
from belfry.dataset.sources.kinds import PARQUET_SUFFIXES
from belfry.dataset.sources.reading import AS_IT_IS, Reading, explaining
from belfry.dataset.sources.tabular import Source, read_table
from belfry.dataset.sources.web.objects import address_of

ROWS_PER_PART = 1 << 20


@dataclass(frozen=True)
class TableParts:
    """A table that is read in parts, as often as asked, and need not fit into memory."""

    schema: pa.Schema
    n_rows: int
    read: Callable[[Sequence[str]], Iterator[pa.Table]] = field(repr=False)  # names of columns -> the rows, in parts


def is_in_parts(source: Source) -> bool:
    """Whether `open_table` reads the source from the disk part by part: a Parquet file, or a folder of them."""
    return bool(_parquet_of(source))


def open_table(source: Source, reading: Reading = AS_IT_IS) -> TableParts:
    """Any source that `read_table` takes; Parquet is read from the disk part by part, the rest is held in memory.

    Raises:
        InputError, TableError: as `read_table`; what only the rows can tell comes when they are read.
    """
    if paths := _parquet_of(source):
        return _open_parquet(Path(str(source)), paths, reading)
    table = read_table(source, reading)

    def slices(names: Sequence[str]) -> Iterator[pa.Table]:
        chosen = table.select(list(names))
        for start in range(0, len(table), ROWS_PER_PART):
            yield chosen.slice(start, ROWS_PER_PART)

    return TableParts(table.schema, len(table), slices)


def _parquet_of(source: Source) -> list[Path]:
    """The Parquet files that a source is; none where it is something else, or nothing."""
    if not isinstance(source, str | Path) or address_of(source):
        return []
    path = Path(source)
    with explaining(path):
        paths = table_files(path)[0] if path.is_dir() else [path] if path.is_file() else []
        return paths if all(map(_is_parquet, paths)) else []


def _is_parquet(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(4)
    return head == b"PAR1" or (bool(head) and path.name.lower().endswith(PARQUET_SUFFIXES))


def _open_parquet(source: Path, paths: list[Path], reading: Reading) -> TableParts:
    from belfry.dataset.sources.parquet import read_blocks, schema_and_rows

    with explaining(source):
        heads = {path: schema_and_rows(path) for path in paths}
        folder = source if source.is_dir() else source.parent
        schema = common_schema(folder, {path: schema for path, (schema, _) in heads.items()})
        n_rows = sum(n for _, n in heads.values())
        said = partition_columns(source, paths) if source.is_dir() else {}
        said = {name: values for name, values in said.items() if name not in schema.names}
        for name, values in said.items():
            schema = schema.append(pa.field(name, values.type))
        given = schema.names
        renamed = reading.rename(given, str(source))
        schema = pa.schema(
            [one.with_name(name) for one, name in zip(schema, renamed, strict=True)], metadata=schema.metadata
        )

    def batches(names: Sequence[str]) -> Iterator[pa.Table]:
        asked = [given[renamed.index(name)] for name in names]
        for place, path in enumerate(paths):
            with explaining(path):
                for batch in read_blocks(path, asked, ROWS_PER_PART):
                    part = pa.Table.from_batches([batch])
                    for name in asked:
                        if name not in part.column_names:
                            value = said[name][place] if name in said else None
                            kind = schema.field(renamed[given.index(name)]).type
                            part = part.append_column(
                                name, pa.repeat(pa.scalar(value and value.as_py(), kind), len(part))
                            )
                    part = part.select(asked).rename_columns(list(names))
                    fields = [schema.field(name) for name in names]
                    wanted = [one.with_type(_still_encoded(part[one.name].type, one.type)) for one in fields]
                    yield part.cast(pa.schema(wanted))

    return TableParts(schema, n_rows, batches)


def _still_encoded(found: pa.DataType, wanted: pa.DataType) -> pa.DataType:
    """The type to give a column of `wanted` in: text that was read as codes stays so."""
    is_encoded = pa.types.is_dictionary(found) and is_text(wanted)
    return pa.dictionary(found.index_type, wanted) if is_encoded else wanted
