"""Dictionary encoding: a column as int32 codes and each distinct value once, as ids are checked and numbered.

Memory goes with the distinct ids then, and 4 bytes a row, however long they are.
"""

from collections.abc import Collection, Mapping
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Key = TypeVar("Key")


def encoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """One chunk of int32 codes: each value is there once, in the order of its first row; a null has no code."""
    if pa.types.is_dictionary(column.type):
        try:
            column = column.unify_dictionaries()
            values = column.chunk(0).dictionary if column.num_chunks else pa.array([], column.type.value_type)
            codes = pa.chunked_array([chunk.indices for chunk in column.chunks], column.type.index_type)
            return with_values(_of_parts(_one_chunk(codes.cast(pa.int32())), values), values)
        except pa.ArrowException:  # such as of dictionaries that hold nulls
            column = column.cast(column.type.value_type)
    column = column.dictionary_encode()
    if not column.num_chunks:
        return pa.chunked_array([pa.array([], column.type)])
    codes = pa.chunked_array([chunk.indices for chunk in column.chunks])
    return _of_parts(_one_chunk(codes), column.chunk(0).dictionary)


def codes_and_values(column: pa.ChunkedArray) -> tuple[pa.Array, pa.Array]:
    """[n_rows] int32, and the distinct values, of a column that `encoded` gave, or of a part of its rows."""
    array = _one_chunk(column)
    return array.indices, array.dictionary


def with_values(column: pa.ChunkedArray, values: pa.Array) -> pa.ChunkedArray:
    """An encoded column with other `values` in place of its own; those that are equal now become one, nulls none."""
    codes = codes_and_values(column)[0]
    used = pc.unique(codes).drop_null()
    is_in_order = len(used) == len(values) and bool((np.asarray(used) == np.arange(len(used))).all())
    distinct = values.take(used).dictionary_encode()
    if is_in_order and len(distinct.dictionary) == len(values):
        return _of_parts(codes, values)
    place = np.full(len(values), len(used), np.int32)
    place[np.asarray(used)] = np.arange(len(used), dtype=np.int32)
    new_codes = pa.concat_arrays([distinct.indices, pa.nulls(1, pa.int32())]).take(pa.array(place))
    return _of_parts(new_codes.take(codes), distinct.dictionary)


def distinct_in(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Each value of a column once, in the order of its first row, a null too; of an encoded one without decoding it."""
    if isinstance(column, pa.ChunkedArray) and pa.types.is_dictionary(column.type):
        codes, values = codes_and_values(column)
        return values.take(pc.unique(codes))
    return pc.unique(column)


def plain(table: pa.Table, columns: Collection[str]) -> pa.Table:
    """The table with the values themselves in these columns, where they are encoded."""
    for place, field in enumerate(table.schema):
        if field.name in columns and pa.types.is_dictionary(field.type):
            field = field.with_type(field.type.value_type)
            table = table.set_column(place, field, table.column(place).cast(field.type))
    return table


def alike_encoded(tables: Mapping[Key, pa.Table], columns: Collection[str]) -> dict[Key, pa.Table]:
    """The tables, plain in those of these columns that are not of one type in all of them."""
    found = {(field.name, str(field.type)) for table in tables.values() for field in table.schema}
    differing = {name for name in columns if sum(one == name for one, _ in found) > 1}
    return {label: plain(table, differing) for label, table in tables.items()}


def value_type(type_: pa.DataType) -> pa.DataType:
    """Of an encoded column, that of its values."""
    return type_.value_type if pa.types.is_dictionary(type_) else type_


def codes_as_numpy(codes: pa.Array, *, null: int) -> npt.NDArray[np.int32]:
    """[n_rows] with the code of a null; in Arrow's memory where there are none."""
    return np.asarray(pc.fill_null(codes, pa.scalar(null, pa.int32())) if codes.null_count else codes)


def _one_chunk(column: pa.ChunkedArray) -> pa.Array:
    """In the same memory, if it is one already."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _of_parts(codes: pa.Array, values: pa.Array) -> pa.ChunkedArray:
    return pa.chunked_array([pa.DictionaryArray.from_arrays(codes, values)])
