"""Raw tables from files, folders, pandas and pyarrow; `belfry.dataset.validation.check` checks them."""

import logging
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, Union

import pyarrow as pa

from belfry.dataset import columns
from belfry.dataset.encoding.dictionary import alike_encoded
from belfry.dataset.errors import InputError, TableError, shown
from belfry.dataset.sources.archive import SafeZip
from belfry.dataset.sources.folders import differing_text, joined, partition_columns, table_files
from belfry.dataset.sources.frames import from_pandas, without_index, without_views
from belfry.dataset.sources.id_types import ID_COLUMNS, alike
from belfry.dataset.sources.kinds import READ_ME, Opened, is_foreign, open_content, open_file
from belfry.dataset.sources.reading import AS_IT_IS, RawTable, Reading, explaining, way_to
from belfry.dataset.sources.text.csv_table import read_csv
from belfry.dataset.sources.text.json_lines import read_json_lines
from belfry.dataset.sources.web.objects import address_of
from belfry.dataset.sources.web.remote import fetched
from belfry.dataset.tables import ReadingNote, Tables
from belfry.dataset.vocabulary import Vocabulary

if TYPE_CHECKING:
    import pandas as pd

Source: TypeAlias = Union[str, Path, pa.Table, "pd.DataFrame"]

_OF_EVENTS = ("interactions", "ratings")
_RATED = "rated"  # as the setting `event_weights` names it

log = logging.getLogger(__name__)


def read_tables(
    interactions: Source,
    items: Source | None = None,
    users: Source | None = None,
    *,
    ratings: Source | None = None,
    reading: Reading = AS_IT_IS,
) -> Tables:
    """The raw tables, each from any source that `read_table` takes; `ratings` are further interactions, named `rated`.

    Ids of events are encoded where a Parquet file holds them.

    A CSV file does not say whether ids are numbers. So where ids of a CSV file look like integers and those of another
    table are strings, the former are read as strings too.

    Raises:
        InputError, TableError: as `read_table`; or no table has a column that `reading` names.
    """
    sources = {"interactions": interactions, "items": items, "users": users, "ratings": ratings}
    needed = {name: source for name, source in sources.items() if source is not None or name == "interactions"}
    raws = {name: read_raw(source, reading, name, encode_ids=name in _OF_EVENTS) for name, source in needed.items()}
    _refuse_unknown(reading, raws)
    tables = alike(
        {name: raw.table for name, raw in raws.items()}, {name for name, raw in raws.items() if raw.is_untyped}
    )
    notes = tuple(ReadingNote(name, text) for name, raw in raws.items() for text in raw.notes)
    events = tables["interactions"]
    if "ratings" in tables:
        events = _with_ratings(events, tables["ratings"])
    return Tables(events, tables.get("items"), tables.get("users"), notes=notes)


def read_events(
    source: Source, users: Vocabulary, items: Vocabulary, *, reading: Reading = AS_IT_IS, name: str = "test"
) -> pa.Table:
    """One raw table about known users and items: the ids of a CSV file are read as text where the known ones are.

    What was noticed in reading it is logged.
    """
    raw = read_raw(source, reading, name)
    known = {
        "known items": pa.table({columns.ITEM_ID: items.ids}),
        "known users": pa.table({columns.USER_ID: users.ids}),
    }
    notes = list(raw.notes)
    if unknown := reading.unknown([raw.table.column_names]):
        notes.append(f"has no column {shown(reading.columns[unknown[0]])}, which is to be {unknown[0]!r}")
    for note in notes:
        log.warning("note: %s: %s", name, note)
    return alike({"read": raw.table, **known}, {"read"} if raw.is_untyped else set())["read"]


def read_table(source: Source, reading: Reading = AS_IT_IS) -> pa.Table:
    """One raw table.

    Args:
        source: a CSV, JSON lines, Parquet or Arrow file, a folder of them, a zip that holds one, an address of either
            such as s3://BUCKET/NAME, a pandas DataFrame (its index is left out) or a pyarrow Table.
        reading: what the source does not say itself.

    Raises:
        InputError: there is nothing there, or nothing of a kind that is known.
        TableError: it cannot be read; the message says why.
    """
    return read_raw(source, reading).table


def read_raw(
    source: Source, reading: Reading = AS_IT_IS, name: str = "interactions", *, encode_ids: bool = False
) -> RawTable:
    """Likewise, with what was noticed.

    Args:
        name: of the file to read in a zip that holds several.
        encode_ids: give those of Parquet files encoded.
    """
    encode = [reading.columns.get(column, column) for column in ID_COLUMNS] if encode_ids else []
    if isinstance(source, pa.Table):
        return RawTable(without_views(source)).renamed(reading, name)
    if not isinstance(source, str | Path):
        return RawTable(from_pandas(source)).renamed(reading, name)
    if address := address_of(source):
        with fetched(address) as place:
            return read_raw(place, reading, name, encode_ids=encode_ids)
    path = Path(source)
    with explaining(path):
        if not path.exists():
            raise InputError(f"{source}: no such file or folder; {way_to(str(source))}")
        if path.is_dir():
            return _read_folder(path, reading, encode)
        opened = open_file(path)
        if opened.kind == "zip":
            return _read_zip(path, reading, name, encode)
        return _read_opened(str(path), path, opened, reading, encode)


