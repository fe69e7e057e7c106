"""A Delta table: one Parquet file for each job, which a commit to the table's log shows in the place of all others.

PATH/
├── part-00000-<uuid>.snappy.parquet   of this table, and of earlier ones until they are vacuumed
├── _delta_log/                        which of them count
└── _left_out.json                     who is not in it, and why
"""

import json
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

from belfry.dataset.errors import InputError, needed
from belfry.pipeline.jobs.sinks.base import refused_in_words, stopped_in_words
from belfry.pipeline.jobs.sinks.parquet import ParquetSink
from belfry.pipeline.runs.disk import check_writable, remove

_LOG = "_delta_log"
_OURS = "recommendations, made by Belfry"  # a table's description


class DeltaSink(ParquetSink):
    """The newest version of a Delta table; earlier ones stay, as Delta has it."""

    def __init__(self, folder: Path, *, aside: Path) -> None:
        """`aside`: the file while it is written, in the same file system."""
        super().__init__(folder / f"part-00000-{uuid4()}.snappy.parquet", aside=aside)
        self.folder = folder
        self._deltalake: Any = needed("deltalake", "delta", self.place)
        self._errors = (self._deltalake.exceptions.DeltaError, OSError, ValueError)
        self._about: dict[str, str] = {}

    @property
    def place(self) -> str:
        return f"delta:{self.folder}"

    def check(self) -> None:
        check_writable(self.folder)
        names = sorted(path.name for path in self.folder.iterdir()) if self.folder.is_dir() else []
        if _LOG in names:
            with refused_in_words(self.place, "mend that or name another folder", *self._errors):
                metadata = self._deltalake.DeltaTable(self.folder).metadata()
            if metadata.description != _OURS or metadata.partition_columns:
                raise InputError(f"{self.place}: holds a table that Belfry did not make; name another folder")
        elif others := [name for name in names if not name.startswith((".", "_")) and not _is_part(name)]:
            raise InputError(f"{self.place}: holds other files ({', '.join(others[:3])}); name a new folder")

    def open(self, schema: pa.Schema) -> None:
        self._about = {key.decode(): value.decode() for key, value in (schema.metadata or {}).items()}
        super().open(schema)

    def commit(self) -> None:
        super().commit()
        from deltalake.transaction import AddAction, CommitProperties, create_table_with_add_actions

        with pq.ParquetFile(self.path) as file:
            schema = self._deltalake.Schema.from_arrow(file.schema_arrow.remove_metadata())
            n_rows = file.metadata.num_rows
        stats = json.dumps({"numRecords": n_rows})
        added = [AddAction(self.path.name, self.path.stat().st_size, {}, int(time.time() * 1000), True, stats)]
        properties = CommitProperties(custom_metadata=self._about)
        with stopped_in_words(self.place, *self._errors):
            if (self.folder / _LOG).is_dir():
                table = self._deltalake.DeltaTable(self.folder)
                table.create_write_transaction(added, "overwrite", schema, commit_properties=properties)
            else:
                create_table_with_add_actions(
                    str(self.folder), schema, added, mode="error", description=_OURS, commit_properties=properties
                )

    def abandon(self) -> None:
        super().abandon()
        if self.path.exists() and not self._is_committed():
            remove(self.path)

    def _is_committed(self) -> bool:
        """Whether the log names the file: an interrupt may have come after all was done."""
        if not (self.folder / _LOG).is_dir():
            return False
        return any(uri.endswith(self.path.name) for uri in self._deltalake.DeltaTable(self.folder).file_uris())


def _is_part(name: str) -> bool:
    """Left by a job that was killed just before its first commit."""
    return name.startswith("part-00000-") and name.endswith(".snappy.parquet")
