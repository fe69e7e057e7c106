"""What `--data` means: a name or a path, to raw tables."""

from pathlib import Path

from belfry.dataset.errors import InputError
from belfry.dataset.sources import movielens, tabular
from belfry.dataset.sources.archive import SafeZip
from belfry.dataset.sources.kinds import is_foreign
from belfry.dataset.sources.layouts.find import find_layout
from belfry.dataset.sources.reading import AS_IT_IS, Reading, explaining, way_to
from belfry.dataset.sources.web import download
from belfry.dataset.tables import Tables

DEMO = "demo"


def read_data(name_or_path: str, data_folder: Path | None = None, reading: Reading = AS_IT_IS) -> Tables:
    """The raw tables behind a name (`demo`, `ml-100k`, ...), a published layout, or files of your own.

    A folder or zip of your own holds interactions.csv (or .parquet, .jsonl, ...) and, if you like, items.* and users.*;
    any other folder is read as one table of interactions in several files.

    Raises:
        InputError, TableError: there is nothing there, or it cannot be read; the message says what to do.
    """
    if name_or_path == DEMO:
        from belfry.dataset.sources import demo

        return demo.generate()
    if name_or_path in download.MD5_BY_NAME:
        return movielens.read_movielens(download.find(name_or_path, data_folder=data_folder))
    path = Path(name_or_path)
    with explaining(name_or_path):
        if not path.exists():
            names = ", ".join([DEMO, *download.MD5_BY_NAME])
            raise InputError(
                f"{name_or_path}: no such file or folder, and none of the names {names}; {way_to(name_or_path)}"
            )
        if movielens.is_movielens(path):
            return movielens.read_movielens(path)
        if path.is_dir() and (interactions := _table_in(path, "interactions")):
            items, users = (_table_in(path, name) for name in ("items", "users"))
            return tabular.read_tables(interactions, items, users, reading=reading)
        if not reading.columns and (tables := find_layout(path)) is not None:
            return tables
        if path.suffix.lower() == ".zip":
            with SafeZip(path) as archive:
                there = {tabular.stem(name) for name in tabular.tables_in_zip(archive.names)}
            of_items, of_users = (path if name in there else None for name in ("items", "users"))
            return tabular.read_tables(path, of_items, of_users, reading=reading)
        return tabular.read_tables(path, reading=reading)


def _table_in(folder: Path, name: str) -> Path | None:
    """The one file of that name with a suffix of a table, in any case, or the one folder."""
    here = sorted(path for path in folder.iterdir() if tabular.stem(path.name) == name)
    found = [path for path in here if (path.is_dir() and path.name.lower() == name) or not is_foreign(path.name)]
    if len(found) > 1:
        raise InputError(f"{folder}: has {' and '.join(path.name for path in found)}; keep one")
    return found[0] if found else None
