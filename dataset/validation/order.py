"""Order: which of a user's events came before which, where a setting or a mere counter says so and no clock does."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from belfry.dataset import columns
from belfry.dataset.arrays import Positions
from belfry.dataset.errors import TableError
from belfry.dataset.validation import coercion
from belfry.dataset.validation.cleaning import Action, Cleaning, codes_of, nearest, where

ROWS = "rows"  # says that the rows themselves are in order
DAY_S = 86_400

_MIN_PAIRS = 20  # of neighbouring rows of a user, so that rising items are no chance
_EVERY_ROW = " in every row"
_REMEDY = "hand in seconds since 1970 in UTC (days times 86,400) or date-times (pandas.to_datetime)"
_LEFT_OUT = f"left out; {_REMEDY}, or remove it"
_TAKEN = (
    f"events are ordered by it, and what needs a clock is left out; {_REMEDY}, or say data.order=timestamp_s where it "
    "is an order"
)


_DAY_1990, _DAY_2100 = 32_874, 73_051  # as spreadsheets count them


def read_order(cleaning: Cleaning, order: str | None, on_null: Action) -> None:
    """Add a column `columns.ORDER`, the place of each row, where the order is given, or times only count.

    Such a `timestamp_s` is no clock, and is taken away.

    Args:
        cleaning: ids and times have been read.
        order: `ROWS`, or the name of a column; None for that of the times, if there are any.
        on_null: what becomes of rows without a place.
    """
    name, times = columns.TIMESTAMP_S, cleaning.columns.get(columns.TIMESTAMP_S)
    if times is not None and order == name:
        cleaning.columns[columns.ORDER] = cleaning.columns.pop(name)
        return
    if times is not None and (why := _why_no_clock(cleaning)):
        del cleaning.columns[name]
        is_order = order is None and not why.endswith(_EVERY_ROW)
        cleaning.note("counter", f"holds {why}, which is no clock: {_TAKEN if is_order else _LEFT_OUT}", name)
        if is_order:
            cleaning.columns[columns.ORDER] = times
    if order == ROWS:
        cleaning.columns[columns.ORDER] = pa.chunked_array([pa.array(np.arange(len(cleaning.table)))])
    elif order is not None:
        _read_places(cleaning, order, on_null)


def check_order(cleaning: Cleaning, order: str | None) -> None:
    """Note what speaks against the order that `read_order` found; the rows that repeat others are out already."""
    if columns.ORDER not in cleaning.columns:
        return
    rows = np.flatnonzero(cleaning.kept)
    user = codes_of(cleaning.columns[columns.USER_ID])[rows]
    place = _numbers(cleaning.columns[columns.ORDER])[rows]
    by_user = np.lexsort((place, user))
    rows, user, place = rows[by_user], user[by_user], place[by_user]
    same_user = user[1:] == user[:-1]
    tied = np.flatnonzero(same_user & (place[1:] == place[:-1])) + 1
    found, done = "that share their value with another row of their user", "the order of the rows decides between them"
    _tell(cleaning, rows[tied], found, done, columns.TIMESTAMP_S if order is None else order)
    if columns.TIMESTAMP_S in cleaning.columns:
        time = _numbers(cleaning.columns[columns.TIMESTAMP_S])[rows]
        back = np.flatnonzero(same_user & (time[1:] < time[:-1])) + 1
        found = "that are older than the row before them of their user"
        done = f"data.order={order} decides which came first, and the times stay the clock"
        _tell(cleaning, rows[back], found, done, columns.TIMESTAMP_S)
    elif order == ROWS and same_user.sum() >= _MIN_PAIRS:
        item = _numbers(coercion.as_places(cleaning.columns[columns.ITEM_ID]))[rows]
        if (item[1:] >= item[:-1])[same_user].all():
            found = "rises within every user: the rows look sorted by it, which data.order=rows takes for their order"
            remedy = "hand them in as they happened, or leave data.order out"
            cleaning.note("sorted_rows", f"{found}; {remedy}", columns.ITEM_ID)


def in_order(interactions: pa.Table) -> pa.Table:
    """The rows by their places, if they have any; of equal ones, as they came."""
    if columns.ORDER not in interactions.column_names:
        return interactions
    place = interactions[columns.ORDER].to_numpy()
    return interactions if (place[1:] >= place[:-1]).all() else interactions.take(np.argsort(place, kind="stable"))


def _why_no_clock(cleaning: Cleaning) -> str | None:
    """What the times are, where they cannot be seconds since 1970."""
    time = cleaning.of_kept(_numbers(cleaning.columns[columns.TIMESTAMP_S]))
    if not len(time) or time.min() < 0:
        return None
    if time.max() < DAY_S:
        if (time == time[0]).all():
            return f"{time[0]}{_EVERY_ROW}"
        asked = "are they days, or years?"
        if time.min() >= _DAY_1990 and time.max() < _DAY_2100:
            asked = "are they days of a spreadsheet? Those count from 1899-12-30: to_datetime(unit='D', origin=...)"
        return f"times that all lie within one day of 1970 ({time.min()} to {time.max()}: {asked})"
    if time[0] <= len(cleaning.kept) and _is_counting(time - np.flatnonzero(cleaning.kept)):
        return "the place of each row in the table"
    if columns.USER_ID in cleaning.columns and time.max() <= len(time):
        user = codes_of(cleaning.columns[columns.USER_ID])[cleaning.kept]
        order = np.lexsort((time, user))
        first = np.searchsorted(user[order], user[order])
        if _is_counting(time[order] - (np.arange(len(time)) - first)):
            return "the place of each row in the history of its user"
    return None


def _is_counting(from_place: Positions) -> bool:
    """Whether values count from 0 or from 1, by what they are above the places from 0."""
    return bool((from_place == from_place[0]).all() and from_place[0] in (0, 1))


def _read_places(cleaning: Cleaning, name: str, on_null: Action) -> None:
    there = cleaning.table.column_names
    if name not in there:
        near = nearest(name, there)
        remedy = f"did you mean data.order={near}?" if near else f"name one, or {ROWS!r} where the rows are in order"
        found = f"is named by data.order and missing; there are {', '.join(map(repr, there[:12]))}: {remedy}"
        cleaning.note("missing_column", found, name, action="error")
        return
    if not cleaning.require(name):
        return
    try:
        places = coercion.as_places(cleaning.table[name])
    except TableError as error:
        cleaning.note("unusable_column", str(error), name, action="error")
        return
    cleaning.report("bad_order", name, where(pc.is_null(places)), "has {count} nulls", on_null, "drop or fill them")
    cleaning.columns[columns.ORDER] = places


def _numbers(column: pa.ChunkedArray) -> Positions:
    """[n_rows] a null as -1."""
    return np.asarray(pc.fill_null(column, -1) if column.null_count else column, np.int64)


def _tell(cleaning: Cleaning, rows: Positions, found: str, done: str, column: str) -> None:
    """Note some rows, if there are any."""
    if len(rows):
        first = ", ".join(map(str, np.sort(rows)[:3].tolist()))
        cleaning.note("order", f"has {len(rows)} rows {found} (first in rows {first}); {done}", column)
