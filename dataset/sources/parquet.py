"""Parquet files, read in blocks; those left out that hold little and unpack to much."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pyarrow as pa
import pyarrow.parquet as pq

from belfry.dataset.concurrency.machine import available_bytes
from belfry.dataset.encoding.dictionary import encoded
from belfry.dataset.encoding.text import is_text, n_bytes_of_text, written_out
from belfry.dataset.errors import TableError
from belfry.dataset.sources.frames import with_range_index, without_view

MAX_UNPACKED = 1 << 30  # bytes that any file may unpack to
MAX_GROWTH = 500  # times its size that a file may unpack to beyond that; tables of events grow by some 10
ROWS_PER_BLOCK = 1 << 19

_WIDTHS = {"BOOLEAN": 0.125, "INT32": 4, "INT64": 8, "INT96": 8, "FLOAT": 4, "DOUBLE": 8, "BYTE_ARRAY": 4}  # bytes
_BYTES_PER_BLOCK = 1 << 26  # where rows are long
_ROWS_OF_DELTAS = 1 << 10  # of a block: how long their text is shows only when it is there
_COPIES = 2  # of what is read, while it is checked
_COPIES_OF_TEXT = 3
_BLOCKS_BESIDE = 4  # of one column, with a dictionary each


def read_parquet(label: str, source: Path | bytes, encode: Collection[str] = ()) -> pa.Table:
    """One table.

    Text is read as the file holds it, each value once, so that how long it is altogether is known before it is that.

    Args:
        label: what messages call it.
        encode: columns that are given encoded, if they are text or integers.

    Raises:
        TableError: few runs of equal values, or a long text in many rows or lists, stand for more than memory is likely
            to hold.
    """
    limit = _Limit.of(label, source, available_bytes())
    with _open(source) as file:
        schema = _schema(file)
        contents = _Contents.of(file.metadata)
    contents.check(limit)
    ids = {one.name for one in schema if one.name in encode and (is_text(one.type) or pa.types.is_integer(one.type))}
    columns: list[list[pa.Array]] = [[] for _ in schema]
    n_bytes = n_written = 0
    for batch in _batches(source, contents, contents.rows_per_block(ROWS_PER_BLOCK)):
        for field, chunks, block in zip(schema, columns, batch.columns, strict=True):
            n_text = n_bytes_of_text(block)
            n_bytes += n_text
            n_written += 0 if field.name in ids else n_text
            chunks.append(block)
            if field.name in ids and pa.types.is_dictionary(block.type) and len(chunks) % _BLOCKS_BESIDE == 0:
                chunks[:] = _alike(chunks)  # each brought its distinct values
        limit.check_growth(n_bytes, "text that repeats; shorten it, or leave the column out")
        limit.check_memory(_COPIES_OF_TEXT * n_written)
    arrays = []
    for field, chunks in zip(schema, columns, strict=True):
        if field.name in ids:
            arrays.append(encoded(pa.chunked_array(chunks, None if chunks else field.type)))
        else:
            written = (chunk for _ in range(len(chunks)) for chunk in written_out(chunks.pop(0), field.type))
            arrays.append(pa.chunked_array(written, field.type))
        chunks.clear()
    fields = [field.with_type(column.type) for field, column in zip(schema, arrays, strict=True)]
    return with_range_index(pa.table(arrays, schema=pa.schema(fields, metadata=schema.metadata)))


def read_blocks(source: Path, names: Collection[str], most_rows: int) -> Iterator[pa.RecordBatch]:
    """Some columns of a table that need not fit into memory; text is encoded, each block with its distinct values.

    Raises:
        TableError: few runs of equal values stand for more rows than such a file is likely to hold.
    """
    with _open(source) as file:
        contents = _Contents.of(file.metadata, names)
    contents.check(_Limit.of(str(source), source))
    yield from _batches(source, contents, contents.rows_per_block(most_rows), names)


def schema_and_rows(source: Path) -> tuple[pa.Schema, int]:
    """What `read_blocks` will bring, text as if it were not encoded."""
    with _open(source) as file:
        return _schema(file), file.metadata.num_rows


@dataclass(frozen=True)
class _Limit:
    """What one file may unpack to."""

    label: str
    size: int  # bytes of the file
    memory: int | None  # bytes that can be had; None sets no limit

    @classmethod
    def of(cls, label: str, source: Path | bytes, memory: int | None = None) -> Self:
        return cls(label, len(source) if isinstance(source, bytes) else source.stat().st_size, memory)

    def check_growth(self, n_bytes: int, cause: str) -> None:
        """Raises:
        TableError: a file of this size is not likely to hold so much.
        """
        if n_bytes > max(MAX_UNPACKED, MAX_GROWTH * self.size):
            raise TableError(f"{self.label}: {self.size:,} bytes unpack to at least {n_bytes:,}: {cause}")

    def check_memory(self, n_bytes: int) -> None:
        """Raises:
        TableError: so much cannot be had.
        """
        if self.memory is not None and n_bytes > self.memory:
            raise TableError(
                f"{self.label}: takes some {n_bytes:,} bytes of memory to read and check, and {self.memory:,} can be "
                "had; free some, or leave rows or columns out"
            )


@dataclass(frozen=True)
class _Contents:
    """What the end of a file says of its columns, before any of them is read.

    What it says of their parts is left alone: PyArrow ends the process where that is damaged.
    """

    n_rows: int
    n_bytes: int  # that they unpack to at least
    texts: tuple[str, ...]  # paths of columns that can be read encoded

    @classmethod
    def of(cls, metadata: pq.FileMetaData, names: Collection[str] | None = None) -> Self:
        """Of the columns of these names."""
        groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
        n_rows = max(metadata.num_rows, sum(group.num_rows for group in groups))
        width: float = 0
        texts = []
        for place in range(metadata.num_columns):
            column = metadata.schema.column(place)
            if names is not None and not any(f"{column.path}.".startswith(f"{name}.") for name in names):
                continue
            width += _WIDTHS.get(column.physical_type) or max(0, column.length)
            if column.physical_type == "BYTE_ARRAY" and column.logical_type.type != "DECIMAL":
                texts.append(column.path)
        n_packed = sum(group.total_byte_size for group in groups) if names is None else 0
        return cls(n_rows, max(int(n_rows * width), n_packed), tuple(texts))

    def check(self, limit: _Limit) -> None:
        """Raises:
        TableError: they unpack to too much.
        """
        cause = f"{self.n_rows:,} rows that repeat; write the table without repeated rows"
        limit.check_growth(self.n_bytes, cause)
        limit.check_memory(_COPIES * self.n_bytes)

    def rows_per_block(self, most: int) -> int:
        return max(1, min(most, _BYTES_PER_BLOCK * self.n_rows // max(1, self.n_bytes)))


def _batches(
    source: Path | bytes, contents: _Contents, n_rows: int, names: Collection[str] | None = None
) -> Iterator[pa.RecordBatch]:
    is_first = True
    try:
        for batch in _checked_batches(source, contents.texts, n_rows, names):
            is_first = False
            yield batch
    except (pa.ArrowException, OSError) as error:
        if not is_first or "DictAccumulator" not in str(error):
            raise
        # Text that is told by how it differs from the text before: Arrow cannot read it encoded.
        yield from _checked_batches(source, (), min(n_rows, _ROWS_OF_DELTAS), names)


def _checked_batches(
    source: Path | bytes, texts: Collection[str], n_rows: int, names: Collection[str] | None
) -> Iterator[pa.RecordBatch]:
    with _open(source, texts) as file:
        chosen = None if names is None else list(names)
        # Arrow makes no block of two groups where codes stand in lists, for each group has its own.
        by_group = [[number] for number in range(file.num_row_groups)]
        for groups in by_group if any("." in path for path in texts) else [None]:
            for batch in file.iter_batches(n_rows, groups, chosen, use_threads=False):  # each keeps memory of its own
                batch.validate(full=True)  # damaged files can carry text and codes that show when used, and then badly
                yield batch


def _schema(file: pq.ParquetFile) -> pa.Schema:
    given = file.schema_arrow
    return pa.schema([field.with_type(without_view(field.type)) for field in given], metadata=given.metadata)


def _open(source: Path | bytes, encode: Collection[str] = ()) -> pq.ParquetFile:
    """Columns of these paths come as dictionaries; read ahead, the whole file would lie beside the table."""
    place = pa.BufferReader(source) if isinstance(source, bytes) else source
    return pq.ParquetFile(
        place, read_dictionary=list(encode), pre_buffer=False, buffer_size=1 << 20, arrow_extensions_enabled=False
    )


def _alike(chunks: list[pa.DictionaryArray]) -> list[pa.DictionaryArray]:
    """With one dictionary; as they are where Arrow cannot, as with nulls among the values."""
    try:
        unified: list[pa.DictionaryArray] = pa.chunked_array(chunks).unify_dictionaries().chunks
    except pa.ArrowException:
        return chunks
    return unified
