"""Quotes of a CSV file: whether they enclose cells, stand for themselves, or swallow lines.

Quotes that enclose cells follow RFC 4180: one opens at the beginning of a cell, two stand for one, one closes at its
end. Files that know no quoting have lone quotes; some write a backslash before an inner quote. What would be read
otherwise than it was meant is refused, by its line.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from belfry.dataset.errors import TableError
from belfry.dataset.sources.reading import shown
from belfry.dataset.sources.text.encoding import line_of

Places: TypeAlias = npt.NDArray[np.int64]

_QUOTE, _CR, _LF = 34, 13, 10
_ESCAPE = re.compile(rb'\\(["\\])')
_SAMPLE = 200
_NUMBERS = {b"9", b"-9", b"9.9", b"-9.9"}  # shapes, see `_shape`
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
        n_ends += int(np.count_nonzero(part == _LF))
        if not is_quote.any():
            continue
        n_quotes += int(np.count_nonzero(is_quote))
        is_border = part <= _CR  # a tab and the ends of lines
        if delimiter != b"\t":
            is_border |= part == delimiter[0]
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
            if unescaped is not None:
                quoting = quoting_of(label, unescaped, start, delimiter, n_columns)
                n_escapes = content.count(b'\\"', start)
                times = f"{n_escapes:,} times, first in line {line_of(content, place)}"
                note = f"a backslash before a quote ({times}) is read as its escape"
                return replace(quoting, notes=(note, *quoting.notes))
        if wrong is not None:
            return _literal(label, content, start, delimiter, n_columns, _words_of(content, wrong, place))
        borders = np.array([place for cell in cells for place in (cell.opens, cell.closes)], np.int64)
    if not len(borders):
        return Quoting(content, encloses=False)
    lines = _Lines.of(text, start, delimiter)
    inside = lines.breaks_inside(borders)
    swallowed = _swallowed(content, lines, inside, delimiter, n_columns) if inside.any() else None
    if swallowed is not None:
        problem = f"a quote opens in line {swallowed[0]} and swallows the lines up to {swallowed[1]}"
        return _literal(label, content, start, delimiter, n_columns, problem)
    return Quoting(content, has_line_breaks=bool(inside.any()))


def _all_enclose(text: npt.NDArray[np.uint8], start: int, quotes: Places, delimiter: bytes) -> bool:
    """Whether quotes, taken in turn, open at the beginning of cells and close at their ends."""
    if len(quotes) % 2:
        return False
    borders = np.zeros(256, np.bool_)
    borders[[_QUOTE, _CR, _LF, delimiter[0]]] = True
    before, after = quotes[::2] - 1, quotes[1::2] + 1
    opens = borders[text[np.maximum(before, 0)]] | (before < start)
    closes = borders[text[np.minimum(after, len(text) - 1)]] | (after >= len(text))
    return bool(opens.all() and closes.all())


@dataclass(frozen=True)
class _Lines:
    """The lines of the rows: where each begins and ends, and how often the delimiter stands in it."""

    begins: Places
    ends: Places  # of its text
    n_delimiters: Places

    @classmethod
    def of(cls, text: npt.NDArray[np.uint8], start: int, delimiter: bytes) -> "_Lines":
        rows = text[start:]
        feeds, returns = np.flatnonzero(rows == _LF), np.flatnonzero(rows == _CR)
        lone = returns[~np.isin(returns + 1, feeds)] if len(returns) else returns
        ends = np.sort(np.concatenate([feeds, lone])) if len(lone) else feeds
        begins = np.concatenate([[0], ends + 1])
        ends = np.concatenate([ends, [len(rows)]])
        if begins[-1] == len(rows) and len(begins) > 1:
            begins, ends = begins[:-1], ends[:-1]
        delimiters = np.flatnonzero(rows == delimiter[0])
        counts = np.searchsorted(delimiters, ends) - np.searchsorted(delimiters, begins)
        return cls(begins + start, ends + start, counts)

    def breaks_inside(self, quotes: Places) -> npt.NDArray[np.bool_]:
        """[n_lines] whether the end of the line lies between a quote that opens and the one that closes."""
        inside: npt.NDArray[np.bool_] = np.searchsorted(quotes, self.ends) % 2 == 1
        return inside

    def is_even(self, content: bytes, n_columns: int) -> bool:
        """Whether each line that is not empty has the cells of the header."""
        odd = np.flatnonzero(self.n_delimiters != n_columns - 1)
        return all(not content[self.begins[k] : self.ends[k]].strip() for k in odd[:_SAMPLE]) and len(odd) <= _SAMPLE


def _swallowed(
    content: bytes, lines: _Lines, inside: npt.NDArray[np.bool_], delimiter: bytes, n_columns: int
) -> tuple[int, int] | None:
    """The first and the last line (places in `lines`) of a cell whose lines are rows by themselves; None without one.

    They are where each has the cells of the header, and, where the cells of a column look alike everywhere else, those
    of the lines look so too; the cells of the quotes themselves may look otherwise.
    """
    if n_columns < 2:
        return None
    joined = np.concatenate([[False], inside[:-1]])  # to the line before
    group = np.cumsum(~joined) - 1
    is_row = lines.n_delimiters == n_columns - 1
    n_rows = np.bincount(group, weights=is_row)
    sizes = np.bincount(group)
    suspects = np.flatnonzero((sizes > 1) & (n_rows == sizes))
    if not len(suspects):
        return None
    alone = np.flatnonzero((sizes[group] == 1) & is_row)
    chosen = alone[np.linspace(0, len(alone) - 1, min(len(alone), _SAMPLE)).astype(np.int64)] if len(alone) else alone
    shapes = [set[bytes]() for _ in range(n_columns)]
    for k in chosen:
        for place, cell in enumerate(content[lines.begins[k] : lines.ends[k]].split(delimiter)):
            shapes[place].add(_shape(cell))
    is_enclosed = [bool(found) and all(shape[:1] == shape[-1:] == b'"' for shape in found) for found in shapes]
    few = 5 if len(chosen) >= 10 * n_columns else 0

    def looks_alike(cell: bytes, place: int) -> bool:
        if b'"' in cell or not shapes[place]:
            return True
        if is_enclosed[place]:
            return False
        if shapes[place] <= _NUMBERS:
            return _shape(cell) in _NUMBERS
        return _shape(cell) in shapes[place] or len(shapes[place]) > few

    begins = np.searchsorted(group, suspects)
    for first, size in zip(begins, sizes[suspects], strict=True):
        later = [content[lines.begins[k] : lines.ends[k]].split(delimiter) for k in range(first + 1, first + size)]
        if all(looks_alike(cell, place) for cells in later for place, cell in enumerate(cells)):
            last = first + size - 1
            return line_of(content, int(lines.begins[first])), line_of(content, int(lines.begins[last]))
    return None


def _shape(cell: bytes) -> bytes:
    """A cell with each run of digits as 9 and of letters as a."""
    return re.sub(rb"[A-Za-z\x80-\xff]+", b"a", re.sub(rb"\d+", b"9", cell.rstrip(b"\r")))


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
    borders[[_CR, _LF, delimiter[0]]] = True
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
    lines = _Lines.of(np.frombuffer(content, np.uint8), start, delimiter)
    if b'"' in content[:start] or enclosed.search(content, start) or not lines.is_even(content, n_columns):
        raise TableError(f"{label}: {problem}; {_REMEDY}")
    return Quoting(content, encloses=False, notes=(f"quotes are read as signs like others, for {problem}",))


def _fits(content: bytes, start: int, cells: list[_Cell], delimiter: bytes, n_columns: int) -> bool:
    """Whether each row has the cells of the header, the delimiters inside of enclosed cells not counted."""
    text = np.frombuffer(content, np.uint8)
    lines = _Lines.of(text, start, delimiter)
    inside = np.zeros(len(text) + 1, np.int8)
    for cell in cells:
        if cell.closes > 0:
            inside[cell.opens] += 1
            inside[cell.closes] -= 1
    outside = np.cumsum(inside[:-1], dtype=np.int32) == 0
    delimiters = np.flatnonzero((text == delimiter[0]) & outside)
    breaks = lines.ends[outside[np.minimum(lines.ends, len(text) - 1)]]
    row = np.searchsorted(breaks, delimiters[delimiters >= start])
    counts = np.bincount(row, minlength=len(breaks))
    filled = counts[counts > 0]
    return bool((filled == n_columns - 1).all())
