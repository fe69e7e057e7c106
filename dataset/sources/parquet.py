"""Parquet files, read in blocks; those left out that hold little and unpack to much."""

from collections.abc import Collection
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from belfry.dataset.encoding.dictionary import encoded, value_type
from belfry.dataset.errors import TableError
from belfry.dataset.sources.frames import with_range_index, without_view

MAX_UNPACKED = 1 << 30  # bytes that any file may unpack to
MAX_GROWTH = 500  # times its size that a file may unpack to beyond that; tables of events grow by some 10
ROWS_PER_BLOCK = 1 << 19

_WIDTHS = {"BOOLEAN": 0.125, "INT32": 4, "INT64": 8, "INT96": 8, "FLOAT": 4, "DOUBLE": 8, "BYTE_ARRAY": 4}  # bytes
_BLOCKS_BESIDE = 4  # of one column, with a dictionary each
_MAX_TEXT = 1 << 30  # bytes of one chunk of strings, whose ends are int32


def read_parquet(label: str, source: Path | bytes, encode: Collection[str] = ()) -> pa.Table:
    """One table.

    Text is read as the file holds it, each value once, so that how long it is altogether is known before it is that.

    Args:
        label: what messages call it.
        encode: columns that are given encoded, if they are text or integers.

    Raises:
        TableError: few runs of equal values, or a long text in many rows, stand for more than memory is likely to hold.
    """
    size = len(source) if isinstance(source, bytes) else source.stat().st_size
    limit = max(MAX_UNPACKED, MAX_GROWTH * size)
    with _open(source) as file:
        given = file.schema_arrow
        _refuse_few_runs(label, file.metadata, size, limit)
    schema = pa.schema([field.with_type(without_view(field.type)) for field in given], metadata=given.metadata)
    texts = {field.name for field in schema if _is_text(field.type) or _is_binary(field.type)}
    columns: list[list[pa.Array]] = [[] for _ in schema]
    n_bytes = 0
    with _open(source, texts) as file:
        for batch in file.iter_batches(ROWS_PER_BLOCK, use_threads=False):  # each keeps memory of its own
            batch.validate(full=True)  # damaged files can carry text and codes that only show when used, and then badly
            n_bytes += sum(map(_n_bytes_of_text, batch.columns))
            if n_bytes > limit:
                raise TableError(
                    f"{label}: {size:,} bytes unpack to more than {n_bytes:,}: text that repeats; shorten it, or leave "
                    "the column out"
                )
            for field, chunks, block in zip(schema, columns, batch.columns, strict=True):
                if field.name in texts and not (field.name in encode and _is_text(field.type)):
                    chunks += _decoded(block, field.type)
                    continue
                chunks.append(block)
                if field.name in texts and len(chunks) % _BLOCKS_BESIDE == 0:  # each brought its distinct values
                    chunks[:] = _alike(chunks)
    arrays = []
    for field, chunks in zip(schema, columns, strict=True):
        column = pa.chunked_array(chunks, None if chunks else field.type)
        is_id = field.name in encode and (_is_text(field.type) or pa.types.is_integer(field.type))
        arrays.append(encoded(column) if is_id else column)
        chunks.clear()
    fields = [field.with_type(column.type) for field, column in zip(schema, arrays, strict=True)]
    return with_range_index(pa.table(arrays, schema=pa.schema(fields, metadata=schema.metadata)))


def _open(source: Path | bytes, encode: Collection[str] = ()) -> pq.ParquetFile:
    """Columns of these names come as dictionaries; read ahead, the whole file would lie beside the table."""
    place = pa.BufferReader(source) if isinstance(source, bytes) else source
    return pq.ParquetFile(place, read_dictionary=list(encode), pre_buffer=False, buffer_size=1 << 20)


def _refuse_few_runs(label: str, metadata: pq.FileMetaData, size: int, limit: int) -> None:
    columns = [metadata.schema.column(number) for number in range(metadata.num_columns)]
    width = sum(_WIDTHS.get(column.physical_type) or max(0, column.length) for column in columns)
    unpacked = int(metadata.num_rows * width)
    if unpacked > limit:
        raise TableError(
            f"{label}: {size:,} bytes unpack to at least {unpacked:,}: "
            f"{metadata.num_rows:,} rows that repeat; write the table without repeated rows"
        )


def _is_text(type_: pa.DataType) -> bool:
    return bool(pa.types.is_string(type_) or pa.types.is_large_string(type_))


def _is_binary(type_: pa.DataType) -> bool:
    return bool(pa.types.is_binary(type_) or pa.types.is_large_binary(type_))


def _n_bytes_of_text(column: pa.Array) -> int:
    """How long the values of all rows are altogether, where a column of text or bytes is encoded."""
    values = value_type(column.type)
    if not pa.types.is_dictionary(column.type) or not (_is_text(values) or _is_binary(values)):
        return 0
    return pc.sum(pc.binary_length(column.dictionary).cast(pa.int64()).take(column.indices)).as_py() or 0


def _alike(chunks: list[pa.DictionaryArray]) -> list[pa.DictionaryArray]:
    """With one dictionary; as they are where Arrow cannot, as with nulls among the values."""
    try:
        unified: list[pa.DictionaryArray] = pa.chunked_array(chunks).unify_dictionaries().chunks
    except pa.ArrowException:
        return chunks
    return unified


def _decoded(column: pa.DictionaryArray, type_: pa.DataType) -> list[pa.Array]:
    if len(column) > 1 and _n_bytes_of_text(column) > _MAX_TEXT:
        half = len(column) // 2
        return [*_decoded(column.slice(0, half), type_), *_decoded(column.slice(half), type_)]
    return [column.cast(type_)]
