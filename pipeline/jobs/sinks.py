"""Sinks: where a table is written to, block by block. Readers see the whole table or none of it."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from belfry.pipeline.runs.disk import explain_failed_writes, remove, sync


class Sink(Protocol):
    """One table: `open`, `write` as often as needed, `close`, then `commit` or `abandon`; `writing` sees to that."""

    def open(self, schema: pa.Schema) -> None:
        """Begin the table. What a writer that was killed has left is removed."""

    def write(self, block: pa.Table) -> None:
        """Append rows of that schema."""

    def close(self) -> None:
        """End the table and have it stored durably, still unseen. A second call does nothing."""

    def blocks(self) -> Iterator[pa.Table]:
        """The blocks that were written, in order, as they can be read again from where they are stored.

        To be called after `close`, so that what was written can be checked before it is seen.
        """

    def commit(self) -> None:
        """Show the table, in the place of an earlier one, in one step."""

    def abandon(self) -> None:
        """Remove what was written and not committed. An earlier table stays."""


AnySink = TypeVar("AnySink", bound=Sink)


@contextmanager
def writing(sink: AnySink, schema: pa.Schema) -> Iterator[AnySink]:
    """An open sink, which is committed when the body ends and abandoned when it fails or is interrupted."""
    try:
        sink.open(schema)
        yield sink
        sink.close()
        sink.commit()
    except BaseException:
        sink.abandon()
        raise


def repeating_columns(schema: pa.Schema) -> list[str]:
    """Columns whose values come again and again, so that Parquet does well to number them: all but scores."""
    return [field.name for field in schema if not pa.types.is_floating(field.type)]


class ParquetSink:
    """One Parquet file, with a row group for each block."""

    def __init__(self, path: Path, *, aside: Path | None = None) -> None:
        """`aside`: the file while it is written, in the same file system; by default a hidden one beside `path`."""
        self.path = path
        self._aside = aside or path.with_name(f".{path.name}.writing")
        self._writer: pq.ParquetWriter | None = None

    def open(self, schema: pa.Schema) -> None:
        remove(self._aside)
        with explain_failed_writes(self._aside):
            self._writer = pq.ParquetWriter(self._aside, schema, use_dictionary=repeating_columns(schema))

    def write(self, block: pa.Table) -> None:
        assert self._writer is not None, "the sink is not open"
        with explain_failed_writes(self._aside):
            self._writer.write_table(block, row_group_size=max(1, len(block)))

    def close(self) -> None:
        if self._writer is not None:
            with explain_failed_writes(self._aside):
                self._writer.close()
                self._writer = None
                sync(self._aside)

    def blocks(self) -> Iterator[pa.Table]:
        with pq.ParquetFile(self._aside) as file:
            for number in range(file.num_row_groups):
                yield file.read_row_group(number)

    def commit(self) -> None:
        with explain_failed_writes(self.path):
            self._aside.replace(self.path)
            sync(self.path.parent)

    def abandon(self) -> None:
        if self._writer is not None:
            with suppress(OSError, pa.ArrowException):  # a full disk takes no footer either
                self._writer.close()
            self._writer = None
        remove(self._aside)
