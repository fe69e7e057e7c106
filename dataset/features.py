"""FeatureTables: what models may know of users and items at one time: one history and nothing later."""

import itertools
import logging
import re
from collections.abc import Iterable, Set
from dataclasses import dataclass, field, replace
from typing import TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import scipy  # its parts load when they are used

from belfry.dataset import columns
from belfry.dataset.concurrency.cached import cached_property
from belfry.dataset.interactions import Interactions, Mask
from belfry.dataset.vocabulary import UNKNOWN, Numbers, Vocabulary

FloatColumn: TypeAlias = npt.NDArray[np.float32]
ColumnType = TypeVar("ColumnType", np.int32, np.float32)
Value = TypeVar("Value")
Column: TypeAlias = npt.NDArray[np.int32] | npt.NDArray[np.float32]

MIN_COUNT = 3  # rows of a category: with fewer there is too little to learn from
N_BUCKETS = 10  # of a numeric column
MAX_VALUES = 32  # of one multi-valued cell
MAX_DIMENSIONS = 64  # of a vector

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FeatureColumns:
    """Features of users (or items), row i belonging to number i; row 0 is the unknown's.

    Category 0 means unknown or missing. Numeric columns are standardised; a missing value is 0, the mean. A column
    holds content, which is known before a user (or item) has any event, or usage, which events make: a count of
    visits, the last login.
    """

    categorical: dict[str, Numbers] = field(default_factory=dict)  # name -> [n + 1] category numbers
    numeric: dict[str, FloatColumn] = field(default_factory=dict)  # name -> [n + 1]
    multi_valued: dict[str, Numbers] = field(default_factory=dict)  # name -> [n + 1, n_values], padded with 0
    sizes: dict[str, int] = field(default_factory=dict)  # rows that an embedding of a column's categories needs
    usage: frozenset[str] = frozenset()  # names of the usage columns
    tenths: dict[str, str] = field(default_factory=dict)  # categorical column -> the numeric one that it is cut from
    vectors: dict[str, FloatColumn] = field(default_factory=dict)  # name -> [n + 1, dim], zeros where there is none

    @property
    def names(self) -> tuple[str, ...]:
        """Of all columns, each once: the categorical, the numeric, the multi-valued ones, then the vectors."""
        return (*self.categorical, *self.numeric, *self.multi_valued, *self.vectors)

    def label(self, name: str) -> str:
        """What people call a column: tenths go by the name of the number that they are cut from."""
        return self.tenths.get(name, name)

    @cached_property
    def content(self) -> "FeatureColumns":
        """The content columns alone: all that is known of a user, or an item, without events."""
        if not self.usage:
            return self

        def keep(columns: dict[str, Value]) -> dict[str, Value]:
            return {name: value for name, value in columns.items() if name not in self.usage}

        kept = keep(self.categorical), keep(self.numeric), keep(self.multi_valued), keep(self.sizes)
        return FeatureColumns(*kept, tenths=keep(self.tenths), vectors=keep(self.vectors))

    def hide_usage(self, has_events: Mask) -> "FeatureColumns":
        """The same, with usage columns missing for numbers without events; `has_events` [n + 1]."""
        if not self.usage:
            return self

        def hide(columns: dict[str, npt.NDArray[ColumnType]]) -> dict[str, npt.NDArray[ColumnType]]:
            columns = dict(columns)
            for name in self.usage & columns.keys():
                columns[name] = columns[name].copy()
                columns[name][~has_events] = 0
            return columns

        hidden = hide(self.categorical), hide(self.numeric), hide(self.multi_valued)
        return FeatureColumns(*hidden, self.sizes, self.usage, self.tenths, hide(self.vectors))

    @cached_property
    def input_names(self) -> dict[str, str]:
        """What a graph calls each column: its place, for what a column is called may be no name inside a graph."""
        names = (*self.categorical, *self.numeric, *self.multi_valued)  # graphs read users, who have no vectors
        return {name: f"column_{place}" for place, name in enumerate(names)}

    def inputs(self, numbers: Numbers) -> dict[str, Column]:
        """By `input_names`, the rows of `numbers` in every column: [n], or [n, n_values] where it is multi-valued."""
        everything: dict[str, Column] = {**self.categorical, **self.numeric, **self.multi_valued}
        return {called: everything[name][numbers] for name, called in self.input_names.items()}

    @cached_property
    def matrix(self) -> "scipy.sparse.csr_matrix[np.float32]":
        """[n + 1, n_features] `categories`, each numeric column, each vector; without any column, no rows either."""
        blocks = [self.categories] if self.category_sizes else []
        blocks += [scipy.sparse.csr_matrix(values[:, np.newaxis]) for values in self.numeric.values()]
        blocks += [scipy.sparse.csr_matrix(values) for values in self.vectors.values()]
        return scipy.sparse.csr_matrix(scipy.sparse.hstack(blocks) if blocks else np.zeros((0, 0), np.float32))

    @property
    def category_sizes(self) -> list[int]:
        """How many categories, without 0, each categorical or multi-valued column has, in the order of `categories`."""
        return [self.sizes[name] - 1 for name in (*self.categorical, *self.multi_valued)]

    @cached_property
    def categories(self) -> "scipy.sparse.csr_matrix[np.float32]":
        """[n + 1, n_categories] one column for each category but 0; without any column, no rows either.

        A row holds 1 at its categories, and 1 / n at each of its n values of a multi-valued column.
        """
        blocks = []
        for name, values in (*self.categorical.items(), *self.multi_valued.items()):
            numbers = values.reshape(len(values), -1)
            row, column = np.nonzero(numbers)
            share = (1 / np.maximum((numbers > 0).sum(axis=1), 1)).astype(np.float32)
            cells = (share[row], (row, numbers[row, column] - 1))
            blocks.append(scipy.sparse.csr_matrix(cells, shape=(len(numbers), self.sizes[name] - 1)))
        return scipy.sparse.csr_matrix(scipy.sparse.hstack(blocks) if blocks else np.zeros((0, 0), np.float32))

    def to_arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """As named arrays, for `save_arrays`; `from_arrays` is the way back."""
        arrays: dict[str, npt.NDArray[np.generic]] = {}
        for kind in ("categorical", "numeric", "multi_valued", "vectors"):
            arrays |= {f"{kind}/{name}": values for name, values in getattr(self, kind).items()}
        arrays |= {f"size/{name}": np.array(size) for name, size in self.sizes.items()}
        place = {name: number for number, name in enumerate(self.numeric)}
        arrays |= {f"tenths/{name}": np.array(place[number]) for name, number in self.tenths.items()}
        return arrays | {f"usage/{name}": np.array(True) for name in sorted(self.usage)}

    @classmethod
    def from_arrays(cls, arrays: dict[str, npt.NDArray[np.generic]]) -> "FeatureColumns":
        def of_kind(kind: str) -> dict[str, npt.NDArray[np.generic]]:
            return {key.partition("/")[2]: value for key, value in arrays.items() if key.startswith(f"{kind}/")}

        numeric = of_kind("numeric")
        return cls(
            categorical=of_kind("categorical"),  # type: ignore[arg-type]
            numeric=numeric,  # type: ignore[arg-type]
            multi_valued=of_kind("multi_valued"),  # type: ignore[arg-type]
            sizes={name: int(size) for name, size in of_kind("size").items()},
            usage=frozenset(of_kind("usage")),
            tenths={name: list(numeric)[int(place)] for name, place in of_kind("tenths").items()},
            vectors=of_kind("vectors"),  # type: ignore[arg-type]
        )


