"""Raw tables from CSV, Parquet, Arrow files, pandas and pyarrow; `belfry.dataset.validation.check` checks them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, Union

import pyarrow as pa
import pyarrow.compute as pc

from belfry.dataset import columns
from belfry.dataset.errors import InputError, TableError
from belfry.dataset.tables import Tables
from belfry.dataset.vocabulary import Vocabulary

if TYPE_CHECKING:
    import pandas as pd

Source: TypeAlias = Union[str, Path, pa.Table, "pd.DataFrame"]

CSV_SUFFIXES = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz")
PARQUET_SUFFIXES = (".parquet", ".pq")
ARROW_SUFFIXES = (".arrow", ".feather", ".ipc")
SUFFIXES = CSV_SUFFIXES + PARQUET_SUFFIXES + ARROW_SUFFIXES

# An integer that is written in one way only: read as a number and printed again, it is the same text.
INTEGER_ID = r"^(0|-?[1-9]\d{0,18})$"
ID_COLUMNS = (columns.USER_ID, columns.ITEM_ID)
ROWS_PER_PART = 1 << 20
_RATED = "rated"  # as the setting `event_weights` names it


def read_tables(
    interactions: Source, items: Source | None = None, users: Source | None = None, *, ratings: Source | None = None
) -> Tables:
    """The raw tables, each from any source that `read_table` takes; `ratings` are further interactions, named `rated`.

    A CSV file does not say whether ids are numbers. So where ids of a CSV file look like integers and those of another
    table are strings, the former are read as strings too.
    """
    sources = {"interactions": interactions, "items": items, "users": users, "ratings": ratings}
    needed = {name: source for name, source in sources.items() if source is not None or name == "interactions"}
    tables = {name: read_table(source) for name, source in needed.items()}
    for column in ID_COLUMNS:
        types = [table.schema.field(column).type for table in tables.values() if _has_one(table, column)]
        if pa.string() in types:
            for name, table in tables.items():
                if is_csv(sources[name]) and _has_one(table, column):
                    position = table.schema.get_field_index(column)
                    tables[name] = table.set_column(position, column, table[column].cast(pa.string()))
    events = tables["interactions"]
    if "ratings" in tables:
        events = _with_ratings(events, tables["ratings"])
    return Tables(events, tables.get("items"), tables.get("users"))


def read_events(source: Source, users: Vocabulary, items: Vocabulary) -> pa.Table:
    """One raw table about known users and items: the ids of a CSV file are read as text where the known ones are."""
    known_items, known_users = pa.table({columns.ITEM_ID: items.ids}), pa.table({columns.USER_ID: users.ids})
    return read_tables(source, known_items, known_users).interactions


def _with_ratings(interactions: pa.Table, ratings: pa.Table) -> pa.Table:
    """Both tables, one below the other; `belfry.dataset.event_weights` decides which of two events of a pair stays."""
    if columns.EVENT not in ratings.column_names:
        ratings = ratings.append_column(columns.EVENT, pa.array([_RATED] * len(ratings)))
    try:
        return pa.concat_tables([interactions, ratings], promote_options="permissive")
    except pa.ArrowException as error:
        raise TableError(f"ratings: cannot stand below the interactions: {error}; give both the same types") from error


@dataclass(frozen=True)
class TableParts:
    """A table that is read in parts, as often as asked, and need not fit into memory."""

    schema: pa.Schema
    n_rows: int
    read: Callable[[Sequence[str]], Iterator[pa.Table]] = field(repr=False)  # names of columns -> the rows, in parts


def open_table(source: Source) -> TableParts:
    """Any source that `read_table` takes; Parquet is read from the disk part by part, the rest is held in memory.

    Raises:
        InputError, TableError: as `read_table`; what only the rows can tell comes when they are read.
    """
    if isinstance(source, str | Path):
        path = Path(source)
        if path.is_dir():
            return _open_parquet(path, _parquet_files(path))
        if path.is_file() and path.name.lower().endswith(PARQUET_SUFFIXES) and path.stat().st_size:
            return _open_parquet(path, [path])
    table = read_table(source)

    def slices(names: Sequence[str]) -> Iterator[pa.Table]:
        chosen = table.select(list(names))
        for start in range(0, len(table), ROWS_PER_PART):
            yield chosen.slice(start, ROWS_PER_PART)

    return TableParts(table.schema, len(table), slices)


def _open_parquet(source: Path, paths: list[Path]) -> TableParts:
    import pyarrow.parquet as pq

    with _reading(source):
        heads = [pq.ParquetFile(path) for path in paths]
        schema = pa.unify_schemas([head.schema_arrow for head in heads], promote_options="permissive")
        n_rows = sum(head.metadata.num_rows for head in heads)
        for head in heads:
            head.close()

    def batches(names: Sequence[str]) -> Iterator[pa.Table]:
        wanted = pa.schema([schema.field(name) for name in names])
        for path in paths:
            with _reading(path), pq.ParquetFile(path) as file:
                for batch in file.iter_batches(ROWS_PER_PART, columns=list(names)):
                    part = pa.Table.from_batches([batch])
                    part.validate(full=True)
                    missing = [name for name in names if name not in part.column_names]
                    for name in missing:
                        part = part.append_column(name, pa.nulls(len(part), wanted.field(name).type))
                    yield part.select(list(names)).cast(wanted)

    return TableParts(schema, n_rows, batches)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn whatever goes wrong with a file into a TableError that says so."""
    try:
        yield
    except (pa.ArrowException, OSError, ValueError, MemoryError, OverflowError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:300]
        raise TableError(f"{path}: cannot be read: {reason}; check the file or write it again") from error


