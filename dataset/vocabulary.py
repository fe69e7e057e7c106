"""Vocabulary: the caller's ids <-> dense numbers."""

import hashlib
from bisect import bisect_left
from collections.abc import Sequence
from operator import methodcaller
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from belfry.dataset.concurrency.cached import cached_property
from belfry.dataset.encoding.dictionary import codes_and_values, codes_as_numpy, distinct_in
from belfry.dataset.encoding.text import is_text
from belfry.dataset.errors import InputError

Id: TypeAlias = str | int
Numbers: TypeAlias = npt.NDArray[np.int32]  # of any vocabulary: users, items, titles, categories
UserNums: TypeAlias = Numbers  # numbers of users, 0 = unknown
ItemNums: TypeAlias = Numbers  # numbers of items, 0 = unknown

UNKNOWN = 0
_FEW = 64  # ids in so many of a vocabulary are searched for one by one; Arrow's table of all of them would cost more
_INT64 = range(-(2**63), 2**63)


class Vocabulary:
    """Sorted unique ids of one type (string or int64); id number i + 1 is `ids[i]`, 0 is kept for the unknown.

    Numbers rise with ids, so breaking ties by number is breaking them by id.
    """

    def __init__(self, ids: pa.Array | pa.ChunkedArray) -> None:
        """`ids` may hold duplicates in any order, but no nulls."""
        distinct = as_id_type(distinct_in(ids))
        if n_nulls := max(ids.null_count, distinct.null_count):
            raise InputError(f"vocabulary: {n_nulls} ids are null; drop those rows first")
        self.ids = pc.unique(distinct).sort()

    @classmethod
    def of_rising(cls, ids: pa.Array) -> Self | None:
        """By ids without nulls that rise already, for which no table of them is made; None where they do not."""
        vocabulary = cls.__new__(cls)
        vocabulary.ids = as_id_type(ids)
        rises = pc.all(pc.less(vocabulary.ids[:-1], vocabulary.ids[1:])).as_py()
        return vocabulary if rises in (True, None) else None  # of one id nothing is asked

    def __len__(self) -> int:
        """Count of known ids; embedding tables need one row more."""
        return len(self.ids)

    @property
    def all_numbers(self) -> Numbers:
        """[n + 1] 0 for the unknown, then that of every id."""
        return np.arange(len(self) + 1, dtype=np.int32)

    @property
    def is_integer(self) -> bool:
        return bool(pa.types.is_integer(self.ids.type))

    def numbers(self, ids: pa.Array | pa.ChunkedArray) -> Numbers:
        """[n] int32 numbers of `ids`, 0 where an id is unknown. Strings and integers never match each other."""
        if isinstance(ids, pa.ChunkedArray):
            if pa.types.is_dictionary(ids.type):
                codes, values = codes_and_values(ids)
                return np.append(self.numbers(values), np.int32(UNKNOWN))[codes_as_numpy(codes, null=-1)]
            ids = ids.combine_chunks()
        if len(ids) and not pa.types.is_null(ids.type):
            ids = as_id_type(ids)
        if ids.type != self.ids.type:
            return np.zeros(len(ids), np.int32)
        found = _positions_of_few if len(ids) * _FEW < len(self) else positions_in
        return found(ids, self.ids) + np.int32(1)

    def numbers_of(self, other: "Vocabulary") -> Numbers:
        """[n_others + 1] the number that each id of `other` has here, by its number there; 0 where it has none."""
        return np.append(np.int32(UNKNOWN), self.numbers(other.ids))

    def number(self, id_: Id) -> int:
        """Number of one id, 0 if unknown. An id of the other type is unknown, `"1"` is not `1`."""
        if isinstance(id_, bool) or not isinstance(id_, int | np.integer if self.is_integer else str):
            return UNKNOWN
        if not isinstance(id_, str):
            place = int(self._integers.searchsorted(id_)) if int(id_) in _INT64 else len(self)
        else:
            place = bisect_left(self.ids, id_, key=methodcaller("as_py"))
        return place + 1 if place < len(self) and self.ids[place].as_py() == id_ else UNKNOWN

    def take(self, numbers: npt.ArrayLike) -> pa.Array:
        """Arrow array of the ids behind `numbers`; null for 0."""
        positions = np.asarray(numbers, dtype=np.int64) - 1
        if len(positions) and positions.min() < 0:
            return self.ids.take(pa.array(positions, mask=positions < 0))
        return self.ids.take(as_arrow(positions))

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 over type and ids, in order: equal vocabularies have equal hashes, in every process."""
        digest = hashlib.sha256(str(self.ids.type).encode())
        if self.is_integer:
            digest.update(np.asarray(self.ids).tobytes())
        else:
            for id_ in self.ids.to_pylist():
                encoded = id_.encode()
                digest.update(len(encoded).to_bytes(4, "little") + encoded)
        return digest.hexdigest()

    @cached_property
    def _integers(self) -> npt.NDArray[np.int64]:
        """The ids, in the memory of Arrow."""
        return np.asarray(np.from_dlpack(self.ids), np.int64)


def as_arrow(numbers: npt.NDArray[np.number]) -> pa.Array:
    """The same numbers for Arrow, in the same memory.

    `pa.array` would do, but its first call imports pandas: a quarter of a second and 40 MiB.
    """
    memory = pa.py_buffer(np.ascontiguousarray(numbers))
    return pa.Array.from_buffers(pa.from_numpy_dtype(numbers.dtype), len(numbers), [None, memory])


def texts_as_arrow(texts: Sequence[str]) -> pa.Array:
    """The same texts for Arrow; as in `as_arrow`, without pandas."""
    encoded = [text.encode() for text in texts]
    ends = np.cumsum([0, *map(len, encoded)]).astype(np.int32)
    return pa.Array.from_buffers(pa.string(), len(texts), [None, pa.py_buffer(ends), pa.py_buffer(b"".join(encoded))])


def as_numpy(numbers: pa.ChunkedArray) -> npt.NDArray[Any]:
    """The same numbers, without nulls, for NumPy; `to_numpy` would import pandas too."""
    return np.from_dlpack(numbers.combine_chunks())


def positions_in(values: pa.Array, value_set: pa.Array) -> Numbers:
    """[n] position of each value in `value_set`, -1 where it is not there.

    Read from Arrow's memory: to fill nulls with a number, Arrow would import pandas.
    """
    found = pc.index_in(values, value_set=value_set)
    validity, data = found.buffers()
    if not len(found):
        return np.zeros(0, np.int32)
    places = slice(found.offset, found.offset + len(found))
    positions = np.frombuffer(data, np.int32)[places].copy()
    if found.null_count:
        positions[np.unpackbits(np.frombuffer(validity, np.uint8), bitorder="little")[places] == 0] = -1
    return positions


def _positions_of_few(values: pa.Array, rising: pa.Array) -> Numbers:
    """`positions_in` values that rise, by halves of them, for all values at once."""
    low, high = np.zeros(len(values), np.int64), np.full(len(values), len(rising))
    while (is_open := low < high).any():
        middle = (low + high) // 2
        is_below = _flags(pc.less(rising.take(as_arrow(np.minimum(middle, len(rising) - 1))), values))
        low, high = np.where(is_open & is_below, middle + 1, low), np.where(is_open & ~is_below, middle, high)
    place = np.minimum(low, len(rising) - 1)
    is_found = _flags(pc.equal(rising.take(as_arrow(place)), values))
    return np.where(is_found, place, -1).astype(np.int32)


def _flags(found: pa.BooleanArray) -> npt.NDArray[np.bool_]:
    """[n] in NumPy, false where it is null; read from Arrow's memory, as in `positions_in`."""
    bits = [np.unpackbits(np.frombuffer(part, np.uint8), bitorder="little") for part in found.buffers() if part]
    flags = np.logical_and.reduce(bits) if bits else np.zeros(0, np.bool_)
    return np.asarray(flags[found.offset : found.offset + len(found)], np.bool_)


def as_id_type(ids: pa.Array) -> pa.Array:
    """`ids` as int64 or string, whichever they already are.

    Raises:
        InputError: they are neither, e.g. floats, where 1.0 and 1 would be merged in silence.
    """
    if pa.types.is_dictionary(ids.type):
        ids = ids.dictionary_decode()
    if pa.types.is_integer(ids.type):
        try:
            return ids.cast(pa.int64())
        except pa.ArrowInvalid as error:
            raise InputError(f"ids of type {ids.type} do not fit int64; pass them as strings") from error
    if is_text(ids.type):
        return ids.cast(pa.string())
    raise InputError(f"ids are {ids.type}; Belfry takes strings or integers: cast the column first")
