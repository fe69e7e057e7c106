"""Netflix: blocks of one film each, `101:` and below it `customer,rating,date`; several files, and one of titles."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from belfry.dataset import columns
from belfry.dataset.errors import TableError
from belfry.dataset.sources.layouts.places import Place
from belfry.dataset.sources.text.encoding import line_of
from belfry.dataset.tables import ReadingNote, Tables

PATTERNS = ("combined_data_*.txt", "mv_*.txt")
_TITLES = "movie_titles.csv"
_LF, _CR, _COLON = 10, 13, 58
_NAMES = (columns.USER_ID, columns.RATING, columns.TIMESTAMP_S)


def blocks_at(place: Place, *, is_alone: bool) -> list[str]:
    """The files of blocks, by their names and the first line of the first; by that line alone of one file."""
    names = sorted(place.files.names) if is_alone else place.matching(*PATTERNS)
    line = place.first_line(names[0]) if names else ""
    return names if line.endswith(":") and line[:-1].isdigit() else []


def read_netflix(place: Place, names: list[str]) -> Tables:
    """Interactions, and items with title and year where `movie_titles.csv` is there.

    Raises:
        TableError: a file does not consist of such blocks.
    """
    parts = [read_blocks(f"{place.label}: {name}", place.content(name)) for name in names]
    note = f"{', '.join(names[:4])} are read as blocks of Netflix: an item, and below it user, rating and date"
    titles = place.matching(_TITLES)
    items = _titles(place.content(titles[0])) if titles else None
    return Tables(
        pa.concat_tables(parts, promote_options="permissive"), items, notes=(ReadingNote("interactions", note),)
    )


def read_blocks(label: str, content: bytes) -> pa.Table:
    """One file of blocks as rows of item, user, rating and, where it is there, date.

    Raises:
        TableError: it does not consist of such blocks.
    """
    from pyarrow import csv

    text = np.frombuffer(content if content.endswith(b"\n") else content + b"\n", np.uint8)
    ends = np.flatnonzero(text == _LF)
    begins = np.concatenate([[0], ends[:-1] + 1])
    lasts = np.where((text[ends - 1] == _CR) & (ends > begins), ends - 2, ends - 1)
    is_filled = lasts >= begins
    is_head = is_filled & (text[np.maximum(lasts, 0)] == _COLON)
    if not is_head[:1].all():
        raise TableError(f"{label}: its first line is no item such as '101:'; fetch it again")
    heads = np.flatnonzero(is_head)
    try:
        items = pa.array([bytes(text[begins[k] : lasts[k]]).decode() for k in heads]).cast(pa.int64())
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        raise TableError(f"{label}: a line that ends with a colon is no item such as '101:'; fetch it again") from error
    # Lines of items are made empty, and so skipped.
    borders = np.zeros(len(text) + 1, np.int8)
    borders[begins[heads]] += 1
    borders[ends[heads]] -= 1
    rows = np.where(np.cumsum(borders[:-1], dtype=np.int8) > 0, np.uint8(_LF), text)
    of_rows = np.flatnonzero(is_filled & ~is_head)
    item = items.take(pa.array(np.cumsum(is_head)[of_rows] - 1))
    if not len(of_rows):
        raise TableError(f"{label}: holds items alone, and nobody who watched them; fetch it again")
    first = of_rows[0]
    n_cells = bytes(text[begins[first] : ends[first]]).count(b",") + 1
    if not 1 <= n_cells <= len(_NAMES):
        line = line_of(content, int(begins[first]))
        raise TableError(f"{label}: line {line} has {n_cells} cells; wanted user, rating and date below an item")
    table = csv.read_csv(
        pa.py_buffer(rows),
        read_options=csv.ReadOptions(column_names=_NAMES[:n_cells]),
        parse_options=csv.ParseOptions(quote_char=False),
    )
    if len(table) != len(item):
        raise TableError(f"{label}: {len(item):,} lines give {len(table):,} rows; fetch it again")
    return table.add_column(1, columns.ITEM_ID, item)


def _titles(content: bytes) -> pa.Table:
    """`id,year,title`, in Latin-1, without quotes; titles may hold commas."""
    lines = pa.array([line for line in content.decode("latin-1").split("\n") if line.strip()])
    found = pc.extract_regex(pc.utf8_rtrim_whitespace(lines), r"^(?P<item>\d+),(?P<year>[^,]*),(?P<title>.*)$")
    year = pc.struct_field(found, "year")
    return pa.table(
        {
            columns.ITEM_ID: pc.struct_field(found, "item").cast(pa.int64()),
            columns.TITLE: pc.struct_field(found, "title"),
            "year": pc.if_else(pc.match_substring_regex(year, r"^\d+$"), year, None).cast(pa.int64()),
        }
    ).filter(pc.is_valid(found))
