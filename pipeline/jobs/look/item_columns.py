"""Columns that the map of items is coloured by: of a table, or what a run keeps of them."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from belfry.dataset import columns
from belfry.dataset.errors import InputError
from belfry.dataset.features import FeatureColumns
from belfry.dataset.sources.open import read_data
from belfry.dataset.sources.reading import Reading
from belfry.dataset.sources.tabular import read_table
from belfry.dataset.validation.features.lists import as_list
from belfry.dataset.vocabulary import ItemNums, Vocabulary
from belfry.evaluation.reports.description.values import release_years
from belfry.evaluation.reports.exploration.result import Colouring

MAX_COLUMNS, MAX_LABELS = 12, 10
_MAX_NAME = 40  # signs of a column's or a label's name

Codes = npt.NDArray[np.int64]


def read_items(source: str, reading: Reading, data_folder: Path | None) -> pa.Table:
    """A table of items, or that of whatever `belfry run --data` takes.

    Raises:
        InputError: there is none, or it has no ids of items.
    """
    table = read_table(Path(source), reading) if Path(source).is_file() else read_data(source, data_folder).items
    if table is None:
        raise InputError(f"{source}: has no table of items; name one that has, or leave --items out")
    if columns.ITEM_ID not in table.column_names:
        raise InputError(f"{source}: has no column {columns.ITEM_ID!r}; say by --columns what it is called")
    return table


def colourings_of_table(table: pa.Table, ids: Vocabulary, items: ItemNums) -> Iterator[Colouring]:
    """Of each column that tells items apart, and of the years in titles.

    Args:
        items: in the order of the map.
    """
    row = _rows(table, ids)[items]
    if years := release_years(table):
        yield Colouring("year", "number", _numbers(years[1], row))
    for name in table.column_names:
        if name in (columns.ITEM_ID, columns.TITLE) or (years and name == years[0]):
            continue
        values = table[name].combine_chunks()
        if pa.types.is_integer(values.type) or pa.types.is_floating(values.type):
            numbers = np.asarray(values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), np.float64)
            yield Colouring(name[:_MAX_NAME], "number", _numbers(numbers, row))
        elif (found := _categories(values)) is not None:
            codes, labels = found
            yield Colouring(name[:_MAX_NAME], "category", _labelled(codes, row), labels)


def colourings_of_run(features: FeatureColumns, items: ItemNums) -> Iterator[Colouring]:
    """Of the features that a run keeps, which has numbers in standard deviations and no names of categories."""
    for name, values in features.numeric.items():
        yield Colouring(name[:_MAX_NAME], "number", _numbers(values.astype(np.float64), items))
    single = {name: values for name, values in features.categorical.items() if name not in features.tenths}
    for name, codes in {**single, **{name: values[:, 0] for name, values in features.multi_valued.items()}}.items():
        counts = np.bincount(codes, minlength=features.sizes[name])
        common = np.argsort(-counts[1:], kind="stable")[:MAX_LABELS] + 1
        place = np.full(len(counts), -1)
        place[common] = np.arange(len(common))
        labels = tuple(f"category {number}" for number in common.tolist())
        yield Colouring(name[:_MAX_NAME], "category", _labelled(place[codes], items), labels)


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