@dataclass(frozen=True)
class FeatureTables:
    """One history and the features beside it: all that a model may know at one time."""

    history: Interactions
    users: FeatureColumns
    items: FeatureColumns
    titles: Numbers | None = None  # [n_items + 1] number of each item's title, for models that know items by title

    @cached_property
    def now_s(self) -> int:
        """UTC seconds of the newest event, which is the time these tables speak of; 0 without times."""
        times = self.history.timestamp_s
        return 0 if times is None or not len(times) else int(times.max())


def encode_features(
    table: pa.Table | None,
    vocabulary: Vocabulary,
    *,
    id_column: str,
    text_columns: Iterable[str] = (),
    usage_columns: Iterable[str] = (),
) -> FeatureColumns:
    """Feature columns of a checked users or items table, in the order of `vocabulary`.

    By type: a string (or bool) becomes a category, a list of strings a multi-valued column. A number is standardised
    and, as a second column `<name>_bucket` (or `<name>_bucket_2`, ... where there is such a column), cut into tenths of
    the table. A text column becomes the set of its words. A vector is centred, cut to `MAX_DIMENSIONS` principal
    components, and scaled so that the mean square of its length is 1.
    A title that is not declared as text is a name for people and no feature. Categories of fewer than `MIN_COUNT` rows
    are unknown.

    Args:
        table: None gives no columns.
        text_columns: names of string columns to read word by word.
        usage_columns: names of columns that events make; see `FeatureColumns`.
    """
    encoded = FeatureColumns()
    if table is None:
        return encoded
    text_columns, taken = set(text_columns), set(table.column_names)
    rows = _Rows.of(vocabulary.numbers(table[id_column]), len(vocabulary))
    for name in table.column_names:
        values = table[name].combine_chunks()
        if name == id_column or pa.types.is_null(values.type) or not len(values):
            continue
        if name in text_columns:
            words = [sorted(set(re.findall(r"\w+", (text or "").lower()))) for text in values.to_pylist()]
            _add_multi_valued(encoded, name, pa.array(words, pa.list_(pa.string())), rows)
        elif name == columns.TITLE:
            continue
        elif pa.types.is_fixed_size_list(values.type):
            _add_vectors(encoded, name, values, rows)
        elif pa.types.is_list(values.type) or pa.types.is_large_list(values.type):
            _add_multi_valued(encoded, name, values, rows)
        elif pa.types.is_integer(values.type) or pa.types.is_floating(values.type):
            _add_numeric(encoded, name, values, rows, taken)
        else:
            _add_categorical(encoded, name, values.cast(pa.string()), rows)
    usage = set(usage_columns)
    return replace(encoded, usage=frozenset(name for name in encoded.names if encoded.label(name) in usage))


