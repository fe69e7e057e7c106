"""Text in columns: its types, what is empty, and, of encoded text and bytes, how long they are and the values."""

import pyarrow as pa
import pyarrow.compute as pc

_MAX_BYTES = 1 << 30  # of one chunk of strings, whose ends are int32
_ROWS_AT_ONCE = 1 << 20


def is_text(type_: pa.DataType) -> bool:
    return bool(pa.types.is_string(type_) or pa.types.is_large_string(type_) or pa.types.is_string_view(type_))


def empty_as_null(text: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)


def n_bytes_of_text(column: pa.Array) -> int:
    """How long the texts and bytes of all rows are altogether when each is written out."""
    if isinstance(column, pa.ExtensionArray):
        return n_bytes_of_text(column.storage)
    type_ = column.type
    if pa.types.is_dictionary(type_):
        return _n_bytes_of_codes(column) if _is_text_or_bytes(type_.value_type) else 0
    if _is_text_or_bytes(type_):
        return int(column.nbytes)
    if pa.types.is_struct(type_):
        return sum(map(n_bytes_of_text, column.flatten()))
    if pa.types.is_map(type_):
        return n_bytes_of_text(column.keys) + n_bytes_of_text(column.items)
    if pa.types.is_list(type_) or pa.types.is_large_list(type_) or pa.types.is_fixed_size_list(type_):
        return n_bytes_of_text(column.values)
    return 0


def written_out(column: pa.Array, type_: pa.DataType) -> list[pa.Array]:
    """The values of an encoded column, as `type_`; in several chunks where one could not hold them."""
    if column.type == type_:
        return [column]
    if len(column) > 1 and n_bytes_of_text(column) > _MAX_BYTES:
        half = len(column) // 2
        parts = (column.slice(0, half), column.slice(half))
        return [chunk for part in parts for chunk in written_out(pa.concat_arrays([part]), type_)]  # without the other
    return [column.cast(type_)]


def _is_text_or_bytes(type_: pa.DataType) -> bool:
    return bool(is_text(type_) or pa.types.is_binary(type_) or pa.types.is_large_binary(type_))


def _n_bytes_of_codes(column: pa.DictionaryArray) -> int:
    lengths = pc.binary_length(column.dictionary).cast(pa.int64())
    parts = (column.indices.slice(start, _ROWS_AT_ONCE) for start in range(0, len(column), _ROWS_AT_ONCE))
    return sum(pc.sum(lengths.take(codes)).as_py() or 0 for codes in parts)
