"""FileSink: a table as one file in a folder, written aside and moved into place with the list of those left out."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from belfry.dataset.errors import InputError
from belfry.dataset.vocabulary import Id
from belfry.pipeline.jobs.sinks.base import LeftOut, listed_in
from belfry.pipeline.runs.disk import check_writable, explain_failed_writes, remove, sync

TABLE, LEFT_OUT = "recommendations.parquet", "_left_out.json"


class Writer(Protocol):
    """Of one file."""

    def write(self, block: pa.Table) -> None: ...

    def close(self) -> None: ...


class FileSink:
    """What all formats of files share; a format says how one is written and read again."""

    listing = LEFT_OUT

    def __init__(self, path: Path, *, aside: Path | None = None) -> None:
        """`aside`: the file while it is written, in the same file system; by default a hidden one beside `path`."""
        self.path = path
        self._aside = aside or path.with_name(f".{path.name}.writing")
        self._listing_aside: Path | None = None
        self._writer: Writer | None = None

    def _begin(self, schema: pa.Schema) -> Writer:
        """A writer of the file aside."""
        raise NotImplementedError

    def blocks(self) -> Iterator[pa.Table]:
        """As `Sink.blocks`."""
        raise NotImplementedError

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
            self._writer = self._begin(schema)

    def write(self, block: pa.Table) -> None:
        assert self._writer is not None  # the sink is open
        with explain_failed_writes(self._aside):
            self._writer.write(block)

    def leave_out(self, left_out: LeftOut) -> None:
        self._listing_aside = self._aside.with_name(f"{self._aside.name}{LEFT_OUT}")
        remove(self._listing_aside)
        with explain_failed_writes(self._listing_aside):
            self._listing_aside.write_bytes(left_out.to_json().encode())
            sync(self._listing_aside)

    def close(self) -> None:
        if self._writer is not None:
            with explain_failed_writes(self._aside):
                self._writer.close()
                self._writer = None
                sync(self._aside)

    def left_out(self) -> set[Id]:
        assert self._listing_aside is not None  # `leave_out` was called
        return listed_in(self._listing_aside.read_bytes().decode())

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