@dataclass(frozen=True)
class _Rows:
    """Which row of a table belongs to which number."""

    position: npt.NDArray[np.int64]  # [n + 1]
    present: npt.NDArray[np.bool_]  # [n + 1]

    @classmethod
    def of(cls, numbers: Numbers, n: int) -> "_Rows":
        position, present = np.zeros(n + 1, np.int64), np.zeros(n + 1, np.bool_)
        position[numbers], present[numbers] = np.arange(len(numbers)), True
        present[0] = False
        return cls(position, present)

    def spread(self, values: npt.NDArray[ColumnType]) -> npt.NDArray[ColumnType]:
        """[n + 1, ...]: each number's row of `values`, zeros where it has none."""
        spread = values[self.position]
        spread[~self.present] = 0
        return spread


def _categories(values: pa.Array) -> pa.Array:
    counts = pc.value_counts(values.drop_null())
    return counts.field("values").filter(pc.greater_equal(counts.field("counts"), MIN_COUNT)).sort()


def _category_numbers(values: pa.Array, categories: pa.Array) -> Numbers:
    return np.asarray(pc.fill_null(pc.index_in(values, value_set=categories), -1), np.int32) + np.int32(1)


def _add_categorical(encoded: FeatureColumns, name: str, values: pa.Array, rows: "_Rows") -> None:
    categories = _categories(values)
    if len(categories) < 2:
        log.info("feature column %r tells no rows apart and is left out", name)
        return
    numbers = _category_numbers(values, categories)
    _log_unknown(name, values.null_count, int((numbers == UNKNOWN).sum()) - values.null_count)
    encoded.categorical[name] = rows.spread(numbers)
    encoded.sizes[name] = len(categories) + 1


