"""MovieLens: the layouts 100K (`u.data`), 1M and 10M (`::`), and latest/20M/25M/32M (CSV), from a folder or a zip.

Order of rows as in the files. Titles keep their year: there are films that differ in nothing else.
"""

import zipfile
import zlib
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Literal, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from belfry.dataset import columns
from belfry.dataset.errors import InputError, TableError
from belfry.dataset.sources.archive import SafeZip
from belfry.dataset.sources.layouts.places import Files, OnDisk
from belfry.dataset.sources.reading import reason_of
from belfry.dataset.tables import Tables

Layout: TypeAlias = Literal["100K", "1M", "latest"]

GENRES = "genres"
RELEASE_YEAR = "release_year"
NO_GENRES = ("", "unknown", "(no genres listed)")
YEAR_AT_END = r"\((?P<year>\d{4})(?:[-\x{2013}](?:\d{4})?)?\)\s*$"

# The columns of flags in `u.item`, in the order of `u.genre`.
GENRES_100K = (
    "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama", "Fantasy",
    "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western",
)  # fmt: skip
# What the codes of `users.dat` mean, from its README.
AGE_GROUPS_1M = {
    "1": "Under 18", "18": "18-24", "25": "25-34", "35": "35-44", "45": "45-49", "50": "50-55", "56": "56+",
}  # fmt: skip
OCCUPATIONS_1M = (
    "other", "academic/educator", "artist", "clerical/admin", "college/grad student", "customer service",
    "doctor/health care", "executive/managerial", "farmer", "homemaker", "K-12 student", "lawyer", "programmer",
    "retired", "sales/marketing", "scientist", "self-employed", "technician/engineer", "tradesman/craftsman",
    "unemployed", "writer",
)  # fmt: skip
OCCUPATION_BY_CODE_1M = {str(code): name for code, name in enumerate(OCCUPATIONS_1M)}

SEPARATOR = "\x1f"  # stands in for "::", the CSV reader splits at one character only; no title has it

EVENT_TYPES = {
    columns.USER_ID: pa.int64(),
    columns.ITEM_ID: pa.int64(),
    columns.RATING: pa.float32(),
    columns.TIMESTAMP_S: pa.int64(),
}


def is_movielens(path: Path) -> bool:
    """Whether `path` is a folder or zip in one of the layouts."""
    if not (path.is_dir() or path.suffix.lower() == ".zip"):
        return False
    with _open(path) as files:
        return _layout(files.names) is not None


def read_movielens(path: str | Path) -> Tables:
    """Interactions, items and, in 100K and 1M, users.

    Items have `title`, `genres` (list, empty where none is known) and `release_year` (null where none is known).
    Users have gender, occupation, the first digit of the zip code as `zip_region`, and `age` (100K) or
    `age_group` (1M).
    An ml-1m folder may hold `watches.parquet` (`user_id`, `item_id`) instead of `ratings.dat`.

    Raises:
        InputError: nothing there, no such layout, or an archive that is not safe.
        TableError: a file of the layout is damaged or missing.
    """
    path = Path(path)
    with _open(path) as files:
        layout = _layout(files.names)
        if layout is None:
            raise InputError(
                f"{path}: no MovieLens layout; wanted u.data and u.item, ratings.dat and movies.dat, or ratings.csv "
                f"and movies.csv; found {', '.join(sorted(files.names)[:8]) or 'nothing'}"
            )
        try:
            return _READERS[layout](files)
        except (pa.ArrowException, zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, KeyError) as error:
            raise TableError(f"{path}: damaged MovieLens {layout} data: {reason_of(error)}; fetch it again") from error


def _open(path: Path) -> AbstractContextManager[Files]:
    if path.is_dir():
        return nullcontext(OnDisk(path, frozenset(entry.name for entry in path.iterdir() if entry.is_file())))
    if not path.exists():
        raise InputError(f"{path}: no such file or folder; check the path")
    return SafeZip(path)


def _layout(names: frozenset[str]) -> Layout | None:
    if {"u.data", "u.item"} <= names:
        return "100K"
    if "movies.dat" in names and not names.isdisjoint({"ratings.dat", "watches.parquet"}):
        return "1M"
    return "latest" if {"ratings.csv", "movies.csv"} <= names else None


def _read_100k(files: Files) -> Tables:
    interactions = _read_delimited(files, "u.data", "\t", EVENT_TYPES)
    flag_types = {f"flag_{name}": pa.int8() for name in GENRES_100K}
    text_types = dict.fromkeys((columns.TITLE, "release_date", "video_date", "address"), pa.string())
    films = _read_delimited(files, "u.item", "|", {columns.ITEM_ID: pa.int64(), **text_types, **flag_types})
    flags = films.select(list(flag_types)).to_pylist()
    genres = [
        [name for name, flag in zip(GENRES_100K, row.values(), strict=True) if flag and name not in NO_GENRES]
        for row in flags
    ]
    year = pc.utf8_slice_codeunits(films["release_date"], -4)  # 01-Jan-1995
    items = _items(films[columns.ITEM_ID], films[columns.TITLE], genres, pc.if_else(pc.equal(year, ""), None, year))
    users = None
    if "u.user" in files.names:
        user_types = {columns.USER_ID: pa.int64(), "age": pa.int64()}
        user_types |= dict.fromkeys(("gender", "occupation", "zip_code"), pa.string())
        people = _read_delimited(files, "u.user", "|", user_types)
        users = people.drop_columns("zip_code").append_column("zip_region", _zip_region(people["zip_code"]))
    return Tables(interactions, items, users, text_columns=(columns.TITLE,))


