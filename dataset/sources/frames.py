"""Raw tables from pandas DataFrames, and what pandas leaves in files."""

import re
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from belfry.dataset.errors import InputError, TableError

if TYPE_CHECKING:
    import pandas as pd


_UNNAMED = re.compile(r"(Unnamed: \d+)?")  # as to_csv writes an index, and as read_csv calls it
_LEVEL = re.compile(r"__index_level_\d+__")  # as to_parquet and to_feather write it


def from_pandas(frame: object) -> pa.Table:
    import pandas as pd

    if hasattr(frame, "__arrow_c_stream__") and not isinstance(frame, pd.DataFrame):  # of Polars, DuckDB, ...
        with suppress(pa.ArrowException):  # a column alone
            return without_views(pa.table(frame))
    if not isinstance(frame, pd.DataFrame):
        way = "collect() it first" if hasattr(frame, "collect") else "make one, such as pandas.DataFrame(...)"
        raise InputError(
            f"a table is a path or a table of pandas, Polars, DuckDB or Arrow, not {type(frame).__name__}; {way}"
        )
    named = [level for level in frame.index.names if level is not None and level not in frame.columns]
    if named and not isinstance(frame.columns, pd.MultiIndex):
        unnamed = [place for place, level in enumerate(frame.index.names) if level not in named]
        frame = frame.reset_index(level=unnamed, drop=True) if 0 < len(unnamed) < frame.index.nlevels else frame
        frame = frame.reset_index()
    names = [str(name) for name in frame.columns]
    return pa.table([_from_series(name, frame.iloc[:, i]) for i, name in enumerate(names)], names=names)


def _from_series(name: str, series: "pd.Series") -> pa.Array:
    try:
        dense = series.to_numpy() if str(series.dtype).startswith("Sparse") else series
        return pa.array(dense, from_pandas=True)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return _union_of(name, series.astype(object).tolist())


def _union_of(name: str, values: Iterable[Any]) -> pa.Array:
    """Values of several types as an Arrow union, which validation counts and refuses beside all else it finds."""
    import pandas as pd

    by_type: dict[str, list[Any]] = {}
    numbers, offsets = [], []
    for value in values:
        # A missing value belongs to whichever type comes first.
        missing = pd.api.types.is_scalar(value) and pd.isna(value)
        kind = next(iter(by_type), "str") if missing else type(value).__name__
        members = by_type.setdefault(kind, [])
        numbers.append(list(by_type).index(kind))
        offsets.append(len(members))
        members.append(None if missing else value)
    try:
        children = [pa.array(members) for members in by_type.values()]
        return pa.UnionArray.from_dense(
            pa.array(numbers, pa.int8()), pa.array(offsets, pa.int32()), children, list(by_type)
        )
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        kinds = ", ".join(sorted(by_type))
        raise TableError(
            f"column {name!r} holds values that Arrow has no type for (of {kinds}); make text of them (.astype(str)), "
            "or drop the column"
        ) from error


def without_views(table: pa.Table) -> pa.Table:
    """The table with plain text and bytes in place of views, which Polars gives and Arrow can hardly use."""
    fields = [field.with_type(without_view(field.type)) for field in table.schema]
    schema = pa.schema(fields, metadata=table.schema.metadata)
    return table if schema.equals(table.schema) else table.cast(schema)


def without_view(type_: pa.DataType) -> pa.DataType:
    """The type to read such a column as."""
    if pa.types.is_dictionary(type_):
        return pa.dictionary(type_.index_type, without_view(type_.value_type), type_.ordered)
    if pa.types.is_struct(type_):
        return pa.struct([field.with_type(without_view(field.type)) for field in type_])
    if pa.types.is_map(type_):
        return pa.map_(without_view(type_.key_type), type_.item_field.with_type(without_view(type_.item_type)))
    if pa.types.is_fixed_size_list(type_):
        return pa.list_(type_.value_field.with_type(without_view(type_.value_type)), type_.list_size)
    if pa.types.is_list(type_) or pa.types.is_large_list(type_):
        make = pa.list_ if pa.types.is_list(type_) else pa.large_list
        return make(type_.value_field.with_type(without_view(type_.value_type)))
    return {pa.string_view(): pa.large_string(), pa.binary_view(): pa.large_binary()}.get(type_, type_)


def with_range_index(table: pa.Table) -> pa.Table:
    """The table with an index of pandas that has a name and is kept as a range, beside the columns."""
    try:
        levels = (table.schema.pandas_metadata or {}).get("index_columns", [])
        for level in levels:
            if isinstance(level, dict) and level.get("name") is not None and level["name"] not in table.column_names:
                values = pa.array(range(level["start"], level["stop"], level["step"]), pa.int64())
                table = table.append_column(str(level["name"]), values)
    except (KeyError, TypeError, ValueError, pa.ArrowException):  # as another program may write it
        return table
    return table


def without_index(table: pa.Table) -> tuple[pa.Table, tuple[str, ...]]:
    """The table without an index of pandas that has no name, and a line that says so.

    In text, it is a column without a name whose values are integers, each once; such a column without any value, as
    delimiters at the ends of lines make it, goes too.
    """
    places, empty = [], []
    for place, (name, column) in enumerate(zip(table.column_names, table.columns, strict=True)):
        if _LEVEL.fullmatch(name):
            places.append(place)
        elif _UNNAMED.fullmatch(name):
            if column.null_count == len(column):
                empty.append(place)
            elif pa.types.is_integer(column.type) and not column.null_count and len(pc.unique(column)) == len(column):
                places.append(place)
    if not places and not empty:
        return table, ()
    notes = []
    if places:
        names = ", ".join(repr(table.column_names[place]) for place in places)
        notes.append(f"left out the index of pandas, which is no feature: column {names}")
    if empty:
        notes.append(f"left out {len(empty)} columns without a name and without a value")
    kept = [place for place in range(table.num_columns) if place not in (*places, *empty)]
    return table.select(kept), tuple(notes)
