"""Coercion: what each Arrow type becomes, by a written rule; what has none is refused in words.

A message here is a fragment ("is struct<...>; ..."): `Cleaning.read` puts the table and the column in front of it.

given                       as an id    rating, weight    timestamp_s             feature
integer                     int64       float32           int64                   int64 (uint64: float64)
float                       int64 if    float32           float64: int64, cut to  float32, float64
                            all whole                     seconds; else refused
string of any width         string      if all parse      if all are seconds or   string
                                                          all ISO date-times
dictionary                  decoded, then by its values
decimal                     int64 if    float32           as float64              float64
                            all whole
date-time, date             refused     refused           UTC seconds             UTC seconds, int64
bool                        refused     refused           refused                 string "true", "false"
list of strings             refused     refused           refused                 list<string>
union (mixed types), struct, map, binary, extension, anything else: refused everywhere
"""

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from belfry.dataset.encoding.dictionary import codes_and_values, encoded, value_type, with_values
from belfry.dataset.encoding.text import empty_as_null, is_text
from belfry.dataset.errors import LONGEST_SHOWN, TableError, printable, shown
from belfry.dataset.validation import date_times
from belfry.dataset.validation.number_text import INTEGER_LITERAL, NUMBER_LITERAL, with_points

_AMBIGUOUS_DATE = r"\s*\d{1,2}[-/. ]\d{1,2}[-/. ]\d{2,4}"
_THOUSANDS = r"\s*\d{1,3}([,. ]\d{3})+\s*"
_NEVER_S = 2.0**62
# Up to here a float has room for each integer.
_LAST_WHOLE = {pa.float16(): 2.0**11, pa.float32(): 2.0**24, pa.float64(): 2.0**53 - 1}


