"""What each column was taken for, as a table for people."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from belfry.dataset import columns
from belfry.dataset.encoding.dictionary import distinct_in, encoded
from belfry.dataset.errors import printable
from belfry.dataset.features import FeatureColumns
from belfry.dataset.prepare import Data
from belfry.dataset.tables import Tables
from belfry.dataset.validation.features.vectors import is_list_of_floats

LOG = "belfry.columns"  # the logger that is told the table, at the level of information

_MOST_ROWS = 40  # of one table; the rest is counted
_WIDTH = 28  # signs of a name, or of an example
_LOOKED_AT = 1000  # rows that examples come from
_N_EXAMPLES = 3  # of a column
_OF_INTERACTIONS = {
    columns.USER_ID: "user id",
    columns.ITEM_ID: "item id",
    columns.RATING: "rating",
    columns.TIMESTAMP_S: "time (UTC)",
    columns.WEIGHT: "weight",
    columns.EVENT: "event",
}


@dataclass(frozen=True)
class ColumnUse:
    """One column of one table."""

    table: str
    column: str
    taken_as: str
    distinct: int | None  # values; of lists, those in them; None where they are not counted
    missing: int
    examples: tuple[str, ...]


def column_uses(raw: Tables, checked: Tables, data: Data | None) -> list[ColumnUse]:
    """Every column of the raw tables, in their order.

    Args:
        raw: as they came.
        checked: what validation made of them.
        data: what was made of those; None where they were refused.
    """
    events = raw.interactions
    uses = [
        _use("interactions", name, _first(events, name), _role(name, raw, checked))
        for name in dict.fromkeys(events.column_names)
    ]
    for table, id_column in (("items", columns.ITEM_ID), ("users", columns.USER_ID)):
        given, read = getattr(raw, table), getattr(checked, table)
        if given is None:
            continue
        learned: FeatureColumns | None = None if data is None else getattr(data, table)
        is_read = set() if read is None else set(read.column_names)
        is_used = is_read if learned is None else is_read & set(learned.names)
        for name in dict.fromkeys(given.column_names):
            values = _first(given, name)
            if name == id_column:
                taken = f"{table[:-1]} id"
            elif table == "items" and name == columns.TITLE and name in is_read:
                taken = "title and its words" if name in checked.text_columns else "title"
            elif name not in is_used:
                taken = "left out"
            else:
                taken = _kind(values.type, read[name].type, name in checked.text_columns)
                taken += ", by use" if learned is not None and name in learned.usage else ""
                values = read[name] if taken.startswith("list") else values
            uses.append(_use(table, name, values, taken))
    return uses


def lines_of(uses: Sequence[ColumnUse], most: int | None = _MOST_ROWS) -> list[str]:
    """As lines of one width; of a table with more columns than `most`, the first ones."""
    rows: list[tuple[str, ...]] = [("table", "column", "taken as", "distinct", "missing", "examples")]
    for table, group in groupby(uses, key=lambda use: use.table):
        of_table = list(group)
        for use in of_table[:most]:
            distinct = "" if use.distinct is None else f"{use.distinct:,}"
            told = printable(use.column, _WIDTH), use.taken_as, distinct, f"{use.missing:,}", ", ".join(use.examples)
            rows.append((table, *told))
        if most is not None and len(of_table) > most:
            rows.append((table, f"and {len(of_table) - most:,} more", "", "", "", ""))
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _role(name: str, raw: Tables, checked: Tables) -> str:
    """Of a column of interactions."""
    if name == columns.TIMESTAMP_S and columns.ORDER in checked.interactions.column_names:
        return "order" if name not in checked.interactions.column_names else "time (UTC)"
    if name in checked.interactions.column_names:
        return _OF_INTERACTIONS.get(name, "label")
    return "left out" if name in _OF_INTERACTIONS or name in raw.label_columns else "not used"


def _kind(given: pa.DataType, read: pa.DataType, is_text: bool) -> str:
    """Of a column of items or users that is a feature."""
    if is_text:
        return "words"
    if pa.types.is_fixed_size_list(read):
        return f"vector of {read.list_size}"
    if pa.types.is_list(read):
        return "list"
    if pa.types.is_string(read) or pa.types.is_null(read):
        return "category"
    return "time as number" if pa.types.is_temporal(given) else "number"


def _first(table: pa.Table, name: str) -> pa.ChunkedArray:
    """The column of this name, the first of several."""
    return table.column(table.schema.get_all_field_indices(name)[0])


def _use(table: str, name: str, column: pa.ChunkedArray, taken_as: str) -> ColumnUse:
    missing = column.null_count
    if pa.types.is_floating(column.type):
        missing += int(pc.sum(pc.is_nan(column)).as_py() or 0)
    is_time = table == "interactions" and name == columns.TIMESTAMP_S
    examples = tuple(printable(_text(value, is_time=is_time), _WIDTH) for value in _some(column))
    return ColumnUse(table, name, taken_as, None if is_time else _count_distinct(column), missing, examples)


def _count_distinct(column: pa.ChunkedArray) -> int | None:
    if is_list_of_floats(column.type):
        return None
    try:
        flat = pc.list_flatten(column) if pa.types.is_list(column.type) else column
        flat = distinct_in(encoded(flat)) if pa.types.is_dictionary(flat.type) else flat
        return int(pc.count_distinct(flat, mode="only_valid").as_py())
    except pa.ArrowException:
        return None  # of a type whose values Arrow does not compare


def _some(column: pa.ChunkedArray) -> list[Any]:
    """The first values, each once."""
    found: list[Any] = []
    for value in column.slice(0, _LOOKED_AT).to_pylist():
        if value is not None and value == value and value not in found:  # NaN is missing too
            found.append(value)
        if len(found) == _N_EXAMPLES:
            break
    return found


def _text(value: Any, *, is_time: bool) -> str:
    if is_time and isinstance(value, int | float) and 0 <= value < 1e11:
        return datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%d")
    return "|".join(map(str, value[:5])) if isinstance(value, list) else str(value)
