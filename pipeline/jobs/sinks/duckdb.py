"""DuckDB files as databases of tables."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa

from belfry.dataset.errors import InputError, needed
from belfry.pipeline.runs.disk import check_writable

_ROWS_PER_BATCH = 100_000


class DuckDBFile:
    """One file, which one process at a time may write."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.place = f"duckdb:{path}"
        self._duckdb: Any = needed("duckdb", "duckdb", self.place)
        self.errors: tuple[type[Exception], ...] = (self._duckdb.Error, OSError)
        self._connection: Any = None

    def check_place(self) -> bool:
        check_writable(self.path.absolute().parent)
        if self.path.is_dir():
            raise InputError(f"{self.place}: is a folder, a file is wanted; name another one")
        return self.path.exists()

    def connect(self) -> None:
        self.path.absolute().parent.mkdir(exist_ok=True)
        self._connection = self._duckdb.connect(str(self.path))
        self._connection.execute("SET preserve_insertion_order = true")
        self._connection.execute("BEGIN TRANSACTION")

    def execute(self, statement: str) -> None:
        self._connection.execute(statement)

    def relations(self) -> dict[str, tuple[str, str]]:
        rows = self._connection.execute(
            "SELECT table_name, 'table', comment FROM duckdb_tables() WHERE schema_name = current_schema() "
            "UNION ALL SELECT view_name, 'view', comment FROM duckdb_views() WHERE schema_name = current_schema()"
        ).fetchall()
        return {name: (kind, comment or "") for name, kind, comment in rows}

    def column_types(self, relation: str) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = self._connection.execute(
            "SELECT column_name, data_type FROM duckdb_columns() "
            "WHERE schema_name = current_schema() AND table_name = ? ORDER BY column_index",
            [relation],
        ).fetchall()
        return rows

    def append(self, table: str, rows: pa.Table) -> None:
        self._connection.register("belfry_block", rows)
        self._connection.execute(f'INSERT INTO "{table}" SELECT * FROM belfry_block')
        self._connection.unregister("belfry_block")

    def stream(self, table: str) -> Iterator[pa.RecordBatch]:
        yield from self._connection.sql(f'SELECT * FROM "{table}"').to_arrow_reader(_ROWS_PER_BATCH)

    def commit(self) -> None:
        self._connection.execute("COMMIT")

    def drop_tables(self, tables: list[str]) -> None:
        for table in tables:
            self._connection.execute(f'DROP TABLE IF EXISTS "{table}"')

    def close(self) -> None:
        """Closing rolls back what was not committed."""
        if self._connection is not None:
            with suppress(self._duckdb.Error):
                self._connection.execute("ROLLBACK")
            self._connection.close()
            self._connection = None
