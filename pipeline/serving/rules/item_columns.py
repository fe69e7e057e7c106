"""Item columns: what a table of items says, kept in a run as it was read, for rules to ask.

Features are encoded for models: rare categories are merged and numbers standardised. Rules need what people wrote. The
columns are made of the file when a rule first asks for one, so that answers without rules cost little more.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from belfry.dataset import columns
from belfry.dataset.arrays import Mask, Positions
from belfry.dataset.concurrency.cached import cached_property
from belfry.dataset.errors import ArtifactError, InputError, printable
from belfry.dataset.vocabulary import Numbers, Vocabulary
from belfry.layers.saved.files import ReadablePath, read_arrays, write_arrays

ITEM_COLUMNS = "item_columns.npz"  # of a run folder
_DAMAGED = "train again"
_FIRST_TIME, _LAST_TIME = 1e8, 1e11  # of UTC seconds, 1973 and 5138: other numbers are years, or milliseconds

Array: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True)
class NumberColumn:
    """A number for each item number."""

    values: Array = field(repr=False)  # [n_items + 1] int64 or float64
    missing: Mask = field(repr=False)  # [n_items + 1]


@dataclass(frozen=True)
class LabelColumn:
    """Labels of each item number: at most one, or where `is_list` any number; none is missing."""

    starts: Positions = field(repr=False)  # [n_items + 2]: those of item i are `codes[starts[i] : starts[i + 1]]`
    codes: Numbers = field(repr=False)  # [n_values] positions in `labels`
    labels: tuple[str, ...] = field(repr=False)  # each once
    is_list: bool

    @property
    def missing(self) -> Mask:
        """[n_items + 1]"""
        return np.asarray(self.starts[1:] == self.starts[:-1])

    @cached_property
    def item_num(self) -> Numbers:
        """[n_values] the item of each code."""
        return np.repeat(np.arange(len(self.starts) - 1, dtype=np.int32), np.diff(self.starts))

    def with_any(self, is_wanted: Mask) -> Mask:
        """[n_items + 1] whether an item has one of the wanted labels [n_labels]."""
        found = np.zeros(len(self.starts) - 1, np.bool_)
        found[self.item_num[is_wanted[self.codes]]] = True
        return found


ItemColumn: TypeAlias = NumberColumn | LabelColumn


class ItemColumns:
    """The columns of a run's items by name, with `item_id` and `title` among them."""

    def __init__(self, items: Vocabulary, titles: pa.Array, read: Callable[[], dict[str, ItemColumn]]) -> None:
        """`read` gives the columns of the table of items, and is called once, when one is needed."""
        self._items, self._titles, self._read = items, titles, read

    @cached_property
    def _columns(self) -> dict[str, ItemColumn]:
        ids = self._items.ids
        of_all: dict[str, ItemColumn] = {}
        if self._items.is_integer:
            values = np.append(0, np.from_dlpack(ids))
            of_all[columns.ITEM_ID] = NumberColumn(values, np.arange(len(values)) == 0)
        else:
            of_all[columns.ITEM_ID] = _labels([None, *ids.to_pylist()])
        of_all[columns.TITLE] = _labels([None, *self._titles.to_pylist()])
        return of_all | self._read()

    @property
    def names(self) -> list[str]:
        return list(self._columns)

    def column(self, name: str, rule: str) -> ItemColumn:
        """One of them.

        Raises:
            InputError: there is none of that name; says which there are. `rule` is what asks for it.
            ArtifactError: the file of the columns is not as it was published.
        """
        if name not in self._columns:
            there = ", ".join(printable(repr(one), 40) for one in self.names[:20])
            raise InputError(
                f"{rule}: the items have no column {printable(repr(name), 60)}; there are {there}"
                + (" and more" if len(self.names) > 20 else "")
            )
        return self._columns[name]

    def numbers(self, name: str, rule: str) -> NumberColumn:
        """A column of numbers."""
        column = self.column(name, rule)
        if isinstance(column, LabelColumn):
            raise InputError(f"{rule}: column {name!r} holds {'lists of ' * column.is_list}text, a number is wanted")
        return column

    def times(self, name: str, rule: str) -> NumberColumn:
        """A column as UTC seconds: whole numbers are such, text is read as ISO 8601."""
        column = self.column(name, rule)
        if isinstance(column, NumberColumn):
            given = column.values[~column.missing]
            if len(given) and not _FIRST_TIME <= np.abs(given).max() <= _LAST_TIME:
                raise InputError(
                    f"{rule}: column {name!r} holds numbers up to {np.abs(given).max():,}, which are no UTC seconds of "
                    "our time; write seconds, or dates such as 2026-01-31"
                )
            return column
        if column.is_list:
            raise InputError(f"{rule}: column {name!r} holds lists, a time is wanted")
        seconds = np.array([seconds_of(label, name, rule) for label in column.labels], np.float64)
        values = np.zeros(len(column.missing))
        values[column.item_num] = seconds[column.codes]
        return NumberColumn(values, column.missing)

    def labels(self, name: str, rule: str) -> LabelColumn:
        """A column as labels: text as it is, numbers each as one."""
        column = self.column(name, rule)
        if isinstance(column, LabelColumn):
            return column
        found, codes = np.unique(column.values[~column.missing], return_inverse=True)
        starts = np.cumsum(np.append(0, ~column.missing))
        return LabelColumn(starts, codes.astype(np.int32), tuple(map(str, found.tolist())), is_list=False)


