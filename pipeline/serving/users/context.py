"""The context that a list is asked for in: values of a call, or columns of a table of users, by those of training."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from belfry.dataset import columns
from belfry.dataset.encoding.context import CLOCK, ContextColumn, ContextNumbers, clock_number
from belfry.dataset.errors import BelfryError, InputError, shown
from belfry.dataset.vocabulary import Vocabulary, as_arrow, positions_in, texts_as_arrow
from belfry.pipeline.serving.ids import is_missing
from belfry.pipeline.serving.users.newcomers import listed

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class UserContexts:
    """The context in which lists are asked for."""

    numbers: ContextNumbers  # [n_users + 1] by column; [1] where it is the same for all
    users: Vocabulary | None = None  # None where it is the same for all

    def of(self, ids: pa.Array) -> ContextNumbers:
        """[n] those of some users, or [1]."""
        if self.users is None:
            return self.numbers
        rows = self.users.numbers(ids)
        return {name: values if len(values) == 1 else values[rows] for name, values in self.numbers.items()}


@dataclass(frozen=True)
class ContextReader:
    """Reads contexts by the columns of one run."""

    known: Mapping[str, ContextColumn]
    counts: tuple[str, ...]  # columns that move its lists
    run: str

    @property
    def names(self) -> tuple[str, ...]:
        """That may be asked for."""
        clock = [name for name in self.known if name in CLOCK]
        return (*self.known, *([columns.TIMESTAMP_S] if clock else []))

    def one(self, given: Mapping[str, object]) -> ContextNumbers:
        """[1] by each column; 0 where the context does not say.

        Raises:
            InputError: a column is none of the run, or a value is none that a column could hold.
        """
        if not isinstance(given, Mapping):
            raise InputError(f"context={shown(given)}: wanted names and values, such as {{'device': 'tv'}}")
        self._check(given)
        if columns.TIMESTAMP_S in given and (twice := [name for name in given if name in CLOCK]):
            raise InputError(f"context: {columns.TIMESTAMP_S!r} says what {twice[0]!r} is; leave one of them out")
        read = {name: _column(name, value) for name, value in given.items() if not is_missing(value)}
        return self._numbers(read, 1)

    def of_all(self, given: Mapping[str, object] | None) -> UserContexts | None:
        """The same context for everybody; raises as `one`."""
        return None if given is None else UserContexts(self.one(given))

    def of_table(self, table: pa.Table, ids: pa.Array, given: Mapping[str, object] | None) -> UserContexts | None:
        """What each row says of its user's context, before what is `given` for all; None where neither says anything.

        Args:
            ids: [n_rows] of the users, each once.

        Raises:
            InputError: as `one`.
        """
        of_all, there = self.of_all(given), [name for name in table.column_names if name in self.names]
        if not there:
            return of_all
        users = Vocabulary(ids)
        read, rows = self._numbers({name: table[name] for name in there}, len(table)), users.numbers(ids)
        numbers = {name: np.zeros(len(users) + 1, np.int32) for name in read}
        for name, values in numbers.items():
            values[rows] = read[name]
            if of_all is not None:
                values[values == 0] = of_all.numbers[name][0]
        return UserContexts(numbers, users)

    def _check(self, given: Mapping[str, object]) -> None:
        for name in given:
            if name not in self.names:
                there = f"there are {listed(list(self.names))}" if self.known else "it was trained without any"
                raise InputError(
                    f"context: run {self.run} reads no column {shown(name)} of events, {there}; train with "
                    "data.context_columns to have it"
                )

    def _numbers(self, read: Mapping[str, pa.ChunkedArray], n: int) -> ContextNumbers:
        numbers = {name: np.zeros(n, np.int32) for name in self.known}
        for name, values in read.items():
            if name == columns.TIMESTAMP_S:
                seconds = _seconds(values)
                numbers |= {clock: clock_number(clock, seconds) for clock in self.known if clock in CLOCK}
            else:
                numbers[name] = self._numbers_of(name, values)
        unused = [name for name in read if not {*self.counts} & {*(CLOCK if name == columns.TIMESTAMP_S else (name,))}]
        if unused:
            log.warning("note: context: %s was not learned in training, and changes nothing here", listed(unused))
        return numbers

    def _numbers_of(self, name: str, values: pa.ChunkedArray) -> np.ndarray:
        from belfry.dataset.validation.features.context import as_context  # rules for columns: not for each load

        try:
            texts = as_context(values).combine_chunks()
        except (BelfryError, pa.ArrowException) as error:
            raise InputError(f"context: column {shown(name)} {error}") from error
        numbers = positions_in(texts, texts_as_arrow(self.known[name].values)) + np.int32(1)
        unknown = texts.filter(as_arrow((numbers == 0).astype(np.int8)).cast(pa.bool_())).drop_null().unique()
        if len(unknown):
            told = listed(unknown.to_pylist())
            log.warning("note: context: %s of run %s knows no %s; taken for absent", shown(name), self.run, told)
        return numbers


def _column(name: str, value: Any) -> pa.ChunkedArray:
    """One value as a column."""
    if isinstance(value, np.datetime64):
        value = value.astype("datetime64[s]")
    elif isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool):
        value = str(value).lower()
    if isinstance(value, str):
        return pa.chunked_array([texts_as_arrow([value])])
    if isinstance(value, int | float) and np.array(value).dtype.kind in "if":
        return pa.chunked_array([as_arrow(np.array([value]))])  # `pa.array` would import pandas
    if isinstance(value, list | tuple | set | dict):
        raise InputError(f"context: column {shown(name)} holds one value, {shown(value)} is none")
    try:
        return pa.chunked_array([pa.array([value])])
    except (pa.ArrowException, OverflowError, ValueError) as error:
        raise InputError(f"context: column {shown(name)} holds one value, {shown(value)} is none") from error


def _seconds(values: pa.ChunkedArray) -> np.ndarray:
    """[n] whole seconds.

    Raises:
        InputError: a value is no time.
    """
    from belfry.dataset.validation.coercion import as_seconds
    from belfry.dataset.validation.times import YEAR_2200_S

    try:
        seconds = as_seconds(values)
    except (BelfryError, pa.ArrowException) as error:
        raise InputError(f"context: column {columns.TIMESTAMP_S!r} {error}") from error
    if seconds.null_count:
        raise InputError(f"context: column {columns.TIMESTAMP_S!r} has {seconds.null_count} nulls; fill them")
    found = np.asarray(seconds.to_numpy(), np.int64)
    if n_out := np.count_nonzero((found < 0) | (found >= YEAR_2200_S)):
        raise InputError(
            f"context: column {columns.TIMESTAMP_S!r} has {n_out} times before 1970 or after the year 2199; give "
            "seconds since 1970 in UTC (milliseconds divided by 1000), or date-times"
        )
    return found
