"""The type of ids in CSV files, which do not say whether an id is a number: int64 where each is one, else string."""

import pyarrow as pa
import pyarrow.compute as pc

from belfry.dataset import columns
from belfry.dataset.encoding.dictionary import value_type
from belfry.dataset.encoding.text import empty_as_null
from belfry.dataset.validation.spelling import INTEGER, fits

ID_COLUMNS = (columns.USER_ID, columns.ITEM_ID)

# On the field of an id column: its type is a guess, and `belfry.dataset.validation.ids` may settle on another.
_GUESSED = {b"belfry.id_type": b"guessed"}


def alike(tables: dict[str, pa.Table], untyped: set[str]) -> dict[str, pa.Table]:
    """The tables, ids of those named in `untyped` (CSV files) as text where those of another table are text.

    Where no typed table decides, the columns are marked, see `is_guessed`: a word for a missing value may be all that
    makes text of them.
    """
    tables = dict(tables)
    for column in ID_COLUMNS:
        fields = {name: table.schema.field(column) for name, table in tables.items() if _has_one(table, column)}
        types = {name: value_type(field.type) for name, field in fields.items()}
        is_text = pa.string() in types.values()
        is_settled = any(type_ == pa.string() for name, type_ in types.items() if name not in untyped)
        for name in untyped & types.keys():
            table = tables[name]
            ids = table[column].cast(pa.string()) if is_text else table[column]
            field = pa.field(column, ids.type, metadata=None if is_settled else _GUESSED)
            tables[name] = table.set_column(table.schema.get_field_index(column), field, ids)
    return tables


def is_guessed(table: pa.Table, column: str) -> bool:
    """Whether the file did not say what type the ids of this column have."""
    return bool((table.schema.field(column).metadata or {}).items() >= _GUESSED.items())


def integers_or_text(ids: pa.ChunkedArray) -> pa.ChunkedArray:
    """Ids as int64 if each is an integer without leading zeros or signs, else as text."""
    ids = empty_as_null(ids)
    if pc.all(fits(ids, INTEGER)).as_py():
        try:
            return ids.cast(pa.int64())
        except pa.ArrowInvalid:  # beyond 64 bits
            return ids
    return ids


def _has_one(table: pa.Table, column: str) -> bool:
    return bool(table.column_names.count(column) == 1)
