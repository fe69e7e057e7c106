"""Folders of files that are one table: which files, what their folders' names say, and what they differ in."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa

from belfry.dataset.encoding.dictionary import alike_encoded
from belfry.dataset.errors import InputError, TableError
from belfry.dataset.sources.id_types import ID_COLUMNS, alike, integers_or_text
from belfry.dataset.sources.kinds import PARQUET_SUFFIXES, READ_ME, TEXT_SUFFIXES, is_foreign
from belfry.dataset.sources.reading import RawTable

_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"


def table_files(folder: Path) -> tuple[list[Path], tuple[str, ...]]:
    """The files below `folder` that are the table, in the order of their names, and what is left out.

    Parquet where there is any, else text. A name that begins with a dot or an underscore, of a folder too, hides them.

    Raises:
        InputError: there are none.
    """
    for name in ("_delta_log", ".hoodie"):
        if (folder / name).is_dir():
            raise InputError(
                f"{folder}: is a table with versions ({name}), whose files may hold rows that are no longer in it; "
                "write what it holds now as plain Parquet"
            )
    visible = sorted(
        path
        for path in folder.rglob("*")
        if not any(part.startswith((".", "_")) for part in path.relative_to(folder).parts) and path.is_file()
    )
    parquet = [path for path in visible if path.name.lower().endswith(PARQUET_SUFFIXES) or _begins_as_parquet(path)]
    text = [
        path
        for path in visible
        if path not in parquet and not is_foreign(path.name) and path.stem.lower() not in READ_ME and _is_text(path)
    ]
    empty = [path for path in text if not path.stat().st_size]
    if len(empty) < len(text):
        text = [path for path in text if path not in empty]
    if parquet:
        left_out = f"left out {len(text)} files that are no Parquet, such as {text[0].name}" if text else ""
        return parquet, (left_out,) if left_out else ()
    if text:
        return text, (f"left out {len(empty)} empty files, such as {empty[0].name}",) if empty else ()
    raise InputError(
        f"{folder}: no Parquet file in this folder, nor one of CSV or JSON lines; name a file, or a folder with "
        "*.parquet"
    )


def partition_columns(folder: Path, paths: Sequence[Path]) -> dict[str, pa.Array]:
    """What folders named `date=2020-01-01` say: a column -> its value for each of `paths`; null where none says it."""
    said: dict[str, list[str | None]] = {}
    for place, path in enumerate(paths):
        for part in path.relative_to(folder).parts[:-1]:
            name, sign, value = part.partition("=")
            if sign and name:
                values = said.setdefault(unquote(name), [None] * len(paths))
                values[place] = None if value == _NO_VALUE else unquote(value)
    return {
        name: integers_or_text(pa.chunked_array([pa.array(values, pa.string())])).combine_chunks()
        for name, values in said.items()
    }


def differing_text(raws: Mapping[Path, RawTable]) -> set[str]:
    """Columns of CSV files that are text in one file and something else in another."""
    names = {name for raw in raws.values() if raw.is_untyped for name in raw.table.column_names}
    differing = set()
    for name in names - set(ID_COLUMNS):
        types = {raw.table.schema.field(name).type for raw in raws.values() if raw.table.column_names.count(name) == 1}
        types.discard(pa.null())
        if len(types) > 1 and not all(pa.types.is_integer(one) or pa.types.is_floating(one) for one in types):
            differing.add(name)
    return differing


def joined(folder: Path, raws: Mapping[Path, RawTable], said: Mapping[str, pa.Array]) -> RawTable:
    """The tables of all files below one another, with what their folders say.

    Raises:
        TableError: ids are missing in a file, or the types of a column differ; the message names files and column.
    """
    notes = [note for raw in raws.values() for note in raw.notes]
    tables = alike_encoded({path: raw.table for path, raw in raws.items()}, ID_COLUMNS)
    for name, values in said.items():
        if any(name in table.column_names for table in tables.values()):
            notes.append(f"column {name!r} is in the files; what the folders' names say of it is left out")
            continue
        for (path, table), value in zip(list(tables.items()), values, strict=True):
            tables[path] = table.append_column(name, pa.repeat(value, len(table)))
        notes.append(f"column {name!r} is read from the names of folders, such as {name}={values[0].as_py()}")
    notes += _missing_columns(folder, tables)
    named = {str(path): table for path, table in tables.items()}
    same = alike(named, {str(path) for path, raw in raws.items() if raw.is_untyped})
    tables = {path: same[str(path)] for path in tables}
    _refuse_other_types(folder, {path: table.schema for path, table in tables.items()})
    table = pa.concat_tables(list(tables.values()), promote_options="permissive")
    return RawTable(table, tuple(dict.fromkeys(notes)), any(raw.is_untyped for raw in raws.values()))


def common_schema(folder: Path, schemas: Mapping[Path, pa.Schema]) -> pa.Schema:
    """The schema that all files are read in.

    Raises:
        TableError: types differ; the message names files and column.
    """
    _refuse_other_types(folder, schemas)
    return pa.unify_schemas(list(schemas.values()), promote_options="permissive")


def _missing_columns(folder: Path, tables: Mapping[Path, pa.Table]) -> list[str]:
    names = dict.fromkeys(name for table in tables.values() for name in table.column_names)
    notes = []
    for name in names:
        without = [path for path, table in tables.items() if name not in table.column_names]
        if not without:
            continue
        first = without[0].relative_to(folder)
        if name in ID_COLUMNS:
            raise TableError(
                f"{folder}: column {name!r} is missing in {len(without)} of {len(tables)} files (first: {first}); "
                "add it, or "
                "move the file out of the folder"
            )
        notes.append(
            f"column {name!r} is missing in {len(without)} of {len(tables)} files (first: {first}); null there"
        )
    return notes


def _refuse_other_types(folder: Path, schemas: Mapping[Path, pa.Schema]) -> None:
    """Raise where the types of a column cannot be one.

    Raises:
        TableError: it is so.
    """
    first: dict[str, tuple[Path, pa.Field]] = {}
    for path, schema in schemas.items():
        for field in schema:
            if pa.types.is_null(field.type):
                continue
            if field.name not in first:
                first[field.name] = path, field
                continue
            other, known = first[field.name]
            if known.type != field.type and not _can_be_one(known, field):
                raise TableError(
                    f"{folder}: column {field.name!r} is {known.type} in {other.relative_to(folder)} and "
                    f"{field.type} in "
                    f"{path.relative_to(folder)}; write both with one type"
                )


def _can_be_one(one: pa.Field, other: pa.Field) -> bool:
    if one.name in ID_COLUMNS and pa.types.is_floating(one.type) != pa.types.is_floating(other.type):
        return False
    try:
        pa.unify_schemas([pa.schema([one]), pa.schema([other])], promote_options="permissive")
    except pa.ArrowException:
        return False
    return True


def _begins_as_parquet(path: Path) -> bool:
    if path.suffix:
        return False
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"


def _is_text(path: Path) -> bool:
    return any(suffix in TEXT_SUFFIXES for suffix in map(str.lower, path.suffixes))