def _read_opened(
    label: str,
    path: Path | None,
    opened: Opened,
    reading: Reading,
    encode: Collection[str],
    as_text: Collection[str] = (),
) -> RawTable:
    """One table from a file that was looked at; `path` is where it lies, if it is no member of an archive."""
    if opened.kind == "zip":
        raise InputError(f"{label}: is a zip in a zip; unzip it, and name the file")
    if opened.content is not None and opened.kind == "csv":
        raw = read_csv(label, opened.content, reading, as_text)
    elif opened.content is not None and opened.kind == "json":
        raw = read_json_lines(label, opened.content, reading)
    else:
        place = path if path is not None and opened.content is None else opened.content or b""
        if opened.kind == "parquet":
            from belfry.dataset.sources.parquet import read_parquet

            table = read_parquet(label, place, encode)
        else:
            table = _read_arrow(place)
            # Damaged files can carry offsets and text that only show when used, and then badly.
            table.validate(full=True)
            table = without_views(table)
        raw = RawTable(table).renamed(reading, label)
    table, notes = without_index(raw.table)
    return RawTable(table, (*opened.notes, *raw.notes, *notes), raw.is_untyped)


def _read_zip(path: Path, reading: Reading, name: str, encode: Collection[str]) -> RawTable:
    """The one table of an archive, or the one whose name is asked for."""
    with SafeZip(path) as archive:
        member = _member(path, archive.names, name)
        named = member if member.isprintable() else ascii(member)
        label = f"{path}: {named}"
        try:
            with archive.open(member) as file:
                content = file.read()
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError) as error:
            raise TableError(
                f"{label}: is damaged, or packed in an unknown way; unzip it, or fetch it again"
            ) from error
    with explaining(label):
        raw = _read_opened(label, None, open_content(label, member, content), reading, encode)
    return RawTable(raw.table, (f"read {named} of the zip", *raw.notes), raw.is_untyped)


def tables_in_zip(names: frozenset[str]) -> list[str]:
    """The members that are tables by their names; texts such as a README are none where there are others."""
    visible = [name for name in sorted(names) if not any(part.startswith((".", "_")) for part in name.split("/"))]
    found = [name for name in visible if not is_foreign(name) and stem(name) not in READ_ME]
    return [name for name in found if not name.lower().endswith(".txt")] or found


def stem(name: str) -> str:
    """The name of a file without folders and suffixes, in lower case."""
    return Path(name).name.partition(".")[0].lower()


def _member(path: Path, names: frozenset[str], name: str) -> str:
    found = tables_in_zip(names)
    chosen = [one for one in found if stem(one) == name] or found
    if len(chosen) == 1:
        return chosen[0]
    if "[Content_Types].xml" in names:
        raise InputError(f"{path}: is an Excel workbook; save its sheet as CSV")
    if not names:
        raise InputError(f"{path}: is a zip that holds nothing; fetch it again")
    there = ", ".join(map(shown, sorted(names)[:8]))
    wanted = f"call one of them {name}.csv, or" if found else "no table is among them, or"
    raise InputError(f"{path}: holds {there}; {wanted} unzip it and name the file or folder")


def _read_folder(folder: Path, reading: Reading, encode: Collection[str]) -> RawTable:
    paths, notes = table_files(folder)
    raws = {path: _part_of_folder(path, reading, encode) for path in paths}
    if as_text := differing_text(raws):
        raws = {path: _part_of_folder(path, reading, encode, as_text) for path in paths}
    said = {reading.rename([name], str(folder))[0]: values for name, values in partition_columns(folder, paths).items()}
    raw = joined(folder, raws, said)
    return RawTable(raw.table, (*notes, *raw.notes), raw.is_untyped)


def _part_of_folder(path: Path, reading: Reading, encode: Collection[str], as_text: Collection[str] = ()) -> RawTable:
    with explaining(path):
        return _read_opened(str(path), path, open_file(path), reading, encode, as_text)


def _read_arrow(source: Path | bytes) -> pa.Table:
    with pa.BufferReader(source) if isinstance(source, bytes) else pa.OSFile(str(source)) as file:
        is_file = file.read(6) == b"ARROW1"
        file.seek(0)
        reader = pa.ipc.open_file(file) if is_file else pa.ipc.open_stream(file)
        return reader.read_all()


def _with_ratings(interactions: pa.Table, ratings: pa.Table) -> pa.Table:
    """Both tables, one below the other; `belfry.dataset.event_weights` decides which of two events of a pair stays."""
    if columns.EVENT not in ratings.column_names:
        ratings = ratings.append_column(columns.EVENT, pa.array([_RATED] * len(ratings)))
    both = alike_encoded({"interactions": interactions, "ratings": ratings}, ID_COLUMNS)
    timed = [name for name, table in both.items() if columns.TIMESTAMP_S in table.column_names]
    if len(timed) == 1:
        without = next(name for name in both if name not in timed)
        raise TableError(
            f"{without}: there is no column '{columns.TIMESTAMP_S}', which the {timed[0]} have; the two become one "
            "table in the order of its times: give both the times, or neither"
        )
    try:
        return pa.concat_tables(both.values(), promote_options="permissive")
    except pa.ArrowException as error:
        raise TableError(f"ratings: cannot stand below the interactions: {error}; give both the same types") from error


def _refuse_unknown(reading: Reading, raws: dict[str, RawTable]) -> None:
    """Raise where no table has a column that is to be renamed.

    Raises:
        InputError: it is so.
    """
    if unknown := reading.unknown(raw.table.column_names for raw in raws.values()):
        there = "; ".join(
            f"{name} has {', '.join(map(shown, raw.table.column_names[:12]))}" for name, raw in raws.items()
        )
        wanted = unknown[0]
        raise InputError(
            f"columns {wanted}={reading.columns[wanted]}: no table has {shown(reading.columns[wanted])}; {there}"
        )
