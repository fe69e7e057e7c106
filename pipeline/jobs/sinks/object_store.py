"""A table in object storage, where nothing can be renamed: one small object, written last, says which table counts.

s3://bucket/prefix/
├── current.json                                    where the table is: {"table": ..., "left_out": ..., "run": ...}
└── tables/20260102T030405-9f3a0c12/
    ├── recommendations.parquet
    └── _left_out.json
"""

import json
import secrets
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from belfry.dataset.errors import InputError, printable
from belfry.dataset.sources.web.objects import S3_ASKING, connected, place_of, try_to_write
from belfry.dataset.vocabulary import Id
from belfry.pipeline.jobs.sinks.base import LeftOut, listed_in, refused_in_words, stopped_in_words
from belfry.pipeline.jobs.sinks.file import LEFT_OUT, TABLE
from belfry.pipeline.jobs.sinks.parquet import RowGroupWriter, read_row_groups

POINTER = "current.json"
KEPT = timedelta(days=1)  # how long a table that no longer counts, or was never finished, stays for whoever is at it

_TABLES = "tables"
_TIME = "%Y%m%dT%H%M%S"
_REMEDY = "mend the address, the credentials or the rights to list, write and delete there, or name another place"
_S3_TRYING = {**S3_ASKING, "read_timeout": 5}
_S3_WRITING = {**S3_ASKING, "retries": {"total_max_attempts": 2}}


class ObjectStoreSink:
    """A table below an fsspec address such as `s3://bucket/prefix`."""

    listing = LEFT_OUT

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self.place = place_of(self._url)
        if self.place.endswith(":"):
            raise InputError(f"{url}: names no bucket; write s3://BUCKET/PREFIX")
        self._version = ""
        self._is_committing = False
        self._opened_file: Any = None
        self._writer: RowGroupWriter | None = None
        self._about: dict[str, str | int] = {}
        self._files: Any = None
        self._root = ""

    def check(self) -> None:
        """Everything that the job will do later is tried: to list, to write, to read and to delete."""
        self._connect(_S3_TRYING)
        probe = self._path(f"{_TABLES}/.probe-{secrets.token_hex(4)}")
        with refused_in_words(self.place, _REMEDY, Exception):
            names = self._names(self._root)
            try_to_write(self._files, probe)
        if others := sorted(names - {POINTER, _TABLES}):
            shown = printable(", ".join(others[:3]), 200)
            raise InputError(f"{self.place}: holds other objects ({shown}); name a prefix of its own for the table")

    def open(self, schema: pa.Schema) -> None:
        self._connect(_S3_WRITING)
        self._version = f"{_TABLES}/{datetime.now(UTC).strftime(_TIME)}-{secrets.token_hex(4)}"
        with self._stopping():
            self._opened_file = self._files.open(self._path(f"{self._version}/{TABLE}"), "wb")
            self._writer = RowGroupWriter(self._opened_file, schema)

    def write(self, block: pa.Table) -> None:
        assert self._writer is not None, "the sink is not open"
        with self._stopping():
            self._writer.write(block)

    def leave_out(self, left_out: LeftOut) -> None:
        self._about = dict(left_out.about)
        with self._stopping():
            self._files.pipe_file(self._path(f"{self._version}/{LEFT_OUT}"), left_out.to_json().encode())

    def close(self) -> None:
        if self._writer is not None:
            with self._stopping():
                self._writer.close()
                self._opened_file.close()
                self._writer = None

    def blocks(self) -> Iterator[pa.Table]:
        with self._stopping(), self._files.open(self._path(f"{self._version}/{TABLE}"), "rb") as file:
            yield from read_row_groups(file)

    def left_out(self) -> set[Id]:
        with self._stopping():
            return listed_in(self._files.cat_file(self._path(f"{self._version}/{LEFT_OUT}")).decode())

    def commit(self) -> None:
        self._is_committing = True
        pointer = {"table": f"{self._version}/{TABLE}", "left_out": f"{self._version}/{LEFT_OUT}", **self._about}
        with self._stopping():
            self._files.pipe_file(self._path(POINTER), json.dumps(pointer, indent=1).encode())
        with suppress(Exception):  # the table is there; what is not removed now is removed by the next job
            self._remove_old_tables()

    def abandon(self) -> None:
        with suppress(Exception):  # it cannot be seen; where the storage is gone, a later job removes it
            self.close()
        with suppress(Exception):
            if self._is_committing:  # the pointer may have been written though the answer never came
                return
            self._files.rm(self._path(self._version), recursive=True)

    def _connect(self, s3_options: dict[str, Any]) -> None:
        self._files, self._root = connected(self._url, "written", s3_options)

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _names(self, folder: str) -> set[str]:
        """Last parts of the names below a prefix; none where nothing is there."""
        self._files.invalidate_cache()
        try:
            return {path.rstrip("/").rpartition("/")[2] for path in self._files.ls(folder, detail=False)} - {""}
        except FileNotFoundError:
            return set()

    def _remove_old_tables(self) -> None:
        oldest = (datetime.now(UTC) - KEPT).strftime(_TIME)
        for name in self._names(self._path(_TABLES)):
            if name < oldest and name[:2].isdigit():
                self._files.rm(self._path(f"{_TABLES}/{name}"), recursive=True)

    def _stopping(self) -> Any:
        return stopped_in_words(self.place, Exception)
