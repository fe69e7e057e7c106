"""Newcomers: users whose features come with the call, read as those of training were.

A value is read by what its column was in training, and never changes what was learned: a category that training did not
know, or knew in fewer than three rows, is unknown; a number beyond those of training is taken for the nearest of them;
a list keeps as many values as the longest list of training had; a column that is not given is missing.
"""

import datetime
import decimal
import logging
import math
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa

from belfry.dataset import columns
from belfry.dataset.encoding.columns import (
    CategoryEncoder,
    ListEncoder,
    NumberEncoder,
    VectorEncoder,
    lists_as_arrow,
)
from belfry.dataset.encoding.table import FeatureEncoder
from belfry.dataset.errors import InputError, shown
from belfry.dataset.features import FeatureColumns
from belfry.dataset.validation.cleaning import Cleaning, nearest
from belfry.dataset.validation.number_text import NUMBER_LITERAL
from belfry.dataset.validation.policy import Policy
from belfry.dataset.vocabulary import Vocabulary, as_arrow, texts_as_arrow
from belfry.pipeline.serving.ids import is_missing
from belfry.pipeline.serving.users.vectors import vector_cell

N_NAMED = 12  # columns, or values, in a message
ONE = np.ones(1, np.int32)  # the number of a row that stands alone

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Newcomers:
    """Users whom no run knows, and what is known of them."""

    users: Vocabulary
    columns: FeatureColumns


@dataclass(frozen=True)
class FeatureReader:
    """Reads features of users as training read those of one run."""

    encoder: FeatureEncoder
    policy: Policy  # of the tables that it was trained on
    run: str

    def one(self, given: Mapping[str, object]) -> FeatureColumns:
        """Those of one user, in row 1.

        Raises:
            InputError: a column is none of the run, or a value is none that the column could hold.
        """
        self._check_names(given)
        read = {name: self._value(name, value) for name, value in given.items() if not is_missing(value)}
        found = self.encoder.encode(pa.table(read) if read else pa.table({"": as_arrow(ONE)}), ONE, 1)
        for name in read:
            encoder = self.encoder.encoders[name]
            if isinstance(encoder, CategoryEncoder | ListEncoder):
                self._tell_unknown(name, encoder, read[name])
        return found

    def newcomers(self, table: pa.Table, ids: pa.Array) -> Newcomers:
        """The users of a table, and their features; columns that are none are named in the log.

        Args:
            ids: [n_rows] of the rows, as the run would have them.

        Raises:
            TableError: a column holds other values than in training.
        """
        from belfry.dataset.validation.features.read import read_as  # rules for columns: not needed for one user

        unused = [name for name in table.column_names if name not in (*self.encoder.encoders, columns.USER_ID)]
        if unused:
            log.warning("note: users: columns that run %s does not read: %s", self.run, listed(unused))
        cleaning = Cleaning("users", table, [], can_set=False)
        read_as(cleaning, self.encoder.encoders, self.policy)
        cleaning.raise_errors()
        for finding in cleaning.findings:
            log.warning("note: %s", finding)
        for name, encoder in self.encoder.encoders.items():
            if name in cleaning.columns and isinstance(encoder, CategoryEncoder | ListEncoder):
                self._tell_unknown(name, encoder, cleaning.columns[name].combine_chunks())
        users = Vocabulary(ids)
        rows = pa.table({**cleaning.columns, columns.USER_ID: ids})
        return Newcomers(users, self.encoder.encode(rows, users.numbers(ids), len(users)))

    def _check_names(self, names: Mapping[str, object]) -> None:
        if not isinstance(names, Mapping):
            raise InputError(f"features={shown(names)}: wanted names and values, such as {{'age': 31}}")
        known = list(self.encoder.encoders)
        for name in names:
            if name not in known:
                there = f"there are {listed(known)}" if known else "its users have none"
                near = nearest(name, known) if isinstance(name, str) else None
                hint = f"; did you mean {near!r}?" if near else ""
                raise InputError(f"features: run {self.run} reads no column {shown(name)} of users, {there}{hint}")

    def _value(self, name: str, value: Any) -> pa.Array:
        """A column of one row, of the type that the encoder reads."""
        encoder = self.encoder.encoders[name]
        if isinstance(value, np.datetime64):
            value = value.astype("datetime64[s]")  # finer ones would become numbers
        value = value.item() if isinstance(value, np.generic) else value
        if isinstance(encoder, NumberEncoder):
            return as_arrow(np.array([self._number(name, value)]))
        if isinstance(encoder, VectorEncoder):
            return self._vector(name, value, encoder.length)
        if isinstance(encoder, CategoryEncoder) or encoder.of_words:
            return texts_as_arrow([self._text(name, value, "one category or text")])
        if isinstance(value, str):
            from belfry.dataset.validation.features.lists import as_list

            cell = pa.chunked_array([texts_as_arrow([value])])
            return as_list(cell, self.policy.delimiters.get(name)).combine_chunks()
        if not isinstance(value, list | tuple | set | frozenset | np.ndarray):
            self._refuse(name, value, "a list of categories")
        return lists_as_arrow([[self._text(name, one, "a list of categories") for one in value]])

    def _number(self, name: str, value: Any) -> float:
        if isinstance(value, decimal.Decimal) or (isinstance(value, str) and re.fullmatch(NUMBER_LITERAL, value)):
            value = float(value)
        if isinstance(value, str):
            with suppress(ValueError):
                value = datetime.datetime.fromisoformat(value)
        if isinstance(value, datetime.date):
            zone = datetime.UTC if not isinstance(value, datetime.datetime) else value.tzinfo or datetime.UTC
            value = datetime.datetime.combine(value, getattr(value, "time", datetime.time)(), zone).timestamp() // 1
        if isinstance(value, int):
            value = float(value) if abs(value) < sys.float_info.max else math.inf
        if not isinstance(value, float) or not math.isfinite(value):
            self._refuse(name, value, "a number")
        return value

    def _vector(self, name: str, value: Any, length: int) -> pa.Array:
        try:
            return vector_cell(value, length)
        except ValueError as error:
            self._refuse(name, value, f"vectors of {length} finite numbers, not all 0", f"none: {error}")

    def _text(self, name: str, value: Any, wanted: str) -> str:
        """As a table of training would spell it."""
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, str | int):
            self._refuse(name, value, wanted)
        try:
            str(value).encode()
        except UnicodeEncodeError:  # half of a surrogate pair
            self._refuse(name, value, "Unicode text")
        return str(value)

    def _tell_unknown(self, name: str, encoder: CategoryEncoder | ListEncoder, values: pa.Array) -> None:
        unknown = encoder.unknown(values)
        if len(unknown):
            told = listed(unknown.to_pylist())
            log.warning("note: features: column %s of run %s knows no %s; read as unknown", shown(name), self.run, told)

    def _refuse(self, name: str, value: object, wanted: str, found: str = "none") -> NoReturn:
        raise InputError(f"features: column {shown(name)} of run {self.run} holds {wanted}, {shown(value)} is {found}")


def listed(names: list[Any]) -> str:
    more = f" and {len(names) - N_NAMED:,} more" if len(names) > N_NAMED else ""
    return ", ".join(map(shown, names[:N_NAMED])) + more
