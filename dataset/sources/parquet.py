"""Parquet files, those left out that hold little and unpack to much."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from belfry.dataset.errors import TableError
from belfry.dataset.sources.frames import with_range_index

MAX_UNPACKED = 1 << 30  # bytes that any file may unpack to
MAX_GROWTH = 500  # times its size that a file may unpack to beyond that; tables of events grow by some 10

_WIDTHS = {"BOOLEAN": 0.125, "INT32": 4, "INT64": 8, "INT96": 8, "FLOAT": 4, "DOUBLE": 8, "BYTE_ARRAY": 4}  # bytes


def read_parquet(label: str, source: Path | bytes) -> pa.Table:
    """One table; `label` is what messages call it.

    Raises:
        TableError: few runs of equal values stand for more rows than memory is likely to hold.
    """
    place = pa.BufferReader(source) if isinstance(source, bytes) else source
    size = len(source) if isinstance(source, bytes) else source.stat().st_size
    with pq.ParquetFile(place) as file:
        metadata = file.metadata
        columns = [metadata.schema.column(number) for number in range(metadata.num_columns)]
        width = sum(_WIDTHS.get(column.physical_type) or max(0, column.length) for column in columns)
        unpacked = int(metadata.num_rows * width)
        if unpacked > max(MAX_UNPACKED, MAX_GROWTH * size):
            raise TableError(
                f"{label}: {size:,} bytes unpack to at least {unpacked:,}: "
                f"{metadata.num_rows:,} rows that repeat; write the table without repeated rows"
            )
    # A folder on the way named `a=1` is no column of the file; and a buffer would hold the whole file beside the table.
    table = pq.read_table(
        pa.BufferReader(source) if isinstance(source, bytes) else source, partitioning=None, pre_buffer=False
    )
    return with_range_index(table)
