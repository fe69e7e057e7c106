"""PostgreSQL as a database of tables, filled by ADBC's bulk load."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import quote, urlencode

import pyarrow as pa

from belfry.dataset.errors import InputError, needed

# Unless the address says otherwise: a server that does not answer, or is gone in the middle, is noticed.
_TIMEOUTS = {"connect_timeout": "10", "keepalives_idle": "30", "tcp_user_timeout": "60000"}
_LOCK_TIMEOUT = "60s"  # for readers who hold the view
_SHORT_LOCK_TIMEOUT = "2s"  # for readers who hold a table that no longer counts


class Postgres:
    """One schema of one database."""

    def __init__(self, address: str, options: dict[str, str], schema: str | None, table: str) -> None:
        """`address` and `options`: what stands before and behind the question mark, as libpq reads it."""
        self._address = f"{address}?{urlencode(_TIMEOUTS | options, quote_via=quote)}"
        _, _, where = address.partition("://")
        self.place = f"postgresql://{where.rpartition('@')[2]}"  # without a password
        self._schema = schema
        self._table = table
        self._dbapi: Any = needed("adbc_driver_postgresql.dbapi", "postgres", self.place)
        self.errors: tuple[type[Exception], ...] = (self._dbapi.Error, OSError)
        self._connection: Any = None

    def check_place(self) -> bool:
        return True

    def connect(self) -> None:
        self._connection = self._dbapi.connect(self._address)
        self.execute(f"SET lock_timeout = '{_LOCK_TIMEOUT}'")
        self.execute("SET synchronize_seqscans = off")  # rows come back in the order in which they went in
        self.execute("SET max_parallel_workers_per_gather = 0")
        if self._schema is not None:
            self.execute(f'SET search_path = "{self._schema}"')
        ((schema,),) = self._fetch("SELECT current_schema()")
        if schema is None:
            raise InputError(f"{self.place}: there is no schema {self._schema!r}; create it first or name another one")
        # Held until the transaction ends, however it ends.
        key = f"belfry:{schema}.{self._table}"
        ((is_free,),) = self._fetch(f"SELECT pg_try_advisory_xact_lock(hashtextextended('{key}', 0))")
        if not is_free:
            raise InputError(
                f"{self.place}: another job writes table {self._table!r}; wait until it is done, or stop it"
            )

    def execute(self, statement: str) -> None:
        with self._connection.cursor() as cursor:
            cursor.execute(statement)

    def relations(self) -> dict[str, tuple[str, str]]:
        rows = self._fetch(
            "SELECT relname::text, relkind::text, obj_description(oid, 'pg_class') FROM pg_class "
            "WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'v', 'm', 'f', 'p', 'S')"
        )
        return {name: ({"v": "view"}.get(kind, "table"), comment or "") for name, kind, comment in rows}

    def column_types(self, relation: str) -> list[tuple[Any, ...]]:
        return self._fetch(
            "SELECT column_name::text, data_type::text FROM information_schema.columns "
            f"WHERE table_schema = current_schema() AND table_name = '{relation}' ORDER BY ordinal_position"
        )

    def append(self, table: str, rows: pa.Table) -> None:
        with self._connection.cursor() as cursor:
            cursor.adbc_ingest(table, rows, mode="append")

    def stream(self, table: str) -> Iterator[pa.RecordBatch]:
        with self._connection.cursor() as cursor:
            cursor.execute(f'SELECT * FROM "{table}"')
            yield from cursor.fetch_record_batch()

    def commit(self) -> None:
        self._connection.commit()

    def drop_tables(self, tables: list[str]) -> None:
        for table in tables:
            try:
                self.execute(f"SET lock_timeout = '{_SHORT_LOCK_TIMEOUT}'")
                self.execute(f'DROP TABLE IF EXISTS "{table}"')
                self._connection.commit()
            except self._dbapi.Error:
                self._connection.rollback()

    def close(self) -> None:
        if self._connection is not None:
            with suppress(self._dbapi.Error):
                self._connection.rollback()
            with suppress(self._dbapi.Error):
                self._connection.close()
            self._connection = None

    def _fetch(self, query: str) -> list[tuple[Any, ...]]:
        with self._connection.cursor() as cursor:
            cursor.execute(query)
            rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows
