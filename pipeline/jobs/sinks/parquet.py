"""A table as one Parquet file in a folder."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from belfry.pipeline.jobs.sinks.file import FileSink


def repeating_columns(schema: pa.Schema) -> list[str]:
    """Columns whose values come again and again, so that Parquet does well to number them: all but scores."""
    return [field.name for field in schema if not pa.types.is_floating(field.type)]


class ParquetSink(FileSink):
    """One Parquet file, with a row group for each block, and `_left_out.json` beside it."""

    def _begin(self, schema: pa.Schema) -> "RowGroupWriter":
        return RowGroupWriter(self._aside, schema)

    def blocks(self) -> Iterator[pa.Table]:
        return read_row_groups(self._aside)


class RowGroupWriter:
    """Writes a Parquet file with a row group for each block."""

    def __init__(self, file: Path | Any, schema: pa.Schema) -> None:
        """`file`: its path, or what is open for writing."""
        self._writer = pq.ParquetWriter(file, schema, use_dictionary=repeating_columns(schema))

    def write(self, block: pa.Table) -> None:
        self._writer.write_table(block, row_group_size=max(1, len(block)))

    def close(self) -> None:
        self._writer.close()


def read_row_groups(file: Path | Any) -> Iterator[pa.Table]:
    """The blocks that a `RowGroupWriter` wrote."""
    with pq.ParquetFile(file) as opened:
        for number in range(opened.num_row_groups):
            yield opened.read_row_group(number)
