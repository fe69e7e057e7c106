"""Ids as callers hand them over, in whatever container: read as ids of a run, or refused.

What is the same value is converted (NumPy's and Arrow's whole numbers, text of any width). What cannot be an id of the
run is refused: the other type, as 1 and "1" are never merged; floats, whole ones too; bool; what is missing. What could
be one and is not in the run is unknown, and the caller decides what that means. Text is spelled as the tables of the
run were: blanks around it are cut off, letters composed, and words for null name nobody, as its settings say.

pandas and other libraries of frames are known by what their objects offer, and not imported.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from belfry.dataset import columns
from belfry.dataset.errors import InputError, shown
from belfry.dataset.validation import spelling
from belfry.dataset.validation.policy import DEFAULT_POLICY, Policy
from belfry.dataset.vocabulary import UNKNOWN, Id, Numbers, Vocabulary, as_arrow, as_id_type, texts_as_arrow

_INT64 = range(-(2**63), 2**63)


@dataclass(frozen=True)
class IdReader:
    """Reads ids of the users, or of the items, of one run."""

    vocabulary: Vocabulary
    run: str
    policy: Policy = DEFAULT_POLICY  # of the tables that it was trained on

    def number(self, value: object, argument: str) -> int:
        """The number of one id, 0 where it is unknown.

        Raises:
            InputError: it can be no id of the run.
        """
        number = self.vocabulary.number(value) if type(value) is int or type(value) is str else UNKNOWN
        return number or self.vocabulary.number(self.one(value, argument))

    def numbers(self, values: Iterable[Any], argument: str) -> Numbers:
        """The numbers of those that are known, in the order given.

        Raises:
            InputError: one of them can be no id of the run, or `values` is one id, or a whole table.
        """
        if isinstance(values, tuple) and not values:
            return np.zeros(0, np.int32)
        numbers = map(self.vocabulary.number, self._list(values, argument))
        return np.array([number for number in numbers if number != UNKNOWN], np.int32)

    def array(self, values: Iterable[Any], argument: str) -> pa.Array:
        """[n] all of them, in the order given and of the vocabulary's type.

        Raises:
            InputError: as in `numbers`.
        """
        if isinstance(values, pa.Array | pa.ChunkedArray):
            return self._arrow(values, argument)
        ids = self._list(values, argument)
        return as_arrow(np.array(ids, np.int64)) if self.vocabulary.is_integer else texts_as_arrow(ids)

    def one(self, value: Any, argument: str) -> Id:
        """One id as a Python value of the vocabulary's type.

        Raises:
            InputError: it can be no id of the run.
        """
        if isinstance(value, pa.Scalar):
            value = value.as_py()
        elif isinstance(value, np.ndarray) and not value.ndim:
            value = value[()]
        is_number = isinstance(value, int | np.integer) and not isinstance(value, bool | np.timedelta64)
        if self.vocabulary.is_integer and is_number:
            if int(value) in _INT64:
                return int(value)
            self._refuse(value, argument, "beyond 64 bits")
        if not self.vocabulary.is_integer and isinstance(value, str):
            if not _are_written([value]):
                self._refuse(value, argument, "no Unicode text")
            text: str = self._spelled(texts_as_arrow([value]), argument)[0].as_py()
            return text
        self._refuse(value, argument, "missing" if is_missing(value) else type(value).__name__)

    def parse(self, text: str) -> Id:
        """An id typed on a command line, by the rule of a column of a CSV file: no zeros in front, no plus.

        Raises:
            InputError: `text` is none of this run.
        """
        if not self.vocabulary.is_integer:
            return self.one(text, "id")
        digits = text.strip(spelling.BLANKS) if self._mends else text
        if not re.fullmatch(spelling.INTEGER, digits, re.ASCII) or int(digits) not in _INT64:
            raise InputError(
                f"id {shown(text)}: the ids of run {self.run} are whole numbers (int64), written as in a CSV file: "
                "digits alone, no zeros in front, no plus"
            )
        return int(digits)

    @property
    def _mends(self) -> bool:
        return self.policy.id_spelling != "keep"

    def _list(self, values: Iterable[Any], argument: str) -> list[Any]:
        """The ids as Python values of the vocabulary's type."""
        if isinstance(values, pa.Array | pa.ChunkedArray):
            ids: list[Any] = self._arrow(values, argument).to_pylist()
            return ids
        if not isinstance(values, list | tuple | set | frozenset):
            _check_is_column(values, argument)
        # `tolist` would make plain numbers of times.
        ids = values.tolist() if isinstance(values, np.ndarray) and values.dtype.kind not in "mM" else list(values)
        wanted = int if self.vocabulary.is_integer else str
        is_plain = not set(map(type, ids)) - {wanted} and (_fit(ids) if wanted is int else _are_written(ids))
        if is_plain and wanted is str:
            ids = self._spelled(texts_as_arrow(ids), argument).to_pylist()
        return ids if is_plain else [self.one(value, argument) for value in ids]

    def _arrow(self, values: pa.Array | pa.ChunkedArray, argument: str) -> pa.Array:
        ids = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
        if not len(ids):
            return self.vocabulary.ids[:0]
        if ids.null_count:
            first = ids.is_null().index(True).as_py()
            raise InputError(f"{argument}: {ids.null_count:,} ids are missing (first at place {first}); leave them out")
        try:
            found = as_id_type(ids)
        except InputError:
            found = ids
        if found.type != self.vocabulary.ids.type:
            is_text = self.vocabulary.is_integer and pa.types.is_string(found.type)
            strays = found.filter(pc.invert(spelling.fits(found, spelling.INTEGER))) if is_text else found
            self._refuse((strays if len(strays) else found)[0].as_py(), argument, str(found.type))
        return found if self.vocabulary.is_integer else self._spelled(found, argument)

    def _spelled(self, ids: pa.Array, argument: str) -> pa.Array:
        """Text as a table of the run would have it."""
        mended = spelling.mended(ids)
        is_nobody = pc.is_in(mended, value_set=texts_as_arrow(["", *self.policy.null_words]))
        if pc.any(is_nobody).as_py():
            value = ids.filter(is_nobody)[0].as_py()
            self._refuse(value, argument, "a word for null" if value.strip(spelling.BLANKS) else "empty")
        return mended if self._mends else ids

    def _refuse(self, value: object, argument: str, found: str) -> NoReturn:
        wanted = "whole numbers (int64)" if self.vocabulary.is_integer else "text (string)"
        is_nothing = found in ("missing", "empty", "a word for null")
        remedy = "leave it out" if is_nothing else "1, 1.0 and '1' are never merged: pass ids as the run was trained on"
        raise InputError(
            f"{argument}: the id {shown(value)} is {found}, those of run {self.run} are {wanted}; {remedy}"
        )


