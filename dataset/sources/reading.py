"""How a foreign table is to be read where it does not say so itself, and what reading it gives."""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from belfry.dataset.errors import LONGEST_CAUSE, InputError, TableError, printable, shown

_NAMED_DELIMITERS = {"\\t": "\t", "tab": "\t", "comma": ",", "semicolon": ";", "pipe": "|", "space": " "}
_NEXT_PAIR = re.compile(r",(?=[^,=]+=)")  # a name may hold commas


@dataclass(frozen=True)
class Reading:
    """What the caller says of foreign tables; for all tables of one call, each where it fits."""

    columns: Mapping[str, str] = field(default_factory=dict)  # Belfry's name -> the name in the tables
    delimiter: str | None = None  # of CSV; found out without
    encoding: str | None = None  # of text; UTF-8, or UTF-16 with its mark, without

    def __post_init__(self) -> None:
        if self.delimiter is not None:
            delimiter = _NAMED_DELIMITERS.get(self.delimiter, self.delimiter)
            if not 1 <= len(delimiter) <= 4 or not delimiter.isascii() or set(delimiter) & set('"\r\n\0'):
                raise InputError(f"delimiter {shown(delimiter)}: wanted one to four ASCII signs, such as ';' or '::'")
            object.__setattr__(self, "delimiter", delimiter)
        if self.encoding is not None:
            try:
                "a".encode(self.encoding)
            except (LookupError, ValueError) as error:
                raise InputError(
                    f"encoding {shown(self.encoding)}: is not known; examples are utf-8, latin-1, cp1252, utf-16, "
                    "gb18030"
                ) from error
        named: dict[str, str] = {}
        for wanted, name in self.columns.items():
            if not (isinstance(wanted, str) and isinstance(name, str)):
                raise InputError(f"columns {{{wanted!r}: {name!r}}}: names of columns are text; put quotes around them")
            if name in named:
                raise InputError(f"columns: {shown(name)} is to be {named[name]!r} and {wanted!r}; name it once")
            named[name] = wanted

    @classmethod
    def of(
        cls, columns: Iterable[str] | Mapping[str, str] | None, delimiter: str | None, encoding: str | None
    ) -> "Reading":
        """From options: `columns` as a mapping, or as texts such as `user_id=userId,item_id=movieId`.

        Raises:
            InputError: one of them cannot be meant.
        """
        if columns is None or isinstance(columns, Mapping):
            return cls(dict(columns or {}), delimiter, encoding)
        pairs: dict[str, str] = {}
        for text in [columns] if isinstance(columns, str) else columns:
            for pair in _NEXT_PAIR.split(text):
                wanted, sign, name = pair.partition("=")
                wanted = wanted.strip()
                if not (wanted and sign and name.strip()):
                    raise InputError(
                        f"columns {shown(pair)}: wanted NAME=NAME IN THE TABLE, such as user_id=userId,item_id=movieId"
                    )
                if wanted in pairs:
                    raise InputError(f"columns: {shown(wanted)} is named twice; name it once")
                pairs[wanted] = name.strip()
        return cls(pairs, delimiter, encoding)

    def rename(self, names: list[str], label: str) -> list[str]:
        """The names of a table's columns in Belfry's words.

        Raises:
            TableError: a name that is asked for is there already, or the column to be renamed is there twice.
        """
        wanted_by_name = {name: wanted for wanted, name in self.columns.items() if name != wanted}
        renamed = [wanted_by_name.get(name, name) for name in names]
        for name, wanted in wanted_by_name.items():
            if name in names and renamed.count(wanted) > 1:
                problem = "is there already" if wanted in names else f"would be there {renamed.count(wanted)} times"
                raise TableError(
                    f"{label}: columns {wanted}={name}: a column {wanted!r} {problem}; rename or drop one of the two"
                )
        return renamed

    def unknown(self, tables: Iterable[list[str]]) -> list[str]:
        """Those of the wanted columns that no table has, by its own name or by the wanted one."""
        there = {name for names in tables for name in names}
        return [wanted for wanted, name in self.columns.items() if not {wanted, name} & there]


AS_IT_IS = Reading()


@dataclass(frozen=True)
class RawTable:
    """One table as it was read, and what was noticed on the way."""

    table: pa.Table
    notes: tuple[str, ...] = ()
    is_untyped: bool = False  # text that does not say which ids are numbers, such as CSV

    def renamed(self, reading: Reading, label: str) -> "RawTable":
        table = self.table
        if reading.columns:
            table = _with_parts(table, reading.columns.values())
            table = table.rename_columns(reading.rename(table.column_names, label))
        return RawTable(table, self.notes, self.is_untyped)


def _with_parts(table: pa.Table, names: Iterable[str]) -> pa.Table:
    """With a column more for each of `names` that is a part of an object, as `user.id` is."""
    for name in names:
        head, *rest = name.split(".")
        if not rest or name in table.column_names or table.column_names.count(head) != 1:
            continue
        column = table[head]
        for part in rest:
            if not pa.types.is_struct(column.type) or len(column.type.get_all_field_indices(part)) != 1:
                break
            column = pc.struct_field(column, part)
        else:
            table = table.append_column(name, column)
    return table


def way_to(path: str) -> str:
    """What to do where nothing lies at a path."""
    if "://" in path:
        return "Belfry reads files: fetch it, and name the file"
    if any(sign in path for sign in "*?["):
        return "several files are named by their folder"
    return "check the path"


def reason_of(error: BaseException) -> str:
    """The first line of what another library says of a foreign file, for a message: printable and cut."""
    return printable(str(error).partition("\n")[0] or type(error).__name__, LONGEST_CAUSE)


@contextmanager
def explaining(label: str | Path) -> Iterator[None]:
    """Turn whatever goes wrong with a file into a TableError that says so."""
    try:
        yield
    except (pa.ArrowException, OSError, EOFError, ValueError, MemoryError, OverflowError) as error:
        raise TableError(f"{label}: cannot be read: {reason_of(error)}; check the file or write it again") from error