def _read_1m(files: Files) -> Tables:
    if "ratings.dat" in files.names:
        interactions = _read_delimited(files, "ratings.dat", "::", EVENT_TYPES)
    else:
        import pyarrow.parquet as pq

        with files.open("watches.parquet") as file:
            watches = pq.read_table(pa.BufferReader(file.read()))
        # Other columns that a copy may have are kept in their own types.
        interactions = watches.cast(pa.schema([_as_int64_id(field) for field in watches.schema]))
    film_types = {columns.ITEM_ID: pa.int64(), columns.TITLE: pa.string(), GENRES: pa.string()}
    items = _items_from_text(_read_delimited(files, "movies.dat", "::", film_types))
    users = None
    if "users.dat" in files.names:
        names = ("gender", "age_code", "occupation_code", "zip_code")
        user_types = {columns.USER_ID: pa.int64(), **dict.fromkeys(names, pa.string())}
        people = _read_delimited(files, "users.dat", "::", user_types)
        users = pa.table(
            {
                columns.USER_ID: people[columns.USER_ID],
                "gender": people["gender"],
                "age_group": _renamed(people["age_code"], AGE_GROUPS_1M),
                "occupation": _renamed(people["occupation_code"], OCCUPATION_BY_CODE_1M),
                "zip_region": _zip_region(people["zip_code"]),
            }
        )
    return Tables(interactions, items, users, text_columns=(columns.TITLE,))


def _read_latest(files: Files) -> Tables:
    from pyarrow import csv

    event_types = dict(zip(("userId", "movieId", "rating", "timestamp"), EVENT_TYPES.values(), strict=True))
    film_types = {"movieId": pa.int64(), "title": pa.string(), "genres": pa.string()}
    with files.open("ratings.csv") as file:
        options = csv.ConvertOptions(column_types=event_types, include_columns=list(event_types))
        interactions = csv.read_csv(file, convert_options=options).rename_columns(list(EVENT_TYPES))
    with files.open("movies.csv") as file:
        options = csv.ConvertOptions(column_types=film_types, include_columns=list(film_types))
        films = csv.read_csv(file, convert_options=options, parse_options=csv.ParseOptions(newlines_in_values=True))
    items = _items_from_text(films.rename_columns([columns.ITEM_ID, columns.TITLE, GENRES]))
    return Tables(interactions, items, text_columns=(columns.TITLE,))


_READERS: dict[Layout, Callable[[Files], Tables]] = {"100K": _read_100k, "1M": _read_1m, "latest": _read_latest}


def _read_delimited(files: Files, name: str, delimiter: str, types: dict[str, pa.DataType]) -> pa.Table:
    """A file without header or quotes, in Latin-1."""
    from pyarrow import csv

    with files.open(name) as file:
        content = file.read()
    if len(delimiter) > 1:
        content, delimiter = content.replace(delimiter.encode(), SEPARATOR.encode()), SEPARATOR
    return csv.read_csv(
        pa.BufferReader(content),
        read_options=csv.ReadOptions(column_names=list(types), encoding="latin-1"),
        parse_options=csv.ParseOptions(delimiter=delimiter, quote_char=False),
        convert_options=csv.ConvertOptions(column_types=types),
    )


def _items_from_text(films: pa.Table) -> pa.Table:
    genres = [[name for name in (text or "").split("|") if name not in NO_GENRES] for text in films[GENRES].to_pylist()]
    year = pc.struct_field(pc.extract_regex(films[columns.TITLE], YEAR_AT_END), "year")
    return _items(films[columns.ITEM_ID], films[columns.TITLE], genres, year)


def _items(
    item_id: pa.ChunkedArray, title: pa.ChunkedArray, genres: list[list[str]], year: pa.ChunkedArray
) -> pa.Table:
    return pa.table(
        {
            columns.ITEM_ID: item_id,
            columns.TITLE: title,
            GENRES: pa.array(genres, pa.list_(pa.string())),
            RELEASE_YEAR: year.cast(pa.int64()),
        }
    )


def _renamed(codes: pa.ChunkedArray, names: dict[str, str]) -> pa.ChunkedArray:
    """Names for codes; an unknown code stays as it is."""
    return pa.chunked_array([pa.array([names.get(code, code) for code in codes.to_pylist()], pa.string())])


def _zip_region(zip_code: pa.ChunkedArray) -> pa.ChunkedArray:
    """The first digit, which names a part of the United States; null for codes from elsewhere."""
    return pc.struct_field(pc.extract_regex(zip_code, r"^(?P<region>\d)"), "region")


def _as_int64_id(field: pa.Field) -> pa.Field:
    return field.with_type(pa.int64()) if field.name in (columns.USER_ID, columns.ITEM_ID) else field
