"""A table in a database: a new table for each job, filled in one transaction, at whose end a view shows it."""

import json
import re
import secrets
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from typing import Any, Protocol

import pyarrow as pa

from belfry.dataset import columns
from belfry.dataset.errors import InputError, printable
from belfry.dataset.vocabulary import Id
from belfry.pipeline.jobs.sinks.base import LeftOut, refused_in_words, resliced, stopped_in_words

DEFAULT_NAME = "recommendations"

_LONGEST_NAME = 40  # PostgreSQL cuts names of more than 63, and ours end in `_left_out__0123abcd`
_TYPES = {pa.int64(): "BIGINT", pa.int32(): "INTEGER", pa.float32(): "REAL", pa.string(): "TEXT"}
_OURS = "made by Belfry"  # begins the comment on whatever a job may replace or drop


class Database(Protocol):
    """What a sink needs of a database. Everything is in one transaction, until `commit`."""

    place: str
    errors: tuple[type[Exception], ...]  # of the library; known once it is connected

    def check_place(self) -> bool:
        """Refuse a place where nothing can be; False where there is nothing to connect to yet."""

    def connect(self) -> None: ...

    def execute(self, statement: str) -> None: ...

    def relations(self) -> dict[str, tuple[str, str]]:
        """Name of each table and view -> "table" or "view", and the comment on it."""

    def column_types(self, relation: str) -> list[tuple[Any, ...]]:
        """Name and type of each column of a table or view, in order; empty where there is none."""

    def append(self, table: str, rows: pa.Table) -> None: ...

    def stream(self, table: str) -> Iterator[pa.RecordBatch]:
        """All rows, in the order in which they were appended."""

    def commit(self) -> None: ...

    def drop_tables(self, tables: list[str]) -> None:
        """Drop what nobody needs any more, after the commit; what is being read may stay until the next job."""

    def close(self) -> None:
        """Undo what was not committed."""


def plain_name(name: str, place: str) -> str:
    """A name that needs no quotes and means the same in any database.

    Raises:
        InputError: it is none.
    """
    if not re.fullmatch(r"[a-z_][a-z0-9_]*", name, re.ASCII) or len(name) > _LONGEST_NAME:
        raise InputError(
            f"{place}: {printable(repr(name), 60)} is no plain name; take small letters, digits and _, at most "
            f"{_LONGEST_NAME} of them and no digit first, as in ?table={DEFAULT_NAME}"
        )
    return name


class ViewSink:
    """A view `name` of the newest table, and a view `name_left_out` of those who are not in it."""

    def __init__(self, database: Database, name: str) -> None:
        self.place = f"{database.place}, table {name}"
        self._database = database
        self.listing = f"{name}_left_out"
        self._views = (name, self.listing)
        self._tables = ("", "")
        self._schemas: list[pa.Schema] = []
        self._sizes: list[int] = []
        self._comment = _OURS

    def check(self) -> None:
        remedy = "mend the address or the rights to create tables and views there, or name another place"
        if not self._database.check_place():
            return
        try:
            with refused_in_words(self.place, remedy, Exception):
                self._database.connect()
                self._check_relations()
                self._database.execute(f'CREATE TABLE "{self._views[0]}__check" (x INTEGER)')
        finally:
            self._database.close()

    def open(self, schema: pa.Schema) -> None:
        version = secrets.token_hex(4)
        self._tables = (f"{self._views[0]}__{version}", f"{self._views[1]}__{version}")
        about = {key.decode(): value.decode() for key, value in (schema.metadata or {}).items()}
        self._comment = f"{_OURS}: {json.dumps(about)}"
        schema = schema.remove_metadata()
        user_id = schema.field(columns.USER_ID)
        self._schemas = [schema, pa.schema([user_id, pa.field("reason", pa.string())])]
        self._sizes = []
        with self._stopping():
            self._database.connect()
            self._check_relations()
            for table, of_table in zip(self._tables, self._schemas, strict=True):
                fields = ", ".join(f'"{field.name}" {_TYPES[field.type]}' for field in of_table)
                self._database.execute(f'CREATE TABLE "{table}" ({fields})')
                self._database.execute(f"COMMENT ON TABLE \"{table}\" IS '{_OURS}'")

    def write(self, block: pa.Table) -> None:
        with self._stopping():
            self._database.append(self._tables[0], block.replace_schema_metadata(None))
        self._sizes.append(len(block))

    def leave_out(self, left_out: LeftOut) -> None:
        with self._stopping():
            self._database.append(self._tables[1], left_out.to_table(self._schemas[1]))

    def close(self) -> None:
        """Nothing: what was sent is stored durably by the commit, and by nothing before it."""

    def blocks(self) -> Iterator[pa.Table]:
        with self._stopping():
            yield from resliced(self._database.stream(self._tables[0]), self._sizes, self._schemas[0])

    def left_out(self) -> set[Id]:
        with self._stopping():
            batches = [*self._database.stream(self._tables[1])]
        return {user_id for batch in batches for user_id in batch[columns.USER_ID].to_pylist()}

    def commit(self) -> None:
        with self._stopping():
            for view, table in zip(self._views, self._tables, strict=True):
                self._show(view, table)
            old = [*self._old_tables()]
            self._database.commit()
        with suppress(Exception):  # the table is there; what cannot be dropped now is dropped by the next job
            self._database.drop_tables(old)
        self._database.close()

    def abandon(self) -> None:
        with suppress(Exception):  # the database undoes by itself what a lost connection has not committed
            self._database.close()

    def _show(self, view: str, table: str) -> None:
        before = self._database.column_types(view)
        if before and before != self._database.column_types(table):
            self._database.execute(f'DROP VIEW "{view}"')  # columns of a view keep their types
        self._database.execute(f'CREATE OR REPLACE VIEW "{view}" AS SELECT * FROM "{table}"')
        comment = self._comment.replace("'", "''")
        self._database.execute(f"COMMENT ON VIEW \"{view}\" IS '{comment}'")

    def _check_relations(self) -> None:
        there = self._database.relations()
        for view in self._views:
            kind, comment = there.get(view, ("view", _OURS))
            if kind != "view" or not comment.startswith(_OURS):
                raise InputError(
                    f"{self.place}: there is a {kind} {view!r} that Belfry did not make; name another table"
                )

    def _old_tables(self) -> Iterator[str]:
        pattern = re.compile(rf"{self._views[0]}(_left_out)?__[0-9a-f]{{8}}")
        for name, (kind, comment) in self._database.relations().items():
            if kind == "table" and comment == _OURS and name not in self._tables and pattern.fullmatch(name):
                yield name

    def _stopping(self) -> AbstractContextManager[None]:
        return stopped_in_words(self.place, *self._database.errors)
