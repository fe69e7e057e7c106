"""Ratings, release years, and the commonest values of the columns of items and users."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from belfry.dataset import columns
from belfry.dataset.errors import printable
from belfry.dataset.interactions import Interactions
from belfry.dataset.vocabulary import Vocabulary
from belfry.evaluation.reports.description.result import Bar, Point, Ratings, TopValues, Years

_MOST_RATINGS = 21  # different ones that have a bar each; of more, ranges
_MOST_VALUES = 12  # of a column
_MOST_COLUMNS = 8
_YEARS = (1800, 2100)
_IN_TITLE = r"\((?P<year>1[89]\d\d|20\d\d)\)"
_IN_TEXT = r"(?P<year>1[89]\d\d|20\d\d)"
_ENOUGH = 0.5  # of the rows must have a year

Floats = npt.NDArray[np.float64]


def ratings_of(history: Interactions) -> Ratings | None:
    """None where there are none."""
    if history.rating is None:
        return None
    is_rated = np.isfinite(history.rating)
    rating, users = history.rating[is_rated].astype(np.float64), history.user_num[is_rated]
    counts = np.bincount(users)
    means = np.bincount(users, rating)[counts > 0] / counts[counts > 0]
    return Ratings(
        n=len(rating),
        n_without=int((~is_rated).sum()),
        mean=float(rating.mean()),
        deviation=float(rating.std()),
        user_deviation=float(means.std()),
        histogram=_bars(rating),
    )


def _bars(rating: Floats) -> tuple[Bar, ...]:
    values, counts = np.unique(rating, return_counts=True)
    if len(values) <= _MOST_RATINGS:
        return tuple((f"{value:g}", int(count)) for value, count in zip(values, counts, strict=True))
    counts, edges = np.histogram(rating, 10)
    return tuple(
        (f"{low:.3g} to {high:.3g}", int(count)) for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True)
    )


def release_years(items: pa.Table | None) -> tuple[str, Floats] | None:
    """Name of the column that tells when items came out, and the year of each row, NaN where it is missing.

    A column that is called so comes first; then a year in brackets in the title.
    """
    if items is None:
        return None
    called = [name for name in items.column_names if any(word in name.lower() for word in ("year", "release", "date"))]
    for name in [*called, columns.TITLE]:
        if name not in items.column_names or name == columns.ITEM_ID:
            continue
        years = _years(items[name].combine_chunks(), _IN_TITLE if name == columns.TITLE else _IN_TEXT)
        if years is not None and len(years) and np.isfinite(years).mean() >= _ENOUGH:
            return name, years
    return None


def _years(values: pa.Array, pattern: str) -> Floats | None:
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        found = pc.struct_field(pc.extract_regex(values, pattern), "year")
        return np.asarray(found.cast(pa.float64()).to_numpy(zero_copy_only=False), np.float64)
    if pa.types.is_integer(values.type) or pa.types.is_floating(values.type):
        years = np.asarray(values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), np.float64)
        with np.errstate(invalid="ignore"):
            return np.where((years >= _YEARS[0]) & (years <= _YEARS[1]), np.floor(years), np.nan)
    return None


def years_of(items: pa.Table | None, history: Interactions) -> Years | None:
    """None where no column tells them."""
    found = release_years(items)
    if found is None or items is None:
        return None
    name, years = found
    watches = _watches_of_rows(items, columns.ITEM_ID, history.items, history.item_num)
    known = np.isfinite(years)
    year = years[known].astype(np.int64)
    return Years(
        column=name,
        n_without=int((~known).sum()),
        items=_shares(year, np.ones(len(year))),
        watches=_shares(year, watches[known]),
    )


def _shares(years: npt.NDArray[np.int64], weights: Floats) -> tuple[Point, ...]:
    first = int(years.min())
    totals = np.bincount(years - first, weights)
    shares = totals / max(totals.sum(), 1)
    return tuple((first + place, round(share, 5)) for place, share in enumerate(shares.tolist()))


def top_values(table: pa.Table | None, kind: str, history: Interactions) -> list[TopValues]:
    """Of the columns of items, or of users, that hold categories or lists of them."""
    if table is None:
        return []
    is_items = kind == "items"
    id_column, ids = (columns.ITEM_ID, history.items) if is_items else (columns.USER_ID, history.users)
    watches = _watches_of_rows(table, id_column, ids, history.item_num if is_items else history.user_num)
    found: list[TopValues] = []
    for name in table.column_names:
        if name in (id_column, columns.TITLE):
            continue
        values = table[name].combine_chunks()
        row = np.arange(len(values))
        if pa.types.is_list(values.type) or pa.types.is_large_list(values.type):
            row = np.asarray(pc.list_parent_indices(values), np.int64)
            values = pc.list_flatten(values)
        if not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
            continue
        if (of_column := _top(values, row, watches)) and len(found) < _MOST_COLUMNS:
            found.append(TopValues(kind, name, *of_column))
    return found


def _top(
    values: pa.Array, row: npt.NDArray[np.int64], watches: Floats
) -> tuple[int, dict[str, tuple[float, float]]] | None:
    """Count of the values, and the shares of the commonest; None where most rows have one of their own."""
    encoded = values.dictionary_encode()
    known = np.asarray(pc.is_valid(values))
    codes, row = np.asarray(encoded.indices.drop_null(), np.int64), row[known]
    n_values = len(encoded.dictionary)
    if n_values < 2 or n_values > max(_MOST_VALUES, len(watches) // 2):
        return None
    counts = np.bincount(codes, minlength=n_values)
    first = np.argsort(-counts, kind="stable")[:_MOST_VALUES]
    of_rows = counts[first] / max(len(watches), 1)
    of_watches = np.bincount(codes, watches[row], n_values)[first] / max(watches.sum(), 1)
    names = encoded.dictionary.take(pa.array(first)).to_pylist()
    shares = zip(of_rows.tolist(), of_watches.tolist(), strict=True)
    return n_values, {printable(name, 40): pair for name, pair in zip(names, shares, strict=True)}


def _watches_of_rows(table: pa.Table, id_column: str, ids: Vocabulary, numbers: npt.NDArray[np.int32]) -> Floats:
    """[n_rows] watches of the item, or user, of each row."""
    counts = np.bincount(numbers, minlength=len(ids) + 1).astype(np.float64)
    return counts[ids.numbers(table[id_column])]
