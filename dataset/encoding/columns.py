"""How one column becomes numbers: learned from its values once, and then the same for any later ones."""

import itertools
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from belfry.dataset.vocabulary import Numbers, as_arrow, positions_in, texts_as_arrow

FloatColumn: TypeAlias = npt.NDArray[np.float32]
Floats: TypeAlias = npt.NDArray[np.float64]

MIN_COUNT = 3  # rows of a category: with fewer there is too little to learn from
N_BUCKETS = 10  # of a numeric column
MAX_VALUES = 32  # of one multi-valued cell
MAX_DIMENSIONS = 64  # of a vector
MAX_RADIUS = 10.0  # of a vector whose mean square is 1: farther out lies what training says nothing of

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CategoryEncoder:
    """One category in a cell; 0 where it is missing, or none of those that were learned."""

    categories: pa.Array  # strings, sorted; category number i + 1 is `categories[i]`

    @classmethod
    def learn(cls, name: str, values: pa.Array) -> Self | None:
        """None where the column tells no rows apart."""
        categories = _frequent(values)
        if len(categories) < 2:
            log.info("feature column %r tells no rows apart and is left out", name)
            return None
        learned = cls(categories)
        _log_unknown(name, values.null_count, int((learned.encode(values) == 0).sum()) - values.null_count)
        return learned

    @property
    def size(self) -> int:
        """Rows that an embedding needs."""
        return len(self.categories) + 1

    def encode(self, values: pa.Array) -> Numbers:
        """[n] numbers of strings."""
        return positions_in(values, self.categories) + np.int32(1)

    def unknown(self, values: pa.Array) -> pa.Array:
        """The strings, each once, that are no category."""
        return _others(values, self.categories)


@dataclass(frozen=True)
class ListEncoder:
    """Several categories in a cell, those that were learned, in their order; or the words of a text."""

    categories: pa.Array
    width: int  # numbers of a cell, at most
    of_words: bool = False

    @classmethod
    def learn(cls, name: str, values: pa.Array, *, of_words: bool = False) -> Self | None:
        """None where the column tells no rows apart; `values` are lists, or texts."""
        lists = words_of(values) if of_words else values
        flat = pc.list_flatten(lists).cast(pa.string())
        categories = _frequent(flat)
        if not len(categories):
            log.info("feature column %r tells no rows apart and is left out", name)
            return None
        numbers = positions_in(flat, categories)
        _log_unknown(name, lists.null_count, int((numbers < 0).sum()) - flat.null_count)
        parents = _plain(pc.list_parent_indices(lists))[numbers >= 0]
        return cls(categories, min(int(np.bincount(parents).max()), MAX_VALUES), of_words)

    @property
    def size(self) -> int:
        return len(self.categories) + 1

    def encode(self, values: pa.Array) -> Numbers:
        """[n, width] numbers of lists of strings, or of texts, padded with 0."""
        lists = words_of(values) if self.of_words else values
        numbers = positions_in(pc.list_flatten(lists).cast(pa.string()), self.categories) + np.int32(1)
        parents = _plain(pc.list_parent_indices(lists))[numbers > 0]
        numbers = numbers[numbers > 0]
        counts = np.bincount(parents, minlength=len(lists))
        slots = np.arange(len(parents)) - np.repeat(np.cumsum(counts) - counts, counts)
        kept = slots < self.width
        padded = np.zeros((len(lists), self.width), np.int32)
        padded[parents[kept], slots[kept]] = numbers[kept]
        return padded

    def unknown(self, values: pa.Array) -> pa.Array:
        """As of `CategoryEncoder`; words are not told."""
        return values[:0] if self.of_words else _others(pc.list_flatten(values), self.categories)


@dataclass(frozen=True)
class NumberEncoder:
    """A quantity, standardised, and cut into tenths; one beyond those that were learned is taken for the nearest."""

    scale: float  # before all else: a power of two, for numbers whose squares no float64 holds; else 1
    mean: float
    deviation: float
    lowest: float
    highest: float
    edges: Floats  # [n_edges] between the tenths

    @classmethod
    def learn(cls, name: str, raw: Floats) -> Self | None:
        """None where the column tells no rows apart."""
        finite = np.isfinite(raw)
        if len(np.unique(raw[finite])) < 2:
            log.info("feature column %r tells no rows apart and is left out", name)
            return None
        if n_missing := int((~finite).sum()):
            log.info("feature column %r: %d missing or infinite values count as the mean", name, n_missing)
        scale = 1.0
        with np.errstate(over="ignore", invalid="ignore"):
            deviation = raw[finite].std()
            if not 0 < deviation < np.inf:  # squares at the limits of float64; powers of two change no other digit
                scale = 2.0**900 if deviation == 0 else 2.0**-600
        known = raw[finite] * scale
        if not known.std():
            return None
        edges = np.unique(np.quantile(known, np.linspace(0, 1, N_BUCKETS + 1)[1:-1]))
        return cls(scale, float(known.mean()), float(known.std()), float(known.min()), float(known.max()), edges)

    @property
    def size(self) -> int:
        """Of its tenths."""
        return len(self.edges) + 2

    def encode(self, raw: Floats) -> tuple[FloatColumn, Numbers]:
        """[n] standardised, and [n] number of the tenth; both 0 where a number is missing or infinite."""
        finite = np.isfinite(raw)
        known = np.clip(np.where(finite, raw, 0) * self.scale, self.lowest, self.highest)
        standardised = np.where(finite, (known - self.mean) / self.deviation, 0).astype(np.float32)
        tenths = np.where(finite, np.searchsorted(self.edges, known, side="right") + 1, 0).astype(np.int32)
        return standardised, tenths