def read_table(source: Source) -> pa.Table:
    """One raw table.

    Args:
        source: a CSV, Parquet or Arrow file, a folder of Parquet files, a pandas DataFrame (its index is left out) or
            a pyarrow Table.

    Raises:
        InputError: there is nothing there, or nothing of a kind that is known.
        TableError: it cannot be read; the message says why.
    """
    if isinstance(source, pa.Table):
        return source
    if not isinstance(source, str | Path):
        return _from_pandas(source)
    path = Path(source)
    with _reading(path):
        table = _read_file(path)
        # Damaged files can carry offsets and text that only show when used, and then badly.
        table.validate(full=True)
    return table


def _read_file(path: Path) -> pa.Table:
    if path.is_dir():
        return _read_parquet_folder(path)
    if not path.exists():
        raise InputError(f"{path}: no such file or folder; check the path")
    name = path.name.lower()
    if not name.endswith(SUFFIXES):
        raise InputError(f"{path}: unknown kind of file; Belfry reads {', '.join(SUFFIXES)} and folders of Parquet")
    if not path.stat().st_size:
        raise TableError(f"{path}: is empty; a table needs a header and rows")
    if name.endswith(CSV_SUFFIXES):
        return _read_csv(path)
    if name.endswith(PARQUET_SUFFIXES):
        return _read_parquet(path)
    return _read_arrow(path)


def _read_parquet(path: Path) -> pa.Table:
    import pyarrow.parquet as pq

    # A folder on the way named `a=1` is no column of the file.
    return pq.read_table(path, partitioning=None)


def _read_parquet_folder(folder: Path) -> pa.Table:
    # A type that differs between files becomes the wider one; ids that become floats so are refused by validation.
    return pa.concat_tables([read_table(path) for path in _parquet_files(folder)], promote_options="permissive")


def _parquet_files(folder: Path) -> list[Path]:
    """All Parquet files below `folder`; a name that begins with a dot or an underscore, of a folder too, hides them."""
    paths = sorted(
        path
        for path in folder.rglob("*")
        if path.name.lower().endswith(PARQUET_SUFFIXES)
        and not any(part.startswith((".", "_")) for part in path.relative_to(folder).parts)
        and path.is_file()
    )
    if not paths:
        raise InputError(f"{folder}: no Parquet file in this folder; name a file, or a folder with *.parquet")
    return paths


