"""Groups: categories of items, such as genres, and kinds of users, read from the columns of their tables."""

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from belfry.dataset import columns
from belfry.dataset.vocabulary import ItemNums, Numbers, Vocabulary
from belfry.evaluation.metrics import PerUser

MAX_CATEGORIES = 50  # the largest ones; the rest counts as none
MAX_GROUPS = 12

_SPLIT = "|"


@dataclass(frozen=True)
class Categories:
    """A column of the items table with several values for an item, such as genres."""

    column: str
    labels: tuple[str, ...]
    shares: PerUser = field(repr=False)  # [n_items + 1, n_labels] of each label in an item, rows summing to 1 or 0


@dataclass(frozen=True)
class Groups:
    """Users, or items, in named groups; -1 for one in none."""

    labels: tuple[str, ...]
    code: npt.NDArray[np.int64] = field(repr=False)  # [n]


def categories_of(items: pa.Table | None, vocabulary: Vocabulary) -> Categories | None:
    """The first column of the items table with lists of strings, or strings like "Drama|Crime"; None without one.

    Args:
        items: checked.
    """
    if items is None:
        return None
    for name in items.column_names:
        if name in (columns.ITEM_ID, columns.TITLE):
            continue
        values = items[name].combine_chunks()
        if pa.types.is_string(values.type) and pc.any(pc.match_substring(values, _SPLIT)).as_py():
            values = pc.split_pattern(values, _SPLIT)
        if pa.types.is_list(values.type) and len(flat := pc.list_flatten(values)):
            return _categories(name, vocabulary.numbers(items[columns.ITEM_ID]), values, flat, len(vocabulary))
    return None


def _categories(column: str, item_num: ItemNums, values: pa.Array, flat: pa.Array, n_items: int) -> Categories:
    counts = sorted(pc.value_counts(flat).to_pylist(), key=lambda entry: (-entry["counts"], str(entry["values"])))
    labels = [entry["values"] for entry in counts if entry["values"]][:MAX_CATEGORIES]
    code = np.asarray(pc.fill_null(pc.index_in(flat, value_set=pa.array(labels, pa.string())), -1), np.int64)
    item = item_num[np.asarray(pc.list_parent_indices(values), np.int64)]
    shares = np.zeros((n_items + 1, len(labels)))
    known = (code >= 0) & (item > 0)
    shares[item[known], code[known]] = 1
    totals = shares.sum(axis=1, keepdims=True)
    return Categories(column, tuple(labels), np.divide(shares, totals, out=shares, where=totals > 0))


def groups_of_column(values: pa.Array, numbers: Numbers, n: int) -> Groups | None:
    """A column as groups of numbers 0..n: a category each, a number in quarters; None where it tells nobody apart.

    Further categories than `MAX_GROUPS` make up the group "all others".

    Args:
        values: [n_rows] strings, or integers or floats.
        numbers: [n_rows] whose value it is.
    """
    code = np.full(n + 1, -1, np.int64)
    if pa.types.is_string(values.type):
        counts = sorted(pc.value_counts(values.drop_null()).to_pylist(), key=lambda entry: -entry["counts"])
        names = [entry["values"] for entry in counts[:MAX_GROUPS]]
        found = np.asarray(pc.fill_null(pc.index_in(values, value_set=pa.array(names, pa.string())), len(names)))
        code[numbers] = np.where(np.asarray(pc.is_null(values)), -1, found)
        groups = Groups((*names, *(["all others"] if len(counts) > MAX_GROUPS else [])), code)
    elif pa.types.is_integer(values.type) or pa.types.is_floating(values.type):
        code_of_row = quarters(values.cast(pa.float64()).to_numpy(zero_copy_only=False))
        code[numbers] = code_of_row.code
        groups = Groups(code_of_row.labels, code)
    else:
        return None
    return groups if len(groups.labels) > 1 else None


def quarters(values: PerUser) -> Groups:
    """Numbers in quarters of the users, fewer where values are equal; NaN in none."""
    finite = values[np.isfinite(values)]
    edges = np.unique(np.quantile(finite, [0.25, 0.5, 0.75])) if len(finite) else np.zeros(0)
    edges = edges[edges < finite.max()] if len(finite) else edges
    code = np.where(np.isfinite(values), np.searchsorted(edges, values, side="left"), -1)
    bounds = [f"{edge:.4g}" for edge in edges]
    if not bounds:
        return Groups(("all",), code)
    inner = [f"over {low} to {high}" for low, high in pairwise(bounds)]
    return Groups((f"up to {bounds[0]}", *inner, f"over {bounds[-1]}"), code)