@dataclass(frozen=True)
class VectorEncoder:
    """A vector, centred, cut to principal components, and scaled so that the mean square of its length is 1."""

    mean: Floats  # [length]
    directions: Floats  # [length, width]

    @classmethod
    def learn(cls, name: str, values: pa.FixedSizeListArray) -> Self | None:
        """None where the column tells no rows apart."""
        _, given = _vectors(values)
        mean = given.mean(axis=0) if len(given) else np.zeros(given.shape[1])
        largest = np.abs(given - mean).max(initial=0)
        if not largest > 0:
            log.info("feature column %r tells no rows apart and is left out", name)
            return None
        centred, directions = (given - mean) / largest, np.eye(given.shape[1])
        if given.shape[1] > MAX_DIMENSIONS:
            _, found = np.linalg.eigh(centred.T @ centred)
            found = found[:, : -MAX_DIMENSIONS - 1 : -1]
            directions = found * np.sign(found[np.abs(found).argmax(axis=0), np.arange(MAX_DIMENSIONS)])
        length = np.sqrt(((centred @ directions) ** 2).sum(axis=1).mean())
        return cls(mean, directions / (largest * length))

    @property
    def length(self) -> int:
        """Of the vectors that it reads."""
        return len(self.mean)

    @property
    def width(self) -> int:
        return len(self.directions.T)

    def encode(self, values: pa.FixedSizeListArray) -> FloatColumn:
        """[n, width]; zeros where there is none. One that is longer than `MAX_RADIUS` is shortened to that."""
        valid, given = _vectors(values)
        encoded = np.zeros((len(values), self.width), np.float32)
        found = (given - self.mean) @ self.directions
        radius = np.sqrt((found**2).sum(axis=1, keepdims=True))
        encoded[valid] = found * (MAX_RADIUS / np.maximum(radius, MAX_RADIUS))
        return encoded


Encoder: TypeAlias = CategoryEncoder | ListEncoder | NumberEncoder | VectorEncoder


def words_of(texts: pa.Array) -> pa.Array:
    """The words of each text, each once, in small letters and sorted; none of a null."""
    words = [sorted(set(re.findall(r"\w+", (text or "").lower()))) for text in texts.to_pylist()]
    return lists_as_arrow(words)


def lists_as_arrow(lists: Sequence[Sequence[str]]) -> pa.Array:
    """Lists of texts for Arrow; as in `as_arrow`, without pandas."""
    ends = np.cumsum([0, *map(len, lists)]).astype(np.int32)
    return pa.ListArray.from_arrays(as_arrow(ends), texts_as_arrow(list(itertools.chain.from_iterable(lists))))


def floats_of(values: pa.Array) -> Floats:
    """[n] numbers as float64, NaN where one is missing; read from Arrow's memory, as in `positions_in`."""
    values = values.cast(pa.float64(), safe=False)
    validity, data = values.buffers()
    if not len(values):
        return np.zeros(0)
    places = slice(values.offset, values.offset + len(values))
    raw = np.frombuffer(data, np.float64)[places].copy()
    if values.null_count:
        raw[np.unpackbits(np.frombuffer(validity, np.uint8), bitorder="little")[places] == 0] = np.nan
    return raw


def _vectors(values: pa.FixedSizeListArray) -> tuple[npt.NDArray[np.bool_], Floats]:
    """[n] which rows have one, and [n_valid, length] those."""
    valid = values.is_valid().to_numpy(zero_copy_only=False)
    flat = pc.list_flatten(values).to_numpy(zero_copy_only=False)
    return valid, flat.reshape(-1, values.type.list_size).astype(np.float64)


def _frequent(values: pa.Array) -> pa.Array:
    counts = pc.value_counts(values.drop_null())
    return counts.field("values").filter(pc.greater_equal(counts.field("counts"), MIN_COUNT)).sort()


def _others(values: pa.Array, categories: pa.Array) -> pa.Array:
    distinct = pc.unique(values.drop_null())
    return distinct.filter(pc.invert(pc.is_in(distinct, value_set=categories)))


def _plain(numbers: pa.Array) -> npt.NDArray[np.int64]:
    """Numbers without nulls, without pandas."""
    return np.asarray(np.from_dlpack(numbers), np.int64) if len(numbers) else np.zeros(0, np.int64)


def _log_unknown(name: str, n_missing: int, n_rare: int) -> None:
    if n_missing or n_rare:
        log.info(
            "feature column %r: %d missing values and %d of categories with fewer than %d rows count as unknown",
            name,
            n_missing,
            n_rare,
            MIN_COUNT,
        )
