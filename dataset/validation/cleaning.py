"""Cleaning: one table while it is checked, and what was found in it; `check` holds the rules."""

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from belfry.dataset.arrays import Mask, Positions
from belfry.dataset.encoding.dictionary import codes_and_values, codes_as_numpy, encoded, plain, value_type
from belfry.dataset.errors import TableError, shown
from belfry.dataset.validation import coercion
from belfry.dataset.validation.number_text import decimal_comma_in
from belfry.dataset.validation.usual_names import names_in, remedy

Codes: TypeAlias = npt.NDArray[np.int32]
Value = TypeVar("Value", bound=np.generic)
Action: TypeAlias = Literal["error", "drop", "clip", "null", "middle", "keep", "note"]

_DONE = {
    "drop": "these rows are dropped",
    "clip": "clipped",
    "null": "taken for none",
    "middle": "taken for the median of the others",
    "keep": "kept",
}
_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # odd, and its bits are spread evenly: 2^64 divided by the golden ratio
_BLOCK = 1 << 18  # rows


@dataclass(frozen=True)
class Finding:
    """One kind of problem in one place."""

    table: str
    kind: str  # a field of Policy, where there is a choice
    action: Action
    text: str
    column: str | None = None
    count: int = 0
    rows: tuple[int, ...] = ()  # the first few

    def __str__(self) -> str:
        column = "" if self.column is None else f"column {self.column!r} "
        return f"{self.table}: {column}{self.text}"


@dataclass
class Cleaning:
    """One table while it is checked; masks and row numbers refer to the table as it came."""

    name: str
    table: pa.Table
    findings: list[Finding]
    can_set: bool = True  # whether settings can be given where this table is read, so that a message may name them
    columns: dict[str, pa.ChunkedArray] = field(default_factory=dict)
    guessed: set[str] = field(default_factory=set)  # id columns of files that do not say their type
    null_words: dict[str, str] = field(default_factory=dict)  # of id columns, the words that were met, for a message
    strays: dict[str, str] = field(default_factory=dict)  # of id columns of text, which ids are no whole numbers
    kept: Mask = field(init=False)

    def __post_init__(self) -> None:
        self.kept = np.ones(len(self.table), np.bool_)

    def note(self, kind: str, text: str, column: str | None = None, *, action: Action = "note", count: int = 0) -> None:
        self.findings.append(Finding(self.name, kind, action, text, column, count))

    def require(self, *names: str) -> bool:
        """Whether there is exactly one column of each name; notes an error if not."""
        counts = {name: self.table.column_names.count(name) for name in names}
        for name, count in counts.items():
            if count > 1:
                self.note("column_twice", f"is there {count} times; keep one", name, action="error")
        if missing := [name for name, count in counts.items() if not count]:
            there = ", ".join(map(shown, self.table.column_names[:12])) or "none"
            found = f"missing; there are {there}: {remedy(missing, names_in(self.table), self.name)}"
            if len(missing) == 1:
                self.note("missing_column", f"is {found}", missing[0], action="error")
            else:
                self.note("missing_column", f"columns {' and '.join(map(repr, missing))} are {found}", action="error")
        return all(count == 1 for count in counts.values())

    def read(
        self,
        name: str,
        rule: Callable[[pa.ChunkedArray], pa.ChunkedArray],
        on_refusal: Action = "error",
        *,
        null_words: tuple[str, ...] = (),
        remedy: str = "",
    ) -> bool:
        """Take a column over by a rule of `coercion`, `null_words` as nulls; False where it is refused.

        An error ends in `remedy` where settings can be given.
        """
        given = self.table[name]
        try:
            self.columns[name] = rule(self.without_words(name, null_words))
        except (TableError, pa.ArrowException) as error:
            ending = "; left out" if on_refusal != "error" else remedy * self.can_set
            self.columns.pop(name, None)
            self.note("unusable_column", f"{error}{ending}", name, action=on_refusal)
            return False
        if coercion.family(given.type) != coercion.family(self.columns[name].type):
            self.note("coerced", f"is {given.type}; read as {value_type(self.columns[name].type)}", name)
            text = coercion.text_of(given) if pa.types.is_float32(self.columns[name].type) else None
            if text is not None and (comma := decimal_comma_in(text)):
                self.note("decimal_comma", f"has decimal commas, such as {shown(comma)}; read as points", name)
        return True

    def read_optional(
        self, name: str, rule: Callable[[pa.ChunkedArray], pa.ChunkedArray], *, null_words: tuple[str, ...] = ()
    ) -> bool:
        """Likewise; False, without a note, where there is no such column."""
        if name not in self.table.column_names or not self.require(name):
            return False
        return self.read(name, rule, null_words=null_words)

    def without_words(self, name: str, null_words: tuple[str, ...]) -> pa.ChunkedArray:
        """The column, these words in it as nulls, and noted."""
        column = coercion.text_of(self.table[name]) if null_words else None
        if column is None:
            return self.table[name]
        values = pc.unique(column).drop_null()
        is_word = pc.is_in(pc.utf8_trim_whitespace(values), value_set=pa.array(null_words, pa.string()))
        words = values.filter(is_word)
        if not len(words):
            return column
        is_null = pc.is_in(column, value_set=words)
        rows = np.flatnonzero(where(is_null))
        named = ", ".join(map(shown, words[:3].to_pylist()))
        self.note("null_word", f"holds {named} in {len(rows)} rows (first in row {rows[0]}); read as null", name)
        return pc.if_else(is_null, pa.scalar(None, pa.string()), column)

    def report(self, kind: str, column: str | None, bad: Mask, found: str, action: Action, remedy: str) -> None:
        """Note the rows in `bad`, if any, and drop them where that is the action; `found` holds the place `{count}`."""
        rows = np.flatnonzero(bad)
        if not len(rows):
            return
        if action == "drop":
            self.kept &= ~bad
        done = _DONE.get(action, f"{remedy}, or --set data.{kind}=drop" if self.can_set else remedy)
        text = f"{found.replace('{count}', str(len(rows)))} (first in row {rows[0]}); {done}"
        first = tuple(int(row) for row in rows[:5])
        self.findings.append(Finding(self.name, kind, action, text, column, len(rows), first))

    def raise_errors(self) -> None:
        """Raise a TableError that names all errors so far, if there are any."""
        if errors := [finding for finding in self.findings if finding.action == "error"]:
            raise TableError("\n".join(map(str, errors)))

    def finish(self) -> pa.Table:
        """What was taken over of the rows that are kept."""
        return plain(self.finish_encoded(), self.columns)

    def finish_encoded(self) -> pa.Table:
        """Likewise, ids encoded."""
        table = pa.table(self.columns)
        return table if self.kept.all() or not self.columns else table.filter(pa.array(self.kept))

    def of_kept(self, values: npt.NDArray[Value]) -> npt.NDArray[Value]:
        """[n_kept] of `values` [n_rows], which themselves are given where all rows are kept."""
        return values if self.kept.all() else values[self.kept]


