"""Lines of a CSV file that a quote may have swallowed: those that are rows by themselves, and stand in one cell."""

import re
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from belfry.dataset.sources.text.encoding import line_of

Places: TypeAlias = npt.NDArray[np.int64]

CR, LF = 13, 10
_SAMPLE = 200
_NUMBERS = {b"9", b"-9", b"9.9", b"-9.9"}  # shapes, see `_shape`


@dataclass(frozen=True)
class Lines:
    """The lines of the rows: where each begins and ends, and how often the delimiter stands in it."""

    begins: Places
    ends: Places  # of its text
    n_delimiters: Places

    @classmethod
    def of(cls, text: npt.NDArray[np.uint8], start: int, delimiter: bytes) -> "Lines":
        rows = text[start:]
        feeds, returns = np.flatnonzero(rows == LF), np.flatnonzero(rows == CR)
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


def swallowed_lines(
    content: bytes, lines: Lines, inside: npt.NDArray[np.bool_], delimiter: bytes, n_columns: int
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
    few, has_pattern = 5 if len(chosen) >= 10 * n_columns else 0, len(chosen) > 2

    def looks_alike(cell: bytes, place: int) -> bool:
        if b'"' in cell or not shapes[place]:
            return True
        if is_enclosed[place]:
            return False
        if has_pattern and shapes[place] <= _NUMBERS:
            return _shape(cell) in _NUMBERS
        is_code = has_pattern and len(shapes[place]) == 1 and b"9" in next(iter(shapes[place]))
        return _shape(cell) in shapes[place] or len(shapes[place]) > (1 if is_code else few)

    begins = np.searchsorted(group, suspects)
    for first, size in zip(begins, sizes[suspects], strict=True):
        rows = [content[lines.begins[k] : lines.ends[k]].split(delimiter) for k in range(first, first + size)]
        if all(looks_alike(cell, place) for cells in rows for place, cell in enumerate(cells)):
            last = first + size - 1
            return line_of(content, int(lines.begins[first])), line_of(content, int(lines.begins[last]))
    return None


def _shape(cell: bytes) -> bytes:
    """A cell with each run of digits as 9 and of letters as a."""
    return re.sub(rb"[A-Za-z\x80-\xff]+", b"a", re.sub(rb"\d+", b"9", cell.rstrip(b"\r")))