def seconds_of(text: str, name: str, rule: str) -> float:
    """UTC seconds of a date or a date-time that a rule reads, or asks for, in the column of this name."""
    try:
        when = datetime.fromisoformat(text.strip())
    except ValueError:
        shown = printable(repr(text), 40)
        raise InputError(f"{rule}: {shown} in column {name!r} is no date; wanted such as 2026-01-31T12:00Z") from None
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


def save_item_columns(table: pa.Table | None, items: Vocabulary, folder: Path) -> None:
    """Write the columns of a checked table of items, but ids, titles and vectors; nothing where there are none."""
    names = [] if table is None else [one.name for one in table.schema if _is_for_rules(one)]
    if table is None or not names:
        return
    row = np.full(len(items) + 1, -1)
    numbers = items.numbers(table[columns.ITEM_ID])
    row[numbers] = np.arange(len(table))
    row[0] = -1
    rows = pa.array(row, mask=row < 0)
    arrays: dict[str, Array] = {}
    for name in names:
        arrays |= _arrays_of(name, table[name].combine_chunks().take(rows))
    write_arrays(folder / ITEM_COLUMNS, arrays)


def _is_for_rules(column: pa.Field) -> bool:
    is_vector = pa.types.is_fixed_size_list(column.type)
    return not (column.name in (columns.ITEM_ID, columns.TITLE) or pa.types.is_null(column.type) or is_vector)


def load_item_columns(path: ReadablePath, n_items: int) -> dict[str, ItemColumn]:
    """What `save_item_columns` wrote; nothing where there is no such file.

    Raises:
        ArtifactError: the file holds something else.
    """
    if not path.exists():
        return {}
    arrays = read_arrays(path)
    found: dict[str, ItemColumn] = {}
    for key in arrays:
        part, _, name = key.partition("/")
        try:
            if part == "number":
                found[name] = _checked_numbers(arrays[key], arrays[f"missing/{name}"], n_items)
            elif part == "starts":
                found[name] = _checked_labels(
                    *(arrays[f"{of}/{name}"] for of in ("starts", "codes", "ends", "text", "list")), n_items=n_items
                )
        except (KeyError, ValueError, IndexError, UnicodeDecodeError) as error:
            raise ArtifactError(f"{path}: column {name[:60]!r} is damaged ({str(error)[:60]}); {_DAMAGED}") from error
    return found


