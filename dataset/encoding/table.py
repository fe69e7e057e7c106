"""FeatureEncoder: how the columns of a table of users, or items, become features; kept to read later rows alike."""

import itertools
import json
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from belfry.dataset import columns
from belfry.dataset.encoding.columns import (
    CategoryEncoder,
    Encoder,
    ListEncoder,
    NumberEncoder,
    VectorEncoder,
    floats_of,
)
from belfry.dataset.features import ColumnType, FeatureColumns
from belfry.dataset.vocabulary import Numbers, Vocabulary, texts_as_arrow


@dataclass(frozen=True)
class FeatureEncoder:
    """Encoders by the names of columns."""

    encoders: dict[str, Encoder] = field(default_factory=dict)
    tenths: dict[str, str] = field(default_factory=dict)  # numeric column -> what its tenths are called
    usage: frozenset[str] = frozenset()  # columns that events make, see `FeatureColumns`

    @classmethod
    def learn(
        cls,
        table: pa.Table | None,
        *,
        id_column: str,
        text_columns: Iterable[str] = (),
        usage_columns: Iterable[str] = (),
    ) -> "FeatureEncoder":
        """From a checked table, by type.

        A string (or bool) becomes a category, a list of strings a multi-valued column. A number is standardised and, as
        a second column `<name>_bucket` (or `<name>_bucket_2`, ... where there is such a column), cut into tenths of the
        table. A text column becomes the set of its words. A vector is centred, cut to `MAX_DIMENSIONS` principal
        components, and scaled so that the mean square of its length is 1. A title that is not declared as text is a
        name for people and no feature. Categories of fewer than `MIN_COUNT` rows are unknown.

        Args:
            table: None gives no columns.
            text_columns: names of string columns to read word by word.
            usage_columns: names of columns that events make; see `FeatureColumns`.
        """
        encoders: dict[str, Encoder] = {}
        tenths: dict[str, str] = {}
        text_columns = set(text_columns)
        if table is None:
            return cls()
        taken = set(table.column_names)
        for name in table.column_names:
            values = table[name].combine_chunks()
            if name == id_column or pa.types.is_null(values.type) or not len(values):
                continue
            if name == columns.TITLE and name not in text_columns:
                continue
            learned = _learn(name, values, is_text=name in text_columns)
            if learned is not None:
                encoders[name] = learned
            if isinstance(learned, NumberEncoder):
                tenths[name] = _free_name(f"{name}_bucket", taken)
                taken.add(tenths[name])
        return cls(encoders, tenths, frozenset(usage_columns) & encoders.keys())

    def encode(self, table: pa.Table, numbers: Numbers, n: int) -> FeatureColumns:
        """The columns that were learned, row i belonging to number i; missing where a row or a column is missing.

        Args:
            table: of the types that were learned from.
            numbers: [n_rows] the number of each row, from 1 to `n`; rows of 0 are left out.
        """
        rows = _Rows.of(numbers, n)
        found = FeatureColumns()
        for name, encoder in self.encoders.items():
            values = table[name].combine_chunks() if name in table.column_names else None
            if isinstance(encoder, CategoryEncoder):
                found.categorical[name] = rows.spread(_encoded(encoder, values, len(table)))
                found.sizes[name] = encoder.size
            elif isinstance(encoder, ListEncoder):
                found.multi_valued[name] = rows.spread(_encoded(encoder, values, len(table)))
                found.sizes[name] = encoder.size
            elif isinstance(encoder, VectorEncoder):
                none = np.zeros((len(table), encoder.width), np.float32)
                found.vectors[name] = rows.spread(none if values is None else encoder.encode(values))
            else:
                raw = np.full(len(table), np.nan) if values is None else floats_of(values)
                standardised, buckets = encoder.encode(raw)
                tenths = self.tenths[name]
                found.numeric[name], found.categorical[tenths] = rows.spread(standardised), rows.spread(buckets)
                found.sizes[tenths], found.tenths[tenths] = encoder.size, name
        usage = frozenset(name for name in found.names if found.label(name) in self.usage)
        return replace(found, usage=usage)

    def fits(self, features: FeatureColumns) -> bool:
        """Whether it makes columns such as these, of the same categories and widths."""
        made = self.encode(pa.table({}), np.zeros(0, np.int32), 0)
        widths = [
            {name: values.shape[1] for name, values in (columns.multi_valued | columns.vectors).items()}
            for columns in (made, features)
        ]
        return (
            (made.names, made.sizes, made.tenths, made.usage)
            == (features.names, features.sizes, features.tenths, features.usage)
        ) and widths[0] == widths[1]

    def to_arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """As named arrays, for `write_arrays`; `from_arrays` is the way back."""
        arrays: dict[str, npt.NDArray[np.generic]] = {}
        for name, encoder in self.encoders.items():
            if isinstance(encoder, NumberEncoder):
                known = (encoder.scale, encoder.mean, encoder.deviation, encoder.lowest, encoder.highest)
                arrays[f"number/{name}"] = np.array([*known, *encoder.edges])
                arrays[f"tenths/{name}"] = _as_bytes([self.tenths[name]])
            elif isinstance(encoder, ListEncoder):
                arrays[f"{'words' if encoder.of_words else 'list'}/{name}"] = _as_bytes(encoder.categories.to_pylist())
                arrays[f"width/{name}"] = np.array(encoder.width)
            elif isinstance(encoder, VectorEncoder):
                arrays[f"vector/{name}"] = np.vstack([encoder.mean, encoder.directions.T])
            else:
                arrays[f"category/{name}"] = _as_bytes(encoder.categories.to_pylist())
        return arrays | {f"usage/{name}": np.array(True) for name in sorted(self.usage)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> "FeatureEncoder":
        """Raises ValueError or KeyError: these are none that `to_arrays` gave."""
        encoders: dict[str, Encoder] = {}
        tenths = {}
        for key, values in arrays.items():
            kind, _, name = key.partition("/")
            if kind == "number":
                scale, mean, deviation, lowest, highest, *edges = values.astype(np.float64).tolist()
                if not np.isfinite(values).all() or deviation <= 0 or lowest > highest or edges != sorted(edges):
                    raise ValueError(f"the numbers of column {name[:100]!r} cannot be")
                encoders[name] = NumberEncoder(scale, mean, deviation, lowest, highest, np.array(edges))
                (tenths[name],) = _texts_in(arrays[f"tenths/{name}"])
            elif kind == "vector":
                if values.ndim != 2 or len(values) < 2 or values.dtype != np.float64 or not np.isfinite(values).all():
                    raise ValueError(f"the directions of column {name[:100]!r} cannot be")
                encoders[name] = VectorEncoder(values[0], values[1:].T)
            elif kind in ("category", "list", "words"):
                categories = texts_as_arrow(_texts_in(values))
                if kind == "category":
                    encoders[name] = CategoryEncoder(categories)
                else:
                    encoders[name] = ListEncoder(categories, int(arrays[f"width/{name}"]), kind == "words")
        return cls(
            encoders, tenths, frozenset(key.removeprefix("usage/") for key in arrays if key.startswith("usage/"))
        )


def encode_by(
    encoder: FeatureEncoder, table: pa.Table | None, vocabulary: Vocabulary, id_column: str
) -> FeatureColumns:
    """The features of the rows of a table, in the order of `vocabulary`."""
    if table is None:
        return FeatureColumns()
    return encoder.encode(table, vocabulary.numbers(table[id_column]), len(vocabulary))


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
        spread = (
            values[self.position] if len(values) else np.zeros((len(self.position), *values.shape[1:]), values.dtype)
        )
        spread[~self.present] = 0
        return spread


def _learn(name: str, values: pa.Array, *, is_text: bool) -> Encoder | None:
    if is_text:
        return ListEncoder.learn(name, values, of_words=True)
    if pa.types.is_fixed_size_list(values.type):
        return VectorEncoder.learn(name, values)
    if pa.types.is_list(values.type) or pa.types.is_large_list(values.type):
        return ListEncoder.learn(name, values)
    if pa.types.is_integer(values.type) or pa.types.is_floating(values.type):
        return NumberEncoder.learn(name, floats_of(values))
    return CategoryEncoder.learn(name, values.cast(pa.string()))


def _encoded(encoder: CategoryEncoder | ListEncoder, values: pa.Array | None, n_rows: int) -> Numbers:
    if values is not None:
        return encoder.encode(values.cast(pa.string()) if isinstance(encoder, CategoryEncoder) else values)
    return np.zeros((n_rows, encoder.width) if isinstance(encoder, ListEncoder) else n_rows, np.int32)


def _free_name(name: str, taken: Set[str]) -> str:
    """`name`, or the first of `<name>_2`, `<name>_3`, ... that is not taken."""
    names = itertools.chain([name], (f"{name}_{number}" for number in itertools.count(2)))
    return next(free for free in names if free not in taken)


def _as_bytes(texts: list[str]) -> npt.NDArray[np.generic]:
    """Texts as an array: JSON, in which none takes the room of the longest."""
    return np.frombuffer(json.dumps(texts).encode(), np.uint8)


def _texts_in(array: npt.NDArray[Any]) -> list[str]:
    texts = json.loads(array.tobytes())
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ValueError("its categories are no texts")
    return texts
