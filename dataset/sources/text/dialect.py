"""What the first lines of a CSV file say: how cells are parted, and whether the first line names the columns."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from belfry.dataset import columns
from belfry.dataset.errors import TableError, shown
from belfry.dataset.sources.reading import Reading
from belfry.dataset.validation.spelling import BLANKS
from belfry.dataset.validation.usual_names import is_usual

DELIMITERS = (",", "\t", ";", "|", "::")
IN_QUOTES = 'the line as a whole stands in quotes, as one cell; remove those, and write one quote for "" inside'
_NAMES = {"\t": "a tab", " ": "a blank"}
_HEAD = 1 << 16
_MAX_LINES = 200
_SEP = re.compile(rb'"?sep=([^\r\n"]{1,2})"?[ ,;\t]*(\r\n|\n|\r)', re.IGNORECASE)
_LINE_END = re.compile(rb"\r\n|\n|\r")
_NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?")
_SIGNS = re.compile("::|[,;|\t]")
_RULE = re.compile(r"[|+ ]*:?-{3,}:?[-|+: ]*")
_IN_SINGLE_QUOTES = re.compile("'[^']*'")
_MAX_ABOVE = 20  # lines that are looked at
_MOST_SIGNS = 4  # of a delimiter that is said
_BLOCK = re.compile(r"\d+:")


@dataclass(frozen=True)
class Dialect:
    """How a file parts its cells, and its header."""

    delimiter: str
    names: list[str]  # of the columns, as the file has them, without outer blanks
    start: int  # byte where the rows begin
    notes: tuple[str, ...] = ()


def sniff(label: str, content: bytes, reading: Reading) -> Dialect:
    """The dialect of UTF-8 text.

    Raises:
        TableError: the first line names no columns, or this is no table; the message names the cause.
    """
    notes: list[str] = []
    delimiter, start, line = None, 0, 1
    if sep := _SEP.match(content):
        delimiter, start, line = sep[1].decode("utf-8", "replace"), sep.end(), 2
        notes.append(f"left out the first line, {shown(sep[0].decode('utf-8', 'replace').strip())}")
    lines = _first_lines(content, start)
    if not lines or not lines[0].strip():
        place = "begins with an empty line" if line == 1 else "has an empty line after the first one"
        raise TableError(f"{label}: {place}; the first line must name the columns")
    known = {*columns.OF_INTERACTIONS, *reading.columns.values()}
    if reading.delimiter is not None:
        if reading.delimiter in lines[0]:
            delimiter = reading.delimiter
        else:
            notes.append(f"no {shown(reading.delimiter)} in its first line; its own delimiter is read")
    _refuse_decorated(label, lines, known, line)
    if delimiter is None:
        delimiter = _delimiter(lines, known)
    if delimiter is None:
        _refuse_other_delimiter(label, lines[0], known, line)
        _refuse_what_is_no_table(label, lines, known, line)
        delimiter = ","
    header, end = _first_record(content, start, delimiter)
    names = [name.strip(BLANKS) for name in header]
    stripped = [name for name, raw in zip(names, header, strict=True) if name != raw]
    if stripped:
        notes.append(f"names of columns are read without their outer blanks: {', '.join(map(shown, stripped[:5]))}")
    _refuse_headerless(label, names, [split(one, delimiter) for one in lines[1:]], known, line, delimiter)
    return Dialect(delimiter, names, end, tuple(notes))


def split(line: str, delimiter: str) -> list[str]:
    """The cells of one line, without the quotes around them."""
    if '"' not in line:
        return line.split(delimiter)
    cells, place = [], 0
    while True:
        if line.startswith('"', place):
            end = place + 1
            while (end := line.find('"', end)) >= 0 and line.startswith('""', end):
                end += 2
            if end >= 0:
                text = line[place + 1 : end].replace('""', '"')
                rest = line.find(delimiter, end + 1)
                cells.append(text + line[end + 1 : rest if rest >= 0 else len(line)])
                if rest < 0:
                    return cells
                place = rest + len(delimiter)
                continue
        rest = line.find(delimiter, place)
        if rest < 0:
            return [*cells, line[place:]]
        cells.append(line[place:rest])
        place = rest + len(delimiter)


def unquoted(line: str) -> str:
    """What stands in the quotes around a line, if there are any."""
    return line[1:-1].replace('""', '"') if len(line) > 1 and line[0] == line[-1] == '"' else line


def name_of(delimiter: str) -> str:
    return _NAMES.get(delimiter, f"'{delimiter}'")


def _first_lines(content: bytes, start: int) -> list[str]:
    """The first lines that are whole, without their ends; a last empty one is none."""
    head = content[start : start + _HEAD]
    lines = _LINE_END.split(head)[: _MAX_LINES + 1]
    if len(lines) > 1 and (len(lines) <= _MAX_LINES or not lines[-1]):
        whole = start + _HEAD >= len(content)
        lines = lines if whole and lines[-1] else lines[:-1]
    return [line.decode("utf-8", "replace") for line in lines]


def _first_record(content: bytes, start: int, delimiter: str) -> tuple[list[str], int]:
    """The cells of the header, which may span lines where a name does, and the byte after it."""
    end = start
    while True:
        found = _LINE_END.search(content, end)
        stop, end = (found.start(), found.end()) if found else (len(content), len(content))
        line = content[start:stop].decode("utf-8", "replace")
        if found is None or line.count('"') % 2 == 0 or end - start > _HEAD:
            return split(line, delimiter), end


def _delimiter(lines: Sequence[str], known: set[str]) -> str | None:
    """The sign that parts the header into most known names, then the rows most evenly, then into most cells."""
    best: tuple[tuple[int, float, int], str] | None = None
    for delimiter in DELIMITERS:
        header = [name.strip() for name in split(lines[0], delimiter)]
        if len(header) < 2:
            continue
        rows = [line for line in lines[1:] if line]
        even = sum(len(split(line, delimiter)) == len(header) for line in rows) / max(len(rows), 1)
        n_known = sum(name in known or is_usual(name) for name in header)
        if best is None or (n_known, even, len(header)) > best[0]:
            best = (n_known, even, len(header)), delimiter
    return best[1] if best else None


def _refuse_decorated(label: str, lines: Sequence[str], known: set[str], first_line: int) -> None:
    """Raise where something stands above the names, a rule below them, or each cell in single quotes.

    Raises:
        TableError: it is so.
    """
    cells = [[cell.strip() for cell in _SIGNS.split(line)] for line in lines[:_MAX_ABOVE]]
    n_known = [sum(cell.strip("\"'") in known or is_usual(cell) for cell in row) for row in cells]
    names = next((place for place, count in enumerate(n_known) if count > 1), 0)
    if names and not n_known[0]:
        raise TableError(f"{label}: line {first_line + names} names the columns; remove what stands above it")
    if len(lines) > 1 and _RULE.fullmatch(lines[1]):
        raise TableError(f"{label}: line {first_line + 1} is a line drawn below the names; remove it")
    rows = [row for row in cells[1:] if row != [""]]
    if rows and all(_IN_SINGLE_QUOTES.fullmatch(cell) for row in rows for cell in row):
        raise TableError(
            f"{label}: its cells are enclosed in single quotes, such as {shown(rows[0][0])}; use double ones, or none"
        )


def _refuse_other_delimiter(label: str, header: str, known: set[str], first_line: int) -> None:
    """Raise where names of columns are parted by a sign that only the caller can name, or stand in one pair of quotes.

    Raises:
        TableError: it is so.
    """
    words = list(re.finditer(r"\w+", header))
    for word, following in pairwise(words):
        sign = header[word.end() : following.start()].strip('" ')
        if not (sign and all(one[0] in known or is_usual(one[0]) for one in (word, following))):
            continue
        if sign in DELIMITERS:
            raise TableError(f"{label}: line {first_line}: {IN_QUOTES}")
        if sign.isascii() and len(sign) <= _MOST_SIGNS:
            said = shown(sign) if sign.isprintable() else f"${shown(sign)}"
            raise TableError(
                f"{label}: its cells are parted by {shown(sign)}; pass --delimiter {said}, or part them by commas, "
                "tabs or semicolons"
            )


def _refuse_what_is_no_table(label: str, lines: Sequence[str], known: set[str], first_line: int) -> None:
    """Raise where one line is no row: blocks, lists of ids, cells that blanks part.

    Raises:
        TableError: it is so.
    """
    header, rows = lines[0], [line for line in lines[1:] if line]
    if _BLOCK.fullmatch(header.strip()):
        raise TableError(
            f"{label}: is no table: blocks begin with a line such as {shown(header.strip())}; write a line for each "
            "pair "
            "of user and item, and above them a line of names (user_id,item_id,...)"
        )
    words = header.split()
    if len(words) < 2 or not all(len(line.split()) > 1 for line in rows):
        return
    lengths = {len(line.split()) for line in lines if line}
    if all(_NUMBER.fullmatch(word) for line in lines for word in line.split()):
        if len(lengths) > 1:
            raise TableError(
                f"{label}: is no table: its lines are lists of {min(lengths)} to {max(lengths)} numbers parted by "
                "blanks, as "
                "of a user and their items; write a line for each pair of user and item, and above them a line of "
                "names "
                "(user_id,item_id)"
            )
        raise TableError(
            f"{label}: line {first_line} holds numbers parted by blanks, and not the names of the columns; put a "
            "line of "
            "names above it (user_id item_id ...), and pass --delimiter ' '; where lines are lists of a user's "
            "items, write "
            "a line for each pair instead"
        )
    if any(word in known or is_usual(word) for word in words):
        raise TableError(
            f"{label}: its cells are parted by blanks; pass --delimiter ' ', or part them by commas, tabs or semicolons"
        )


def _refuse_headerless(
    label: str, names: list[str], rows: list[list[str]], known: set[str], first_line: int, delimiter: str
) -> None:
    """Raise where the first line holds values, and not names.

    Where columns hold nothing but numbers, a number above each of them; else a value that its column has again.

    Raises:
        TableError: it is so.
    """
    if any(name in known or is_usual(name) for name in names):
        return
    rows = [row for row in rows if len(row) == len(names) and row != names]
    by_column = [{row[i] for row in rows if row[i]} for i in range(len(names))]
    of_numbers = [i for i, values in enumerate(by_column) if values and all(map(_NUMBER.fullmatch, values))]
    if of_numbers:
        is_headerless = all(_NUMBER.fullmatch(names[i]) for i in of_numbers)
    elif rows:
        is_headerless = any(name and name in values for name, values in zip(names, by_column, strict=True))
    else:
        is_headerless = all(map(_NUMBER.fullmatch, names))
    if is_headerless:
        example = delimiter.join(["user_id", "item_id", "rating", "timestamp_s"][: max(len(names), 1)])
        raise TableError(
            f"{label}: line {first_line} holds values ({', '.join(map(shown, names[:4]))}), and not the names of the "
            f"columns; put a line of names above it, such as {shown(example)}"
        )
