"""Raw tables from CSV: what a file leaves open (encoding, delimiter, quotes, types of ids) is found here."""

import re
from collections.abc import Collection

import pyarrow as pa
import pyarrow.compute as pc

from belfry.dataset import columns
from belfry.dataset.encoding.text import empty_as_null
from belfry.dataset.errors import TableError, shown
from belfry.dataset.sources.id_types import ID_COLUMNS, integers_or_text
from belfry.dataset.sources.reading import RawTable, Reading
from belfry.dataset.sources.text.dialect import DELIMITERS, IN_QUOTES, Dialect, name_of, sniff, split, unquoted
from belfry.dataset.sources.text.encoding import as_utf8, line_of, refuse_other_than_utf8
from belfry.dataset.sources.text.quotes import Quoting, first_uneven_row, likely_quoting, quoting_of

_STAND_IN = "\x1f"  # for a delimiter of several signs: Arrow's reader parts cells at one byte
_CONVERSION = re.compile(r"In CSV column #(\d+): .*CSV conversion error to (\w+)", re.DOTALL)
_MAX_BLOCK = 2**31 - 1


def read_csv(label: str, content: bytes, reading: Reading, as_text: Collection[str] = ()) -> RawTable:
    """One table from the content of a file; ids of integers alone are int64, other ids text.

    Args:
        label: what messages call the file.
        as_text: names of columns that hold text in other files of the same table.

    Raises:
        TableError: it cannot be read as it was meant; the message says why, with the line.
    """
    content, notes = as_utf8(label, content, reading.encoding)
    dialect = sniff(label, content, reading)
    refuse_other_than_utf8(label, content[: dialect.start])
    delimiter = dialect.delimiter
    if len(delimiter.encode()) > 1:
        content, delimiter = _with_stand_in(label, content, dialect), _STAND_IN
    names = reading.rename(dialect.names, label)
    table, quoting = _parsed(label, content, dialect, delimiter, names, {*ID_COLUMNS, columns.TITLE, *as_text})
    for position, name in enumerate(names):
        column = table.column(position)
        if pa.types.is_binary(column.type):
            refuse_other_than_utf8(label, content)
        if delimiter == _STAND_IN and column.type == pa.string():
            column = pc.replace_substring(column, _STAND_IN, dialect.delimiter)
        if name in ID_COLUMNS:
            table = table.set_column(position, name, integers_or_text(column))
        elif column.type == pa.string():
            table = table.set_column(position, name, empty_as_null(column))
    return RawTable(table, (*notes, *dialect.notes, *quoting.notes), is_untyped=True)


def _parsed(
    label: str, content: bytes, dialect: Dialect, delimiter: str, names: list[str], as_text: Collection[str]
) -> tuple[pa.Table, Quoting]:
    """The rows, and how their quotes were read: at a glance, and by each cell where rows and lines differ then."""
    sign, n_columns = delimiter.encode(), len(names)
    if quoting := likely_quoting(content, dialect.start, sign):
        try:
            table = _rows(label, quoting, dialect, delimiter, names, as_text)
        except (pa.ArrowException, TableError):
            if not quoting.encloses:
                raise
        else:
            if quoting.n_lines in (None, len(table)):
                return table, quoting
    quoting = quoting_of(label, content, dialect.start, sign, n_columns)
    return _rows(label, quoting, dialect, delimiter, names, as_text), quoting


