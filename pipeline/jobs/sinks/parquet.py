"""A table as one Parquet file in a folder."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from belfry.dataset.errors import InputError
from belfry.dataset.vocabulary import Id
from belfry.pipeline.jobs.sinks.base import LeftOut, listed_in
from belfry.pipeline.runs.disk import check_writable, explain_failed_writes, remove, sync

LEFT_OUT = "_left_out.json"


def repeating_columns(schema: pa.Schema) -> list[str]:
    """Columns whose values come again and again, so that Parquet does well to number them: all but scores."""
    return [field.name for field in schema if not pa.types.is_floating(field.type)]


class ParquetSink:
    """One Parquet file, with a row group for each block, and `_left_out.json` beside it."""

    listing = LEFT_OUT

    def __init__(self, path: Path, *, aside: Path | None = None) -> None:
        """`aside`: the file while it is written, in the same file system; by default a hidden one beside `path`."""
        self.path = path
        self._aside = aside or path.with_name(f".{path.name}.writing")
        self._listing_aside: Path | None = None
        self._writer: pq.ParquetWriter | None = None

    @property
    def place(self) -> str:
        return str(self.path)

    def check(self) -> None:
        """A folder with other tables would be read together with ours, one with a run would not open any more."""
        folder = self.path.parent
        check_writable(folder)
        names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
        others = [name for name in names if not name.startswith((".", "_")) and name != self.path.name]
        if others:
            shown = ", ".join(others[:3]) + (f" and {len(others) - 3} more" if len(others) > 3 else "")
            raise InputError(
                f"{folder}: holds other files ({shown}); name a new folder, or one with an earlier table only"
            )
        for path in (self.path, folder / LEFT_OUT):
            if path.is_dir():
                raise InputError(f"{path}: is a folder where a file is to be written; remove it, or name another OUT")

    def open(self, schema: pa.Schema) -> None:
        remove(self._aside)
        with explain_failed_writes(self._aside):
            self._writer = pq.ParquetWriter(self._aside, schema, use_dictionary=repeating_columns(schema))

    def write(self, block: pa.Table) -> None:
        assert self._writer is not None, "the sink is not open"
        with explain_failed_writes(self._aside):
            self._writer.write_table(block, row_group_size=max(1, len(block)))

    def leave_out(self, left_out: LeftOut) -> None:
        self._listing_aside = self._aside.with_name(f"{self._aside.name}{LEFT_OUT}")
        remove(self._listing_aside)
        with explain_failed_writes(self._listing_aside):
            self._listing_aside.write_text(left_out.to_json(), encoding="utf-8")
            sync(self._listing_aside)

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

    def left_out(self) -> set[Id]:
        assert self._listing_aside is not None, "nobody was left out"
        return listed_in(self._listing_aside.read_text(encoding="utf-8"))

    def commit(self) -> None:
        with explain_failed_writes(self.path):
            if self._listing_aside is not None:
                self._listing_aside.replace(self.path.with_name(LEFT_OUT))
            self._aside.replace(self.path)
            sync(self.path.parent)

    def abandon(self) -> None:
        if self._writer is not None:
            with suppress(OSError, pa.ArrowException):  # a full disk takes no footer either
                self._writer.close()
            self._writer = None
        remove(self._aside)
        if self._listing_aside is not None:
            remove(self._listing_aside)