def _add_multi_valued(encoded: FeatureColumns, name: str, values: pa.Array, rows: "_Rows") -> None:
    flat = pc.list_flatten(values).cast(pa.string())
    categories = _categories(flat)
    if not len(categories):
        log.info("feature column %r tells no rows apart and is left out", name)
        return
    numbers = _category_numbers(flat, categories)
    _log_unknown(name, values.null_count, int((numbers == UNKNOWN).sum()) - flat.null_count)
    parents = np.asarray(pc.list_parent_indices(values), np.int64)[numbers > 0]
    numbers = numbers[numbers > 0]
    counts = np.bincount(parents, minlength=len(values))
    slots = np.arange(len(parents)) - np.repeat(np.cumsum(counts) - counts, counts)
    width = min(int(counts.max()), MAX_VALUES)
    kept = slots < width
    padded = np.zeros((len(values), width), np.int32)
    padded[parents[kept], slots[kept]] = numbers[kept]
    encoded.multi_valued[name] = rows.spread(padded)
    encoded.sizes[name] = len(categories) + 1


def _log_unknown(name: str, n_missing: int, n_rare: int) -> None:
    if n_missing or n_rare:
        log.info(
            "feature column %r: %d missing values and %d of categories with fewer than %d rows count as unknown",
            name,
            n_missing,
            n_rare,
            MIN_COUNT,
        )


def _add_numeric(encoded: FeatureColumns, name: str, values: pa.Array, rows: "_Rows", taken: set[str]) -> None:
    raw = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    finite = np.isfinite(raw)
    if len(np.unique(raw[finite])) < 2:
        log.info("feature column %r tells no rows apart and is left out", name)
        return
    if n_missing := int((~finite).sum()):
        log.info("feature column %r: %d missing or infinite values count as the mean", name, n_missing)
    with np.errstate(over="ignore", invalid="ignore"):
        deviation = raw[finite].std()
        if not 0 < deviation < np.inf:  # squares at the limits of float64; powers of two change no other digit
            raw = raw * (2.0**900 if deviation == 0 else 2.0**-600)
    mean, deviation = raw[finite].mean(), raw[finite].std()
    if not deviation:
        return
    encoded.numeric[name] = rows.spread(np.where(finite, (raw - mean) / deviation, 0).astype(np.float32))
    edges = np.unique(np.quantile(raw[finite], np.linspace(0, 1, N_BUCKETS + 1)[1:-1]))
    buckets = np.where(finite, np.searchsorted(edges, raw, side="right") + 1, 0)
    tenths = _free_name(f"{name}_bucket", taken)
    taken.add(tenths)
    encoded.tenths[tenths] = name
    encoded.categorical[tenths] = rows.spread(buckets.astype(np.int32))
    encoded.sizes[tenths] = len(edges) + 2


def _add_vectors(encoded: FeatureColumns, name: str, values: pa.FixedSizeListArray, rows: "_Rows") -> None:
    valid = values.is_valid().to_numpy(zero_copy_only=False)
    given = pc.list_flatten(values).to_numpy().reshape(-1, values.type.list_size).astype(np.float64)
    centred = given - given.mean(axis=0) if len(given) else given
    largest = np.abs(centred).max(initial=0)
    if not largest > 0:
        log.info("feature column %r tells no rows apart and is left out", name)
        return
    centred /= largest
    if centred.shape[1] > MAX_DIMENSIONS:
        _, directions = np.linalg.eigh(centred.T @ centred)
        directions = directions[:, : -MAX_DIMENSIONS - 1 : -1]
        centred = centred @ (
            directions * np.sign(directions[np.abs(directions).argmax(axis=0), np.arange(MAX_DIMENSIONS)])
        )
    centred /= np.sqrt((centred**2).sum(axis=1).mean())
    table = np.zeros((len(values), centred.shape[1]), np.float32)
    table[valid] = centred
    encoded.vectors[name] = rows.spread(table)


def _free_name(name: str, taken: Set[str]) -> str:
    """`name`, or the first of `<name>_2`, `<name>_3`, ... that is not taken."""
    names = itertools.chain([name], (f"{name}_{number}" for number in itertools.count(2)))
    return next(free for free in names if free not in taken)
