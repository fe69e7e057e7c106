"""The type of ids in CSV files, which do not say whether an id is a number: int64 where each is one, else string."""

import pyarrow as pa
import pyarrow.compute as pc

from belfry.dataset import columns

ID_COLUMNS = (columns.USER_ID, columns.ITEM_ID)
# An integer that is written in one way only: read as a number and printed again, it is the same text.
INTEGER_ID = r"^(0|-?[1-9]\d{0,18})$"


def alike(tables: dict[str, pa.Table], untyped: set[str]) -> dict[str, pa.Table]:
    """The tables, ids of those named in `untyped` (CSV files) as text where those of another table are text."""
    tables = dict(tables)
    for column in ID_COLUMNS:
        types = [table.schema.field(column).type for table in tables.values() if _has_one(table, column)]
        if pa.string() in types:
            for name in untyped:
                table = tables[name]
                if _has_one(table, column):
                    position = table.schema.get_field_index(column)
                    tables[name] = table.set_column(position, column, table[column].cast(pa.string()))
    return tables


def integers_or_text(ids: pa.ChunkedArray) -> pa.ChunkedArray:
    """Ids as int64 if each is an integer without leading zeros or signs, else as text."""
    ids = empty_as_null(ids)
    if pc.all(pc.match_substring_regex(ids, INTEGER_ID)).as_py():
        try:
            return ids.cast(pa.int64())
        except pa.ArrowInvalid:  # beyond 64 bits
            return ids
    return ids


def empty_as_null(text: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)


def _has_one(table: pa.Table, column: str) -> bool:
    return bool(table.column_names.count(column) == 1)
