"""A table as one Parquet file in a folder."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from belfry.pipeline.jobs.sinks.file import FileSink

TABLE = "recommendations.parquet"


def repeating_columns(schema: pa.Schema) -> list[str]:
    """Columns whose values come again and again, so that Parquet does well to number them: all but scores."""
    return [field.name for field in schema if not pa.types.is_floating(field.type)]


class ParquetSink(FileSink):
    """One Parquet file, with a row group for each block, and `_left_out.json` beside it."""

    def _begin(self, schema: pa.Schema) -> "_RowGroups":
        return _RowGroups(pq.ParquetWriter(self._aside, schema, use_dictionary=repeating_columns(schema)))

    def blocks(self) -> Iterator[pa.Table]:
        with pq.ParquetFile(self._aside) as file:
            for number in range(file.num_row_groups):
                yield file.read_row_group(number)


class _RowGroups:
    def __init__(self, writer: pq.ParquetWriter) -> None:
        self._writer = writer

    def write(self, block: pa.Table) -> None:
        self._writer.write_table(block, row_group_size=max(1, len(block)))

    def close(self) -> None:
        self._writer.close()