def _read_arrow(path: Path) -> pa.Table:
    with pa.OSFile(str(path)) as file:
        is_file = file.read(6) == b"ARROW1"
        file.seek(0)
        reader = pa.ipc.open_file(file) if is_file else pa.ipc.open_stream(file)
        return reader.read_all()


def _read_csv(path: Path) -> pa.Table:
    from pyarrow import csv

    with pa.input_stream(str(path)) as stream:
        head = stream.read(65536)
    first_line = head.removeprefix(b"\xef\xbb\xbf").split(b"\n")[0]
    if not first_line.strip():
        raise TableError(f"{path}: begins with an empty line; the first line must name the columns")
    delimiter = max(",\t;", key=lambda sign: first_line.count(sign.encode()))
    table = csv.read_csv(
        path,
        parse_options=csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        convert_options=csv.ConvertOptions(column_types=dict.fromkeys(ID_COLUMNS, pa.string())),
    )
    for position, column_field in enumerate(table.schema):
        column = table.column(position)
        if column_field.name in ID_COLUMNS:
            table = table.set_column(position, column_field.name, _integers_or_text(column))
        elif column_field.type == pa.string():
            table = table.set_column(position, column_field.name, _empty_as_null(column))
    return table


def _integers_or_text(ids: pa.ChunkedArray) -> pa.ChunkedArray:
    """Ids as int64 if each is an integer without leading zeros or signs, else as text."""
    ids = _empty_as_null(ids)
    if pc.all(pc.match_substring_regex(ids, INTEGER_ID)).as_py():
        try:
            return ids.cast(pa.int64())
        except pa.ArrowInvalid:  # beyond 64 bits
            return ids
    return ids


def _empty_as_null(text: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)


def _from_pandas(frame: object) -> pa.Table:
    import pandas as pd

    if not isinstance(frame, pd.DataFrame):
        raise InputError(
            f"a table is a path, a pandas DataFrame or a pyarrow Table, not {type(frame).__name__}; convert it first"
        )
    names = [str(name) for name in frame.columns]
    return pa.table([_from_series(name, frame.iloc[:, i]) for i, name in enumerate(names)], names=names)


def _from_series(name: str, series: "pd.Series") -> pa.Array:
    try:
        return pa.array(series, from_pandas=True)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return _union_of(name, series.astype(object).tolist())


def _union_of(name: str, values: Iterable[Any]) -> pa.Array:
    """Values of several types as an Arrow union, which validation counts and refuses beside all else it finds."""
    import pandas as pd

    by_type: dict[str, list[Any]] = {}
    numbers, offsets = [], []
    for value in values:
        # A missing value belongs to whichever type comes first.
        missing = pd.api.types.is_scalar(value) and pd.isna(value)
        kind = next(iter(by_type), "str") if missing else type(value).__name__
        members = by_type.setdefault(kind, [])
        numbers.append(list(by_type).index(kind))
        offsets.append(len(members))
        members.append(None if missing else value)
    try:
        children = [pa.array(members) for members in by_type.values()]
        return pa.UnionArray.from_dense(
            pa.array(numbers, pa.int8()), pa.array(offsets, pa.int32()), children, list(by_type)
        )
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        kinds = ", ".join(sorted(by_type))
        raise TableError(
            f"column {name!r} holds values that Arrow has no type for (of {kinds}); convert or drop the column"
        ) from error


def is_csv(source: Source | None) -> bool:
    return isinstance(source, str | Path) and str(source).lower().endswith(CSV_SUFFIXES)


def _has_one(table: pa.Table, column: str) -> bool:
    return bool(table.column_names.count(column) == 1)