def as_ids(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Ids as int64 or string, encoded; an empty string becomes null, for it names nobody.

    Floats are taken as the integers that they are, for pandas makes floats of integers with gaps; NaN is a gap.
    """
    kind = value_type(column.type)
    if pa.types.is_integer(kind) or is_text(kind):
        ids = encoded(column)
        values = pa.chunked_array([codes_and_values(ids)[1]])
        return with_values(ids, _plain_ids(values).combine_chunks())
    return encoded(_plain_ids(column))


def _plain_ids(column: pa.ChunkedArray) -> pa.ChunkedArray:
    column = decoded(column)
    if pa.types.is_null(column.type):
        return column.cast(pa.string())
    if pa.types.is_integer(column.type):
        return _cast(column, pa.int64(), "pass the ids as strings")
    if is_text(column.type):
        return empty_as_null(_cast(column, pa.string(), "are these ids?"))
    if pa.types.is_floating(column.type):
        return _whole(column)
    if pa.types.is_decimal(column.type):
        return _cast(column, pa.int64(), "ids are integers or strings: cast the column")
    raise TableError(f"is {_named(column)}; ids are integers or strings: {_way_out(column.type)}")


def _whole(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Floats as int64, provided that each is whole and small enough to be told from its neighbours; NaN as null."""
    column = without_nan(column)
    values = np.abs(np.asarray(pc.fill_null(column, 0), np.float64))
    fits = (values == np.floor(values)) & (values <= _LAST_WHOLE[column.type])
    if not fits.all():
        row = int(np.argmin(fits))
        raise TableError(
            f"is {column.type}, and {np.sum(~fits)} ids are no whole numbers that such a float can tell apart (first "
            f"in row {row}: {column[row].as_py()}); cast the ids to integers or strings (pandas makes floats of "
            "integers with gaps: use Int64)"
        )
    return column.cast(pa.int64())


def _way_out(type_: pa.DataType) -> str:
    """How to make integers or strings of another type."""
    if pa.types.is_struct(type_):
        return "name the part that is the id, as in --columns user_id=user.id"
    if pa.types.is_map(type_):
        return "take the part that is the id (pandas.json_normalize)"
    if pa.types.is_fixed_size_binary(type_):
        return "write it as text (pandas: .map(bytes.hex))"
    if pa.types.is_binary(type_) or pa.types.is_large_binary(type_):
        return "decode it (pandas: .str.decode('utf-8'))"
    return "cast the column (pandas: .astype(str))"


def as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Strings of any width as string; whole numbers and bools, as codes of events are, as they are written."""
    column = decoded(column)
    is_code = pa.types.is_integer(column.type) or pa.types.is_boolean(column.type)
    if is_code or is_text(column.type) or pa.types.is_null(column.type):
        return _cast(column, pa.string(), "shorten it")
    raise TableError(f"is {_named(column)}; names of events are wanted here: cast the column (pandas: .astype(str))")


def as_numbers(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Ratings or weights as float32; NaN becomes null, infinities stay for the caller to count."""
    column = decoded(column)
    if is_text(column.type):
        column = _parsed(
            with_points(_cast(column, pa.string(), "give numbers")), pa.float64(), NUMBER_LITERAL, "numbers"
        )
    if not (_is_number(column.type) or pa.types.is_decimal(column.type) or pa.types.is_null(column.type)):
        raise TableError(f"is {_named(column)}; numbers are wanted here: convert it, or leave the column out")
    wide = pc.cast(column, pa.float64(), safe=False)
    return without_nan(wide.cast(pa.float32(), safe=False))


def as_labels(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """As `as_numbers`, and false and true as 0 and 1."""
    return as_numbers(column.cast(pa.int8()) if pa.types.is_boolean(column.type) else column)


def as_seconds(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Times as int64 seconds since 1970 in UTC.

    Numbers are taken as seconds, in text too. Date-times with a zone are converted, those without one are taken as UTC,
    a date is its midnight, in text as elsewhere. Fractions of a second are cut off.
    """
    column = decoded(column)
    if is_text(column.type):
        column = _seconds_of_text(column)
    if pa.types.is_date(column.type):
        column = column.cast(pa.timestamp("ms"))
    if pa.types.is_timestamp(column.type):
        return column.cast(pa.timestamp("s", column.type.tz), safe=False).cast(pa.int64())
    if pa.types.is_decimal(column.type):
        column = column.cast(pa.float64())
    if pa.types.is_float64(column.type):
        seconds = column.to_numpy(zero_copy_only=False)
        # Far outside of any calendar, infinities too, so that the check of the range finds them.
        whole = np.clip(np.nan_to_num(seconds, nan=0), -_NEVER_S, _NEVER_S).astype(np.int64)
        return pa.chunked_array([pa.array(whole, mask=np.isnan(seconds))])
    if pa.types.is_integer(column.type) or pa.types.is_null(column.type):
        return _cast(column, pa.int64(), "give seconds since 1970 in UTC")
    wanted = "give seconds since 1970 in UTC as integers, or date-times"
    if pa.types.is_floating(column.type):
        raise TableError(f"is {column.type}; {wanted}: such floats are a minute or more off")
    raise TableError(f"is {_named(column)}; {wanted}")


def _seconds_of_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Seconds (int64 or float64) out of text that holds numbers alone, or ISO date-times alone."""
    text = _cast(column, pa.string(), "give seconds or date-times")
    distinct = pc.unique(text).drop_null()
    given = empty_as_null(pc.utf8_trim_whitespace(distinct))
    is_number = pc.match_substring_regex(given, NUMBER_LITERAL)
    dates = date_times.seconds_of_text(given)
    n_numbers, n_dates = (pc.sum(one).as_py() or 0 for one in (is_number, pc.is_valid(dates)))
    is_read = is_number if n_numbers >= n_dates else pc.is_valid(dates)
    strange = distinct.filter(pc.and_(pc.is_valid(given), pc.invert(pc.fill_null(is_read, False))))
    if len(strange):
        raise _strange_time(text, strange)
    if n_numbers >= n_dates:
        plain = pc.replace_substring_regex(given, r"^\+", "")
        are_whole = pc.all(pc.match_substring_regex(given, INTEGER_LITERAL)).as_py()
        dates = plain.cast(pa.int64() if are_whole else pa.float64())
    return pc.take(dates, pc.index_in(text, value_set=distinct))


def _strange_time(text: pa.ChunkedArray, strange: pa.Array) -> TableError:
    rows = np.flatnonzero(np.asarray(pc.fill_null(pc.is_in(text, value_set=strange), False)))
    first = text[int(rows[0])].as_py()
    found = f"is text in which {len(rows)} values are neither seconds since 1970 nor date-times like"
    remedy = "convert them, for example by pandas.to_datetime"
    if re.fullmatch(_THOUSANDS, first):
        remedy = "write numbers without signs for thousands"
    elif re.match(_AMBIGUOUS_DATE, first):
        remedy += " (day and month can change places, and only you can say which is which: format=...)"
    elif 2 * len(rows) < len(text):
        remedy += ", or empty the cells that tell no time"
    others = ", as the others are" if len(rows) < len(text) - text.null_count else ""
    return TableError(f"{found} '2021-01-03 12:02:53'{others} (first in row {rows[0]}: {shown(first)}); {remedy}")


def as_places(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """[n_rows] int64, equal values alike and higher ones higher; null where there is none.

    Numbers, date-times and text have an order; text that holds numbers alone is sorted as numbers.
    """
    column = decoded(column)
    if is_text(column.type):
        for type_, literal in ((pa.int64(), INTEGER_LITERAL), (pa.float64(), NUMBER_LITERAL)):
            try:
                column = _parsed(column, type_, literal, "numbers")
                break
            except TableError:
                continue
    if pa.types.is_floating(column.type):
        column = without_nan(column)
    is_sortable = _is_number(column.type) or pa.types.is_decimal(column.type) or pa.types.is_temporal(column.type)
    if not (is_sortable or is_text(column.type) or pa.types.is_null(column.type)):
        raise TableError(f"is {_named(column)}; an order is told by numbers, date-times or text")
    values = pc.unique(column).drop_null()
    return pc.index_in(column, value_set=values.take(pc.sort_indices(values))).cast(pa.int64())


def as_feature(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A feature as a number (int64, float32, float64), a string, or a list of strings; NaN becomes null."""
    column = decoded(column)
    if pa.types.is_integer(column.type):
        return column.cast(pa.float64() if pa.types.is_uint64(column.type) else pa.int64(), safe=False)
    if pa.types.is_decimal(column.type):
        return column.cast(pa.float64())
    if pa.types.is_float16(column.type):
        return without_nan(column.cast(pa.float32()))
    if pa.types.is_floating(column.type):
        return without_nan(column)
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        return as_seconds(column)
    if is_text(column.type) or pa.types.is_boolean(column.type) or pa.types.is_null(column.type):
        return _cast(column, pa.string(), "shorten or drop it")
    if is_list(column.type):
        values = column.type.value_type
        if is_text(values.value_type if pa.types.is_dictionary(values) else values):
            return _cast(column, pa.list_(pa.string()), "pass lists of plain strings")
    way = "cast it (pandas: .astype(str))" if isinstance(column.type, pa.BaseExtensionType) else "convert"
    raise TableError(f"is {_named(column)}; a feature is a number, a string or a list of strings: {way} or drop it")


def decoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The values themselves where `column` is encoded, by a dictionary or by the ends of runs."""
    if pa.types.is_run_end_encoded(column.type):
        column = pa.chunked_array([pc.run_end_decode(chunk) for chunk in column.chunks], column.type.value_type)
    if not pa.types.is_dictionary(column.type):
        return column
    if isinstance(column.type.value_type, pa.BaseExtensionType):  # such as intervals of pandas, which have no cast
        return pa.chunked_array([one.dictionary.take(one.indices) for one in column.chunks], column.type.value_type)
    return _cast(column, column.type.value_type, "pass the values instead of a dictionary")


def text_of(column: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """The values as plain strings where they are text of any kind, and fit; else None."""
    try:
        column = decoded(column)
        return column.cast(pa.string()) if is_text(column.type) else None
    except (TableError, pa.ArrowException):
        return None


def without_nan(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)


def is_list(type_: pa.DataType) -> bool:
    # Not list views: casting one to a list damages it, https://github.com/apache/arrow/issues/50994
    return bool(pa.types.is_list(type_) or pa.types.is_large_list(type_) or pa.types.is_fixed_size_list(type_))


def family(type_: pa.DataType) -> str:
    """What a reader calls the type: changes within a family need no note."""
    if pa.types.is_dictionary(type_):
        return family(type_.value_type)
    if is_text(type_) or pa.types.is_null(type_):
        return "string"
    if is_list(type_):
        return "list"
    return "number" if _is_number(type_) else str(type_)


def _is_number(type_: pa.DataType) -> bool:
    return bool(pa.types.is_integer(type_) or pa.types.is_floating(type_))


def _cast(column: pa.ChunkedArray, type_: pa.DataType, remedy: str) -> pa.ChunkedArray:
    try:
        return column.cast(type_)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise TableError(f"is {column.type} and does not fit {type_}; {remedy}") from error


def _parsed(column: pa.ChunkedArray, type_: pa.DataType, literal: str, wanted: str) -> pa.ChunkedArray:
    """Strings read as numbers, an empty one as null, provided that every other one is a literal."""
    text = empty_as_null(pc.utf8_trim_whitespace(_cast(column, pa.string(), f"give {wanted}")))
    fits = pc.fill_null(pc.match_substring_regex(text, literal), True).to_numpy()
    if not fits.all():
        row = int(np.argmin(fits))
        is_few = 2 * np.sum(~fits) < len(text)
        remedy = "mend them or leave them empty" if is_few else f"write {wanted}, such as 3.5"
        raise TableError(
            f"is text in which {np.sum(~fits)} values are no {wanted} (first in row {row}: "
            f"{shown(text[row].as_py())}); {remedy}"
        )
    return _cast(pc.replace_substring_regex(text, r"^\+", ""), type_, f"give {wanted}")


def _named(column: pa.ChunkedArray) -> str:
    """The type as a reader knows it; for a union, how many values there are of each type and where each begins."""
    if not pa.types.is_union(column.type):
        return printable(str(column.type), LONGEST_SHOWN)
    codes = np.concatenate([np.asarray(chunk.type_codes) for chunk in column.chunks])
    parts = []
    for field, code in zip(column.type, column.type.type_codes, strict=True):
        rows = np.flatnonzero(codes == code)
        if len(rows):
            parts.append(f"{field.name} in {len(rows)} rows (first in row {rows[0]})")
    return "a mix of types, " + " and ".join(parts)
