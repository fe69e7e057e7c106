"""Raw tables from CSV, Parquet, Arrow files, pandas and pyarrow; `belfry.dataset.validation.check` checks them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, Union

import pyarrow as pa

from belfry.dataset import columns
from belfry.dataset.errors import InputError, TableError
from belfry.dataset.sources.delimited import CSV_SUFFIXES, read_csv
from belfry.dataset.sources.frames import from_pandas
from belfry.dataset.sources.id_types import alike
from belfry.dataset.tables import Tables
from belfry.dataset.vocabulary import Vocabulary

if TYPE_CHECKING:
    import pandas as pd

Source: TypeAlias = Union[str, Path, pa.Table, "pd.DataFrame"]

PARQUET_SUFFIXES = (".parquet", ".pq")
ARROW_SUFFIXES = (".arrow", ".feather", ".ipc")
SUFFIXES = CSV_SUFFIXES + PARQUET_SUFFIXES + ARROW_SUFFIXES

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
    tables = alike(tables, {name for name, source in needed.items() if is_csv(source)})
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


@contextmanager
def reading(path: Path) -> Iterator[None]:
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
        return from_pandas(source)
    path = Path(source)
    with reading(path):
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
        return read_csv(path)
    if name.endswith(PARQUET_SUFFIXES):
        return _read_parquet(path)
    return _read_arrow(path)


def _read_parquet(path: Path) -> pa.Table:
    import pyarrow.parquet as pq

    # A folder on the way named `a=1` is no column of the file.
    return pq.read_table(path, partitioning=None)


def _read_parquet_folder(folder: Path) -> pa.Table:
    # A type that differs between files becomes the wider one; ids that become floats so are refused by validation.
    return pa.concat_tables([read_table(path) for path in parquet_files(folder)], promote_options="permissive")


def parquet_files(folder: Path) -> list[Path]:
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


def is_csv(source: Source | None) -> bool:
    return isinstance(source, str | Path) and str(source).lower().endswith(CSV_SUFFIXES)
