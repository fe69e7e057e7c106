"""Quotes of a CSV file: whether they enclose cells, stand for themselves, or swallow lines.

Quotes that enclose cells follow RFC 4180: one opens at the beginning of a cell, two stand for one, one closes at its
end. Files that know no quoting have lone quotes; some write a backslash before an inner quote. What would be read
otherwise than it was meant is refused, by its line.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from belfry.dataset.errors import TableError, shown
from belfry.dataset.sources.text.encoding import line_of
from belfry.dataset.sources.text.swallowed import CR, LF, Lines, Places, swallowed_lines

_QUOTE = 34
_ESCAPE = re.compile(rb'\\(["\\])')
_CHUNK = 1 << 18  # bytes looked at together: what fits into a cache
_REMEDY = 'inside a cell in quotes, write "" for a quote; or write the table again, as CSV by a program or as Parquet'


@dataclass(frozen=True)
class Quoting:
    """How quotes are read."""

    content: bytes  # escapes written as doubled quotes
    encloses: bool = True  # False: quotes stand for themselves
    has_line_breaks: bool = False  # inside cells
    n_lines: int | None = None  # that there must be as many rows as, where that is all that is known
    notes: tuple[str, ...] = ()


def likely_quoting(content: bytes, start: int, delimiter: bytes) -> Quoting | None:
    """How quotes are read where nothing speaks against it at a glance; None where each cell must be looked at.

    What a glance does not see: cells with line breaks. Whoever reads so compares the rows with the lines.
    """
    if content.find(b'"', start) < 0:
        return Quoting(content, encloses=False)
    if b"\\" in content and content.find(b'\\"', start) >= 0:
        return None
    text = np.frombuffer(content, np.uint8)
    n_quotes, n_ends, has_opening, is_odd, begin = 0, 0, False, False, start
    while begin < len(text):
        end = content.rfind(b"\n", begin, begin + _CHUNK) + 1 or content.find(b"\n", begin + _CHUNK) + 1 or len(text)
        part, begin = text[begin:end], end
        is_quote = part == _QUOTE
        n_ends += int(np.count_nonzero(part == LF))
        if not is_quote.any():
            continue
        n_quotes += int(np.count_nonzero(is_quote))
        is_border = (part == LF) | (part == CR) | (part == delimiter[0])
        follows = np.concatenate([[True], is_border[:-1]])
        precedes = np.concatenate([is_border[1:], [True]])
        has_opening |= bool((is_quote & follows).any())
        is_odd |= _has_odd_runs(is_quote, follows, precedes)
        if is_odd and has_opening:
            return None
    if not has_opening:
        return Quoting(content, encloses=False)
    return None if n_quotes % 2 else Quoting(content, n_lines=n_ends + (not content.endswith(b"\n")))


def _has_odd_runs(
    is_quote: npt.NDArray[np.bool_], follows: npt.NDArray[np.bool_], precedes: npt.NDArray[np.bool_]
) -> bool:
    """Whether a run of quotes neither opens a cell, nor closes one, nor stands for quotes inside of one.

    Args:
        follows: [n] whether the byte before is a delimiter or an end of line, or there is none.
        precedes: [n] likewise the byte after.
    """
    if not (is_quote[1:] & is_quote[:-1]).any():
        return bool((is_quote & ~(follows | precedes)).any())
    first = np.flatnonzero(is_quote & ~np.concatenate([[False], is_quote[:-1]]))
    last = np.flatnonzero(is_quote & ~np.concatenate([is_quote[1:], [False]]))
    is_single = (last - first) % 2 == 0  # but for doubled ones
    return bool((~precedes[last] & (follows[first] ^ is_single)).any())


def quoting_of(label: str, content: bytes, start: int, delimiter: bytes, n_columns: int) -> Quoting:
    """How to read the quotes of the rows that begin at `start`, by each of their cells.

    Args:
        delimiter: one byte.
        n_columns: that the header names.

    Raises:
        TableError: a quote swallows lines, or is not closed, or text follows the closing one.
    """
    text = np.frombuffer(content, np.uint8)
    place = content.find(b'\\"', start)
    borders = np.flatnonzero(text[start:] == _QUOTE) + start
    if place >= 0 or not _all_enclose(text, start, borders, delimiter):
        cells = list(_cells(content, start, delimiter))
        wrong = next((cell for cell in cells if not _is_well(cell, delimiter)), None)
        if place >= 0 and (wrong or not _fits(content, start, cells, delimiter, n_columns)):
            unescaped = _unescaped(content, start, delimiter, n_columns)
            escaped = quoting_of(label, unescaped, start, delimiter, n_columns) if unescaped is not None else None
            if escaped is not None and escaped.encloses:
                n_escapes = content.count(b'\\"', start)
                times = f"{n_escapes:,} times, first in line {line_of(content, place)}"
                note = f"a backslash before a quote ({times}) is read as its escape"
                return replace(escaped, notes=(note, *escaped.notes))
        if wrong is not None:
            return _literal(label, content, start, delimiter, n_columns, _words_of(content, wrong, place))
        borders = np.array([place for cell in cells for place in (cell.opens, cell.closes)], np.int64)
    if not len(borders):
        return Quoting(content, encloses=False)
    lines = Lines.of(text, start, delimiter)
    inside = lines.breaks_inside(borders)
    swallowed = swallowed_lines(content, lines, inside, delimiter, n_columns) if inside.any() else None
    if swallowed is not None:
        problem = f"a quote opens in line {swallowed[0]} and swallows the lines up to {swallowed[1]}"
        return _literal(label, content, start, delimiter, n_columns, problem)
    return Quoting(content, has_line_breaks=bool(inside.any()))


def _all_enclose(text: npt.NDArray[np.uint8], start: int, quotes: Places, delimiter: bytes) -> bool:
    """Whether quotes, taken in turn, open at the beginning of cells and close at their ends."""
    if len(quotes) % 2:
        return False
    borders = np.zeros(256, np.bool_)
    borders[[_QUOTE, CR, LF, delimiter[0]]] = True
    before, after = quotes[::2] - 1, quotes[1::2] + 1
    opens = borders[text[np.maximum(before, 0)]] | (before < start)
    closes = borders[text[np.minimum(after, len(text) - 1)]] | (after >= len(text))
    return bool(opens.all() and closes.all())


@dataclass(frozen=True)
class _Cell:
    """A cell that a quote opens."""

    opens: int
    closes: int  # -1: nothing closes it
    follows: bytes  # the closing quote: a delimiter, an end of line, or nothing, where all is well


def _cells(content: bytes, start: int, delimiter: bytes) -> Iterator[_Cell]:
    """Each cell that begins with a quote; quotes inside of others stand for themselves."""
    text = np.frombuffer(content, np.uint8)
    quotes = np.flatnonzero(text[start:] == _QUOTE) + start
    borders = np.zeros(256, np.bool_)
    borders[[CR, LF, delimiter[0]]] = True
    opening = quotes[borders[text[np.maximum(quotes - 1, 0)]] | (quotes == start)]
    place = start
    for opens in opening.tolist():
        if opens < place:
            continue
        closes = content.find(b'"', opens + 1)
        while closes >= 0 and content.startswith(b'""', closes):
            closes = content.find(b'"', closes + 2)
        yield _Cell(opens, closes, content[closes + 1 : closes + 2] if closes >= 0 else b"")
        if closes < 0:
            return
        place = closes + 1


def _is_well(cell: _Cell, delimiter: bytes) -> bool:
    return cell.closes >= 0 and cell.follows in (b"", b"\r", b"\n", delimiter)


def _unescaped(content: bytes, start: int, delimiter: bytes, n_columns: int) -> bytes | None:
    """The content with doubled quotes in place of escaped ones; None where escapes do not explain its quotes."""
    same_length = content[:start] + _ESCAPE.sub(lambda found: b'""' if found[1] == b'"' else found[0], content[start:])
    cells = list(_cells(same_length, start, delimiter))
    if not all(_is_well(cell, delimiter) for cell in cells):
        return None
    borders = np.array([place for cell in cells for place in (cell.opens, cell.closes)], np.int64)
    escapes = [found.start() for found in _ESCAPE.finditer(content, start) if found[1] == b'"']
    if (np.searchsorted(borders, escapes) % 2 == 0).any():
        return None
    if not _fits(same_length, start, cells, delimiter, n_columns):
        return None
    return content[:start] + _ESCAPE.sub(lambda found: b'""' if found[1] == b'"' else b"\\", content[start:])


def _words_of(content: bytes, wrong: _Cell, escape: int) -> str:
    """What is wrong with a cell, in words."""
    opens = line_of(content, wrong.opens)
    if wrong.closes < 0:
        return f"a quote opens in line {opens} and is never closed"
    closes = line_of(content, wrong.closes)
    after = shown(content[wrong.closes + 1 : wrong.closes + 9].decode("utf-8", "replace"))
    if closes > opens:
        return (
            f"a quote opens in line {opens} and swallows the lines up to {closes}, where {after} follows the closing "
            "one"
        )
    backslash = "; a backslash before a quote is no escape here" if escape >= 0 else ""
    return f"line {opens} has a quote inside a cell, and {after} after it{backslash}"


def _literal(label: str, content: bytes, start: int, delimiter: bytes, n_columns: int, problem: str) -> Quoting:
    """Quotes that stand for themselves, where no cell is enclosed by them and each line has the cells of the header.

    Raises:
        TableError: it is not so.
    """
    sign = re.escape(delimiter)
    enclosed = re.compile(rb"(?:^|" + sign + rb')"(?:[^"\r\n]|"")*"(?=' + sign + rb"|\r?$)", re.MULTILINE)
    lines = Lines.of(np.frombuffer(content, np.uint8), start, delimiter)
    if b'"' in content[:start] or enclosed.search(content, start) or not lines.is_even(content, n_columns):
        raise TableError(f"{label}: {problem}; {_REMEDY}")
    return Quoting(content, encloses=False, notes=(f"quotes are read as signs like others, for {problem}",))


def _fits(content: bytes, start: int, cells: list[_Cell], delimiter: bytes, n_columns: int) -> bool:
    return _first_uneven(content, start, cells, delimiter, n_columns) is None


def first_uneven_row(
    content: bytes, start: int, delimiter: bytes, n_columns: int, *, encloses: bool
) -> tuple[int, int] | None:
    """Where the first row begins that has not the cells of the header, and how many it has; None without one."""
    cells = [cell for cell in _cells(content, start, delimiter) if cell.closes > 0] if encloses else []
    return _first_uneven(content, start, cells, delimiter, n_columns)


def _first_uneven(
    content: bytes, start: int, cells: list[_Cell], delimiter: bytes, n_columns: int
) -> tuple[int, int] | None:
    """Likewise; delimiters and ends of lines inside of the `cells` are none."""
    text = np.frombuffer(content, np.uint8)
    ends = Lines.of(text, start, delimiter).ends
    delimiters = np.flatnonzero(text[start:] == delimiter[0]) + start
    if cells:
        borders = np.array([place for cell in cells for place in (cell.opens, cell.closes)], np.int64)
        ends, delimiters = (places[np.searchsorted(borders, places) % 2 == 0] for places in (ends, delimiters))
    begins = np.concatenate([[start], ends[:-1] + 1])
    counts = np.searchsorted(delimiters, ends) - np.searchsorted(delimiters, begins)
    odd = np.flatnonzero(counts != n_columns - 1)
    for row in odd.tolist():
        if content[begins[row] : ends[row]].strip(b"\r\n"):
            return int(begins[row]), int(counts[row]) + 1
    return None