def _rows(
    label: str, quoting: Quoting, dialect: Dialect, delimiter: str, names: list[str], as_text: Collection[str]
) -> pa.Table:
    """The rows, in types found by Arrow; where a later value does not fit, the column takes the wider one."""
    from pyarrow import csv

    rows = pa.py_buffer(quoting.content).slice(dialect.start)
    if not bytes(memoryview(rows)[:1024]).strip() and not quoting.content[dialect.start :].strip():
        return pa.table([pa.nulls(0, pa.string()) for _ in names], names=names)
    # By places, for two columns may share a name, which validation refuses beside all else it finds.
    places = [str(place) for place in range(len(names))]
    types = {place: pa.string() for place, name in zip(places, names, strict=True) if name in as_text}
    block_size = 1 << 20
    while True:
        try:
            table = csv.read_csv(
                pa.BufferReader(rows),
                read_options=csv.ReadOptions(column_names=places, block_size=block_size),
                parse_options=csv.ParseOptions(
                    delimiter=delimiter,
                    quote_char='"' if quoting.encloses else False,
                    newlines_in_values=quoting.has_line_breaks,
                ),
                convert_options=csv.ConvertOptions(column_types=types),
            )
            return table.rename_columns(names)
        except (pa.ArrowInvalid, ValueError) as error:
            words = str(error)
            if "straddl" in words and block_size < min(len(rows), _MAX_BLOCK):
                block_size = min(block_size * 16, _MAX_BLOCK)
                continue
            if "UTF8" in words or "UTF-8" in words:
                refuse_other_than_utf8(label, quoting.content)
            if found := _CONVERSION.search(words):
                place, kind = found[1], found[2]
                wider = pa.float64() if kind == "int64" else pa.string()
                if types.get(place) not in (wider, pa.string()):
                    types[place] = wider
                    continue
            _refuse_uneven(label, quoting, dialect, delimiter)
            raise


def _refuse_uneven(label: str, quoting: Quoting, dialect: Dialect, delimiter: str) -> None:
    """Raise for the first row that has not the cells of the header.

    Raises:
        TableError: there is one.
    """
    n_columns, content = len(dialect.names), quoting.content
    uneven = first_uneven_row(content, dialect.start, delimiter.encode(), n_columns, encloses=quoting.encloses)
    if uneven is None:
        return
    place, n_cells = uneven
    row = content[place : place + 200].decode("utf-8", "replace").splitlines()[0]
    sign = name_of(dialect.delimiter)
    raise TableError(
        f"{label}: line {line_of(content, place)} has {n_cells} cells parted by "
        f"{sign}, and the header names {n_columns} columns: {shown(row)}; {_remedy(row, n_cells, dialect)}"
    )


def _remedy(row: str, n_cells: int, dialect: Dialect) -> str:
    """What to do with a row that has not the cells of the header."""
    n_columns, delimiter = len(dialect.names), dialect.delimiter
    sign = name_of(delimiter)
    if n_cells == n_columns + 1 and row.endswith(delimiter):
        return f"it ends with {sign} and the header does not; end both alike"
    if n_cells > n_columns:
        return f'enclose a cell that holds {sign} in quotes, with "" for a quote inside'
    if n_cells == 1 and len(split(unquoted(row), delimiter)) == n_columns:
        return IN_QUOTES
    other = next((one for one in DELIMITERS if n_cells == 1 and len(split(row, one)) == n_columns), None)
    if other:
        return f"it is parted by {name_of(other)}; part all lines alike"
    return f"write {sign} for each cell that is empty too, or remove a line that is no row"


def _with_stand_in(label: str, content: bytes, dialect: Dialect) -> bytes:
    """The content with one byte in place of a delimiter of several."""
    sign = dialect.delimiter.encode()
    if _STAND_IN.encode() in content:
        raise TableError(
            f"{label}: holds control signs (0x1f); remove them, or part the cells by a comma, tab or semicolon"
        )
    if len(set(sign)) == 1:
        run = re.compile(b"(?<!%b)(?:%b)+(?!%b)" % ((re.escape(sign[:1]),) * 3))
        longer = next(
            (found for found in run.finditer(content) if len(found[0]) > len(sign) and len(found[0]) % len(sign)), None
        )
        if longer:
            raise TableError(
                f"{label}: line {line_of(content, longer.start())} holds {shown(longer[0].decode())}, which can be "
                "read in "
                f"two ways where {name_of(dialect.delimiter)} parts cells; write the table with another delimiter"
            )
    head = content[: dialect.start]  # of the same length, so that the rows begin where they did
    return head + content[dialect.start :].replace(sign, _STAND_IN.encode())
