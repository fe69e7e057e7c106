"""A table of a run in Parquet: written as plain values; read where its columns have the types wanted, within bounds."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from belfry.dataset import columns
from belfry.dataset.errors import ArtifactError
from belfry.dataset.vocabulary import Vocabulary
from belfry.layers.saved.files import ReadablePath
from belfry.pipeline.runs.manifest import REMEDY

_GROWTH = 100  # times that a table may be larger than its file
_TEXTS = (pa.string(), pa.large_string())
_ID_TYPES = (pa.int64(), *_TEXTS)


def write_table(table: pa.Table, path: Path) -> None:
    """As plain values, which readers are faster with; what is packed would be smaller."""
    pq.write_table(table, path, compression="none", use_dictionary=False)


def read_table(path: ReadablePath, types_of: Callable[[str], tuple[pa.DataType | None, ...]]) -> pa.Table:
    """One file, whose columns are of these types; `pq.read_table` would load what reads many.

    Raises:
        ArtifactError: it is no such file, or would take many times the memory that the file does.
    """
    content = path.read_bytes()
    try:
        with pq.ParquetFile(pa.BufferReader(content)) as file:
            _check_columns(file, types_of)
            packed = _check_growth(file, len(content))
            table = file.read() if not packed else _unpacked(content, packed)
            table.validate(full=True)
            return table
    except (pa.ArrowException, ValueError, OSError) as error:
        raise ArtifactError(f"{path}: is no table of a run ({str(error)[:200]}); {REMEDY}") from error


def read_ids(
    path: ReadablePath, id_column: str, *, titles: str | None = None, counts: str | None = None
) -> tuple[Vocabulary, pa.Table]:
    """The vocabulary that is kept in a table, in the order of its numbers; and the table, with a column of texts,
    of counts, or neither.

    Raises:
        ArtifactError: it is no such table.
    """
    types = {id_column: _ID_TYPES} | {
        name: (type_,) for name, type_ in ((titles, pa.string()), (counts, pa.int64())) if name
    }
    table = read_table(path, lambda name: types.get(name, (None,)))
    ids = table[id_column] if id_column in table.column_names else pa.chunked_array([], pa.int64())
    if not len(ids) or ids.null_count or set(table.column_names) != types.keys():
        raise ArtifactError(f"{path}: wanted ids in the column {id_column!r}, one in each row; {REMEDY}")
    vocabulary = Vocabulary.of_rising(ids.combine_chunks())
    if vocabulary is None:
        raise ArtifactError(f"{path}: its ids do not rise from row to row, each once; {REMEDY}")
    if counts and (table[counts].null_count or pc.min(table[counts]).as_py() < 0):
        raise ArtifactError(f"{path}: {counts!r} holds what is no count; {REMEDY}")
    return vocabulary, table


def _check_columns(file: pq.ParquetFile, types_of: Callable[[str], tuple[pa.DataType | None, ...]]) -> None:
    """Raises ValueError: there are columns of other types."""
    for column in file.schema_arrow:
        if column.type not in types_of(column.name):
            raise ValueError(f"column {column.name[:100]!r} of type {str(column.type)[:50]}")


def _check_growth(file: pq.ParquetFile, size: int) -> list[str]:
    """The columns of texts that name each text once, and then its number.

    Raises:
        ValueError: the table takes many times the `size` of its file, or may do so.
    """
    columns_of = [column for column in file.schema_arrow if column.name != columns.TITLE]  # whose nulls take no room
    width = sum(4 if column.type in _TEXTS else column.type.bit_width // 8 for column in columns_of)
    groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
    n_rows = sum(group.num_rows for group in groups)
    if n_rows * max(width, 1) > _GROWTH * size:
        raise ValueError(f"{n_rows:,} rows in {size:,} bytes")
    packed = []
    for place, column in enumerate(file.schema_arrow):
        chunks = [group.column(place) for group in groups]
        if any(chunk.compression not in ("UNCOMPRESSED", "SNAPPY") for chunk in chunks):
            raise ValueError(f"column {column.name[:100]!r} is compressed so that it may be of any size")
        if column.type in _TEXTS and any(set(chunk.encodings) - {"PLAIN", "RLE"} for chunk in chunks):
            packed.append(column.name)
    return packed


def _unpacked(content: bytes, names: list[str]) -> pa.Table:
    """The table, with `names` as texts; raises ValueError where these are many times as long as the file."""
    with pq.ParquetFile(pa.BufferReader(content), read_dictionary=names) as file:
        table = file.read()
    for name in names:
        n_bytes = sum(
            pc.sum(pc.binary_length(chunk.dictionary).take(chunk.indices)).as_py() or 0 for chunk in table[name].chunks
        )
        if n_bytes > _GROWTH * len(content):
            raise ValueError(f"column {name[:100]!r} has {n_bytes:,} bytes of text in {len(content):,}")
        table = table.set_column(table.column_names.index(name), name, table[name].cast(pa.string()))
    return table
