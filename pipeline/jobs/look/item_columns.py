"""Columns that the map of items is coloured by: of a table that is named, or of that which a run keeps."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from belfry.dataset import columns
from belfry.dataset.errors import InputError, printable
from belfry.dataset.sources.open import read_data
from belfry.dataset.sources.reading import Reading
from belfry.dataset.sources.tabular import read_table
from belfry.dataset.validation.features.lists import as_list
from belfry.dataset.vocabulary import ItemNums, Vocabulary
from belfry.evaluation.reports.description.values import release_years
from belfry.evaluation.reports.exploration.result import Colouring
from belfry.pipeline.serving.recommender import Recommender
from belfry.pipeline.serving.rules.item_columns import ITEM_COLUMNS, as_arrow, load_item_columns

MAX_COLUMNS, MAX_LABELS = 30, 10
_MAX_NAME = 40  # signs of a column's or a label's name
_MOST_NAMES = 8  # of columns without colours that are told

Codes = npt.NDArray[np.int64]


def read_items(source: str, reading: Reading, data_folder: Path | None) -> pa.Table:
    """A table of items, or that of whatever `belfry run --data` takes.

    Raises:
        InputError: there is none, or it has no ids of items.
    """
    table = (
        read_table(Path(source), reading) if Path(source).is_file() else read_data(source, data_folder, reading).items
    )
    if table is None:
        raise InputError(f"{source}: has no table of items; name one that has, or leave --items out")
    if columns.ITEM_ID not in table.column_names:
        raise InputError(f"{source}: has no column {columns.ITEM_ID!r}; say by --columns what it is called")
    return table


def items_of_run(recommender: Recommender) -> pa.Table:
    """The table of items that a run keeps, in the order of its vocabulary; numbers that are categories to it as text.

    Raises:
        ArtifactError: it is not as it was published.
    """
    kept = load_item_columns(recommender.run.root / ITEM_COLUMNS, len(recommender.items))
    features = recommender.features.items
    categories = features.categorical.keys() - features.tenths.keys()
    named = {name: as_arrow(column) for name, column in kept.items()}
    named |= {name: named[name].cast(pa.string()) for name in named.keys() & categories}
    return pa.table({columns.ITEM_ID: recommender.items.ids, columns.TITLE: recommender.titles, **named})


def colourings_of_table(table: pa.Table, ids: Vocabulary, items: ItemNums) -> tuple[list[Colouring], list[str]]:
    """Of each column that tells items apart, and of the years in titles; and the names of the other columns.

    Args:
        items: in the order of the map.
    """
    row = _rows(table, ids)[items]
    years = release_years(table)
    found = [Colouring("year", "number", _numbers(years[1], row))] if years else []
    without = []
    for name in table.column_names:
        if name in (columns.ITEM_ID, columns.TITLE) or (years and name == years[0]):
            continue
        colouring = _colouring(name[:_MAX_NAME], table[name].combine_chunks(), row)
        if colouring is None or len(found) >= MAX_COLUMNS:
            without.append(name)
        else:
            found.append(colouring)
    return found, without


def of_no_colour(names: Sequence[str]) -> str:
    """Why columns are not there to colour by, for people."""
    shown = ", ".join(printable(repr(name), _MAX_NAME) for name in names[:_MOST_NAMES])
    more = f" and {len(names) - _MOST_NAMES:,} more" if len(names) > _MOST_NAMES else ""
    return (
        f"No colours for {shown}{more}: a column that has one holds numbers or categories that some items share, and "
        f"is among the first {MAX_COLUMNS}."
    )


def titles_of_table(table: pa.Table, ids: Vocabulary) -> pa.Array | None:
    """[n_items] in the order of the vocabulary; None where there are none."""
    if columns.TITLE not in table.column_names:
        return None
    titles = table[columns.TITLE].combine_chunks().cast(pa.string())
    row = _rows(table, ids)[1:]
    return titles.take(pa.array(row, mask=row < 0))


def _rows(table: pa.Table, ids: Vocabulary) -> Codes:
    """[n_items + 1] the first row of each item in the table, -1 without one.

    Raises:
        InputError: no item of the table is in the run.
    """
    given = table[columns.ITEM_ID].combine_chunks()
    try:
        given = given.cast(ids.ids.type)
    except pa.ArrowException as error:
        raise InputError(f"--items: its ids are {given.type}, those of the run {ids.ids.type}") from error
    row = pc.fill_null(pc.index_in(ids.ids, value_set=given), -1)
    found = np.append(-1, np.asarray(row, np.int64))
    if (found < 0).all():
        raise InputError("--items: none of its ids is in the run; name the table that the run was trained with")
    return found


def _colouring(name: str, values: pa.Array, row: npt.NDArray[np.integer]) -> Colouring | None:
    """None where there is nothing to tell items apart by."""
    if pa.types.is_date(values.type) or pa.types.is_timestamp(values.type):
        values = pc.year(values)
    if pa.types.is_integer(values.type) or pa.types.is_floating(values.type):
        numbers = np.asarray(values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), np.float64)
        shown = _numbers(numbers, row)
        return Colouring(name, "number", shown) if len({*shown} - {None}) > 1 else None
    if (found := _categories(values)) is None:
        return None
    codes, labels = found
    return Colouring(name, "category", _labelled(codes, row), labels)


def _categories(values: pa.Array) -> tuple[Codes, tuple[str, ...]] | None:
    """[n_rows] place of each row's commonest value among the labels, -1 without one; None: nothing to colour by."""
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if pa.types.is_boolean(values.type):
        values = values.cast(pa.string())
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        is_list = pc.any(pc.match_substring(values, "|")).as_py()
        values = as_list(pa.chunked_array([values]), "|" if is_list else "\x00").combine_chunks()
    if not (pa.types.is_list(values.type) or pa.types.is_large_list(values.type)):
        return None
    row, flat = np.asarray(pc.list_parent_indices(values), np.int64), pc.list_flatten(values).cast(pa.string())
    row, flat = row[np.asarray(pc.is_valid(flat))], flat.drop_null()
    encoded = flat.dictionary_encode()
    counts = np.bincount(np.asarray(encoded.indices), minlength=len(encoded.dictionary))
    if len(counts) < 2 or counts.max() < 2:
        return None
    common = np.argsort(-counts, kind="stable")[:MAX_LABELS]
    place = np.full(len(counts), MAX_LABELS)
    place[common] = np.arange(len(common))
    codes = np.full(len(values), MAX_LABELS)
    np.minimum.at(codes, row, place[np.asarray(encoded.indices)])
    names = encoded.dictionary.take(pa.array(common)).to_pylist()
    return np.where(codes == MAX_LABELS, -1, codes), tuple(name[:_MAX_NAME] for name in names)


def _numbers(values: npt.NDArray[np.float64], row: npt.NDArray[np.integer]) -> tuple[float | None, ...]:
    chosen = np.where(row >= 0, values[row], np.nan)
    return tuple(float(f"{value:.5g}") if np.isfinite(value) else None for value in chosen.tolist())


def _labelled(codes: Codes, row: npt.NDArray[np.integer]) -> tuple[int | None, ...]:
    return tuple(code if code >= 0 else None for code in np.where(row >= 0, codes[row], -1).tolist())