def is_missing(value: object) -> bool:
    """Whether it is what libraries put where there is no value."""
    is_nan = isinstance(value, float | np.floating) and bool(np.isnan(value))
    return is_nan or value is None or type(value).__name__ in ("NAType", "NaTType")


def _fit(numbers: list[int]) -> bool:
    return not numbers or (min(numbers) in _INT64 and max(numbers) in _INT64)


def _are_written(texts: list[str]) -> bool:
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
    return True


def _check_is_column(values: Any, argument: str) -> None:
    """Refuse one id, and what holds more than ids."""
    is_table = isinstance(values, pa.Table | pa.RecordBatch | pa.RecordBatchReader | Mapping)
    # Of the type: a lazy frame of Polars would work them out, and warn.
    if is_table or hasattr(type(values), "columns") or getattr(values, "ndim", 1) > 1:
        kind, column = type(values).__name__, columns.USER_ID if argument == "users" else columns.ITEM_ID
        raise InputError(f"{argument}: a {kind} holds more than ids; pass its column of ids, such as frame[{column!r}]")
    if values is None:
        raise InputError(f"{argument}=None: pass a list of ids, or leave it out")
    if (
        isinstance(values, str | bytes | pa.Scalar)
        or not isinstance(values, Iterable)
        or not getattr(values, "ndim", 1)
    ):
        raise InputError(f"{argument}={shown(values)} is one id; pass a list of ids")
