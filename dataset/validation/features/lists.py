"""Lists in cells of text: JSON, Python's spelling, or values between delimiters -> list<string>."""

import ast
import json
import re
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from belfry.dataset.encoding.text import empty_as_null, is_text
from belfry.dataset.errors import TableError
from belfry.dataset.validation import coercion

DELIMITERS = ("|", ";", ",")
LITERAL = r"^\s*([\[(].*[\])]|\{.*\})\s*$"  # a list as JSON, Python, NumPy or PostgreSQL writes it

_MOST = 0.5  # of the texts; where fewer are literals, none is
_SHOWN = 60  # signs of a cell in a message
_BETWEEN_QUOTES = re.compile(r"([\"'])\s+([\"'])")  # NumPy parts values by blanks, which Python joins
_LOOKED_AT = 10_000  # texts, to see whether they are lists
_MOST_NESTED = 100  # brackets in a cell: more are no list of values, and would cost much to read


def as_list(column: pa.ChunkedArray, delimiter: str | None) -> pa.ChunkedArray:
    """A list of strings for each cell; blanks around values and values without a sign are left out.

    Args:
        delimiter: between the values of a cell of text; None finds it.

    Raises:
        TableError: it holds neither text nor lists of single values, or a cell that begins as a list is none.
    """
    column = coercion.decoded(column)
    if not is_text(column.type):
        return coercion.as_feature(column) if pa.types.is_null(column.type) else of_values(column)
    text = column.cast(pa.string())
    distinct = pc.unique(text).drop_null()
    if delimiter is None and _share(pc.match_substring_regex(distinct, LITERAL)) >= _MOST:
        lists = _parsed(distinct)
    else:
        lists = _split(distinct, delimiter or delimiter_of(distinct) or DELIMITERS[0])
    places = pc.index_in(text, value_set=distinct)
    return pa.chunked_array([lists.take(places.combine_chunks())])


def of_values(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Lists of strings from lists of strings, whole numbers or truth values.

    Raises:
        TableError: it is no such list.
    """
    kind = column.type
    if coercion.is_list(kind) and (
        pa.types.is_integer(kind.value_type)
        or pa.types.is_boolean(kind.value_type)
        or pa.types.is_null(kind.value_type)
    ):
        return column.cast(pa.list_(pa.string()))
    feature = coercion.as_feature(column)
    if not pa.types.is_list(feature.type):
        raise TableError(f"is {column.type}, and is named as list: name a column of text or lists")
    return feature


def delimiter_of(distinct: pa.Array) -> str | None:
    """The one that most of the texts hold; of several, the first of `DELIMITERS`."""
    counts = {sign: _share(pc.match_substring(distinct, sign)) for sign in DELIMITERS}
    best = max(DELIMITERS, key=lambda sign: counts[sign])
    return best if counts[best] else None


def _share(found: pa.Array) -> float:
    return float(pc.mean(found).as_py() or 0) if len(found) else 0.0


def _split(distinct: pa.Array, delimiter: str) -> pa.Array:
    parts = pc.split_pattern(distinct, delimiter)
    return pa.ListArray.from_arrays(parts.offsets, empty_as_null(pc.utf8_trim_whitespace(parts.values)))


def _parsed(distinct: pa.Array) -> pa.Array:
    lists = [_values_of(text) for text in distinct.to_pylist()]
    if bad := [text for text, values in zip(distinct.to_pylist(), lists, strict=True) if values is None]:
        raise TableError(
            f"is text in which {len(bad)} of {len(distinct)} lists cannot be read (one is {bad[0][:_SHOWN]!r}); mend "
            "them, or name the sign between the values beside the column in data.list_columns"
        )
    return pa.array(lists, pa.list_(pa.string()))


def _values_of(text: str) -> list[str] | None:
    """The values of one list; None where it is none. Of an object with a name, as some dumps have it, the name."""
    if not text.strip():
        return []
    if sum(map(text.count, "[({")) > _MOST_NESTED:
        return None
    try:
        read: Any = json.loads(text)
    except (ValueError, RecursionError):
        try:
            read = ast.literal_eval(_BETWEEN_QUOTES.sub(r"\1, \2", text.strip()))
        except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
            if not text.strip().startswith("{"):
                return None
            read = [value.strip().strip('"') for value in text.strip(" {}").split(",")]
    if isinstance(read, set):
        read = sorted(read, key=str)
    if not isinstance(read, Iterable) or isinstance(read, str | dict):
        read = [read]  # ('a') is a string to Python
    values = [value.get("name") if isinstance(value, dict) else value for value in read]
    if not all(value is None or isinstance(value, str | int | float) for value in values):
        return None
    return [text for value in values if value is not None and (text := str(value).strip())]


def looks_like_list(distinct: pa.Array) -> bool:
    """Whether texts, each once, are lists as JSON or Python writes them, or share many values between delimiters."""
    distinct = distinct[:_LOOKED_AT]
    if len(distinct) < 2:
        return False
    if _share(pc.match_substring_regex(distinct, r"^\s*(\[.*\]|\{.*\})\s*$")) > 0.9:
        return True
    sign = delimiter_of(distinct)
    if sign is None:
        return False
    several = distinct.filter(pc.match_substring(distinct, sign))
    if len(several) < max(2, len(distinct) / 5):
        return False
    values = np.asarray(pc.value_counts(_split(several, sign).values.drop_null()).field("counts"))
    return bool(len(values) and values.sum() >= 1.5 * len(values))