def where(condition: pa.ChunkedArray) -> Mask:
    """[n_rows] the condition as NumPy, a null as no."""
    return np.asarray(pc.fill_null(condition, False), dtype=np.bool_)


def codes_of(column: pa.ChunkedArray) -> Codes:
    """[n_rows] equal numbers for equal values, nulls included; from 0."""
    codes, values = codes_and_values(encoded(column))
    return codes_as_numpy(codes, null=len(values))


def repeats(codes: list[Codes], others: list[pa.ChunkedArray], among: Mask) -> Mask:
    """[n_rows] rows whose keys an earlier row has too; only the rows in `among` are compared.

    Args:
        codes: of one or two keys.
        others: further keys.
    """
    repeated = np.zeros(len(among), np.bool_)
    rows = likely_equal(codes, others, among)
    if not len(rows):
        return repeated
    keys = [*(key[rows] for key in codes), *(codes_of(key.take(pa.array(rows))) for key in others)]
    order = np.lexsort(keys)
    same = np.ones(len(order) - 1, np.bool_)
    for key in keys:
        same &= key[order[1:]] == key[order[:-1]]
    repeated[rows[order[1:][same]]] = True
    return repeated


def likely_equal(codes: list[Codes], others: list[pa.ChunkedArray], among: Mask) -> Positions:
    """Positions in `among` of all rows that have the keys of another row there, and of hardly any more.

    One number is made of all keys of a row, and those that share theirs are found.

    Args:
        codes, others: as in `repeats`.
    """
    keys = [*codes, *(one if pa.types.is_integer(one.type) else codes_of(one) for one in others)]
    numbers = np.empty(len(among), np.uint64)
    for start in range(0, len(among), _BLOCK):
        numbers[start : start + _BLOCK] = _one_number(keys, start)
    numbers = numbers if among.all() else numbers[among]
    numbers.sort()
    shared = np.unique(numbers[1:][numbers[1:] == numbers[:-1]])
    del numbers
    found = [np.zeros(0, np.int64)]
    for start in range(0, len(among) if len(shared) else 0, _BLOCK):
        block = _one_number(keys, start)
        place = np.minimum(np.searchsorted(shared, block), len(shared) - 1)
        found.append(start + np.flatnonzero((shared[place] == block) & among[start : start + _BLOCK]))
    return np.concatenate(found)


def _one_number(keys: Sequence[Codes | pa.ChunkedArray], start: int) -> npt.NDArray[np.uint64]:
    """[n_rows of a block] equal where all keys are; a null is as good as any integer."""
    number = np.zeros(1, np.uint64)
    for key in keys:
        block = key[start : start + _BLOCK]
        block = block if isinstance(block, np.ndarray) else np.asarray(pc.fill_null(block, 0))
        number = number * _FACTOR + block.astype(np.uint64)
    return number


def nearest(wanted: str, names: list[str]) -> str | None:
    """The name most similar to `wanted`, whatever its case; None where none is similar."""
    folded = {name.casefold(): name for name in names}
    matches = difflib.get_close_matches(wanted, folded, n=1, cutoff=0.8)
    return folded[matches[0]] if matches else None
