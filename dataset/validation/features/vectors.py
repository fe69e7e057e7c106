"""Vectors that users bring, such as embeddings of text or images: a list of numbers of one length in each cell."""

from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from belfry.dataset.arrays import Mask
from belfry.dataset.encoding.text import empty_as_null, is_text
from belfry.dataset.errors import TableError
from belfry.dataset.validation import coercion

MIN_LENGTH = 8  # of lists that are vectors without being named
_LITERAL = r"^\s*\[[^\[\]]*\]\s*$"
_SHOWN = 60  # signs of a cell in a message


def is_list_of_floats(kind: pa.DataType) -> bool:
    """The type of a column of vectors; lists of whole numbers are lists of categories."""
    return coercion.is_list(kind) and bool(pa.types.is_floating(kind.value_type))


def as_vectors(
    column: pa.ChunkedArray,
    *,
    on_bad: Literal["error", "drop"] = "error",
    is_named: bool = True,
    length: int | None = None,
) -> pa.ChunkedArray:
    """Of type fixed_size_list<float32>; null where there is none, and where a bad one was dropped.

    Args:
        column: of lists of numbers, or of text that holds them as JSON.
        on_bad: what becomes of vectors of another length than most, with a value that is null or not finite, or of
            zeros alone.
        is_named: without, lists shorter than `MIN_LENGTH` are refused.
        length: that training knew, of a later table; else it is that of most.

    Raises:
        TableError: it holds something else, or bad vectors; the first row is named.
    """
    lists = _lists_of(column)
    lengths = np.asarray(pc.fill_null(pc.list_value_length(lists), -1), np.int64)
    present = lengths >= 0
    if not present.any():
        return pa.chunked_array([pa.nulls(len(lists), pa.list_(pa.float32(), length or MIN_LENGTH))])
    can_set, length = length is None, length or int(np.bincount(lengths[present]).argmax())
    if not length or (length < MIN_LENGTH and not is_named):
        up_to = "" if (lengths[present] == length).all() else "up to "
        raise TableError(
            f"is {str(column.type)[:_SHOWN]} of {up_to}{lengths.max()} numbers; a feature is a number, a string or a "
            "list of strings: convert or drop it; vectors are lists of one length, and of "
            f"{MIN_LENGTH} or more unless data.vector_columns names them"
        )
    is_other = present & (lengths != length)
    rows = np.flatnonzero(present & ~is_other)
    flat = pc.list_flatten(lists.take(pa.array(rows))).cast(pa.float32(), safe=False)
    values = pc.fill_null(flat, np.nan).to_numpy(zero_copy_only=False).reshape(len(rows), length)
    is_finite = np.isfinite(values).all(axis=1)
    is_zero = is_finite & ~values.any(axis=1)
    bad = {
        f"of another length than {length}": is_other,
        "with a value that is missing or not finite": _at(rows[~is_finite], len(lists)),
        "of zeros alone": _at(rows[is_zero], len(lists)),
    }
    if on_bad == "error" and any(mask.any() for mask in bad.values()):
        found = ", ".join(
            f"{np.count_nonzero(mask):,} {what} (first in row {int(mask.argmax())})"
            for what, mask in bad.items()
            if mask.any()
        )
        choice = ", or --set data.bad_vector=drop, which takes them for missing" if can_set else ""
        raise TableError(f"has bad vectors, {found}; mend them{choice}")
    kept = is_finite & ~is_zero
    place = np.full(len(lists), -1)
    place[rows[kept]] = np.arange(np.count_nonzero(kept))
    made = pa.FixedSizeListArray.from_arrays(pa.array(values[kept].ravel(), pa.float32()), length)
    return pa.chunked_array([made.take(pa.array(place, mask=place < 0))])


def _lists_of(column: pa.ChunkedArray) -> pa.Array:
    column = coercion.decoded(column)
    if pa.types.is_null(column.type):
        return pa.nulls(len(column), pa.list_(pa.float64()))
    if is_text(column.type):
        return _parsed(column.cast(pa.string()).combine_chunks())
    kind = column.type
    if not (coercion.is_list(kind) and (pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type))):
        raise TableError(f"is {str(kind)[:_SHOWN]}, and is named as vectors: name a column of lists of numbers")
    return column.cast(pa.list_(pa.float64())).combine_chunks()


def _parsed(text: pa.Array) -> pa.Array:
    """Lists of numbers written as JSON; an empty cell is missing."""
    text = empty_as_null(pc.utf8_trim_whitespace(text))
    fits = pc.fill_null(pc.match_substring_regex(text, _LITERAL), True).to_numpy(zero_copy_only=False)
    try:
        if not fits.all():
            raise ValueError
        return pc.split_pattern(pc.replace_substring_regex(text, r"[\[\]\s]", ""), ",").cast(pa.list_(pa.float64()))
    except (ValueError, pa.ArrowInvalid) as error:
        row = int(np.argmin(fits))
        raise TableError(
            f"is text that is no list of numbers as JSON writes it (row {row}: {str(text[row].as_py())[:_SHOWN]!r}); "
            "write [0.1, 0.2]"
        ) from error


def _at(rows: np.ndarray, n: int) -> Mask:
    mask = np.zeros(n, np.bool_)
    mask[rows] = True
    return mask