def as_arrow(column: ItemColumn) -> pa.Array:
    """[n_items] in the order of numbers."""
    if isinstance(column, NumberColumn):
        return pa.array(column.values[1:], mask=column.missing[1:])
    labels = pa.array(column.labels, pa.string()).take(pa.array(column.codes))
    starts = column.starts[1:]
    if column.is_list:
        return pa.ListArray.from_arrays(pa.array(starts - starts[0], pa.int32()), labels)
    return labels.take(pa.array(starts[:-1] - starts[0], mask=column.missing[1:]))


def _labels(values: list[str | None]) -> LabelColumn:
    """A column of one label or none for each item number."""
    labels = tuple(sorted({value for value in values if value is not None}))
    place = {label: code for code, label in enumerate(labels)}
    codes = np.array([place[value] for value in values if value is not None], np.int32)
    starts = np.cumsum([0, *(value is not None for value in values)])
    return LabelColumn(starts, codes, labels, is_list=False)


def _arrays_of(name: str, values: pa.Array) -> dict[str, Array]:
    """One column, in the order of item numbers, as arrays of numbers alone."""
    if pa.types.is_integer(values.type) or pa.types.is_floating(values.type):
        missing = np.asarray(pc.is_null(values, nan_is_null=True))
        numbers = np.asarray(pc.fill_null(values, 0))
        if pa.types.is_float32(values.type):
            numbers = numbers.astype(str).astype(np.float64)  # 0.1, as it is written, rather than 0.10000000149
        return {f"number/{name}": np.where(missing, 0, numbers), f"missing/{name}": missing}
    is_list = pa.types.is_list(values.type) or pa.types.is_large_list(values.type)
    flat = pc.list_flatten(values) if is_list else values
    item = np.asarray(pc.list_parent_indices(values) if is_list else np.arange(len(values)), np.int64)
    kept = np.asarray(pc.is_valid(flat))
    flat, item = flat.drop_null().cast(pa.string()), item[kept]
    labels = pc.unique(flat).sort()
    codes = np.asarray(pc.index_in(flat, value_set=labels), np.int32)
    cells = np.unique(np.stack([item, codes], axis=1), axis=0) if is_list else np.stack([item, codes], axis=1)
    encoded = [label.encode() for label in labels.to_pylist()]
    return {
        f"starts/{name}": np.searchsorted(cells[:, 0], np.arange(len(values) + 1)),
        f"codes/{name}": cells[:, 1].astype(np.int32),
        f"ends/{name}": np.cumsum([0, *map(len, encoded)]),
        f"text/{name}": np.frombuffer(b"".join(encoded), np.uint8),
        f"list/{name}": np.array(is_list),
    }


def _checked_numbers(values: Array, missing: Array, n_items: int) -> NumberColumn:
    if values.shape != (n_items + 1,) or missing.shape != values.shape:
        raise ValueError("its length")
    if values.dtype not in (np.int64, np.float64) or missing.dtype != np.bool_:
        raise ValueError("its type")
    return NumberColumn(values, missing)


def _checked_labels(
    starts: Array, codes: Array, ends: Array, text: Array, is_list: Array, *, n_items: int
) -> LabelColumn:
    found = [f"{part.dtype} {part.ndim}" for part in (starts, codes, ends, text, is_list)]
    if found != ["int64 1", "int32 1", "int64 1", "uint8 1", "bool 0"]:
        raise ValueError("its types")
    if starts.shape != (n_items + 2,) or starts[0] or starts[-1] != len(codes) or (np.diff(starts) < 0).any():
        raise ValueError("its items")
    if not len(ends) or ends[0] or ends[-1] != len(text) or (np.diff(ends) < 0).any():
        raise ValueError("its labels")
    if len(codes) and not 0 <= codes.min() <= codes.max() < len(ends) - 1:
        raise ValueError("its values")
    content, bounds = text.tobytes(), ends.tolist()
    labels = tuple(content[start:stop].decode() for start, stop in itertools.pairwise(bounds))
    return LabelColumn(starts, codes, labels, bool(is_list))
