"""What `--data` means: a name or a path, to raw tables."""

from pathlib import Path

from belfry.dataset.errors import InputError
from belfry.dataset.sources import download, movielens, tabular
from belfry.dataset.tables import Tables

DEMO = "demo"


def read_data(name_or_path: str, data_folder: Path | None = None) -> Tables:
    """The raw tables behind a name (`demo`, `ml-100k`, ...), a MovieLens folder or zip, or files of your own.

    A folder of your own holds interactions.csv (or .parquet, .arrow, ...) and, if you like, items.* and users.*; any
    other folder is read as one table of interactions in Parquet files.
    """
    if name_or_path == DEMO:
        from belfry.dataset.sources import demo

        return demo.generate()
    if name_or_path in download.MD5_BY_NAME:
        return movielens.read_movielens(download.find(name_or_path, data_folder=data_folder))
    path = Path(name_or_path)
    if not path.exists():
        names = ", ".join([DEMO, *download.MD5_BY_NAME])
        raise InputError(f"{name_or_path}: no such file or folder, and none of the names {names}")
    if path.suffix.lower() == ".zip" or movielens.is_movielens(path):
        return movielens.read_movielens(path)
    if path.is_dir() and (interactions := _table_in(path, "interactions")):
        return tabular.read_tables(interactions, items=_table_in(path, "items"), users=_table_in(path, "users"))
    return tabular.read_tables(path)


def _table_in(folder: Path, name: str) -> Path | None:
    """The one file (or folder of Parquet files) of that name."""
    found = [folder / f"{name}{suffix}" for suffix in ("", *tabular.SUFFIXES) if (folder / f"{name}{suffix}").exists()]
    if len(found) > 1:
        raise InputError(f"{folder}: has {' and '.join(path.name for path in found)}; keep one")
    return found[0] if found else None
