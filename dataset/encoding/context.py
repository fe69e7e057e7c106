"""Context: what was known when an event happened, such as device, place or hour of the day; a number for each value."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from belfry.dataset import columns
from belfry.dataset.vocabulary import Numbers, positions_in, texts_as_arrow

HOUR, WEEKDAY = "hour", "weekday"
# Columns that are made of the times of events, in UTC, and their values.
CLOCK: Mapping[str, tuple[str, ...]] = {
    HOUR: tuple(map(str, range(24))),
    WEEKDAY: ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"),
}
MAX_VALUES = 100  # of a column: what is rarer is absent
_HOUR_S, _DAY_S = 3_600, 86_400

ContextNumbers: TypeAlias = Mapping[str, Numbers]  # by name of the column: [n], or [1] for all; 0 where absent


@dataclass(frozen=True)
class ContextColumn:
    """One column of a history; value number i + 1 is `values[i]`, 0 stands for what is absent or unknown."""

    values: tuple[str, ...]
    numbers: Numbers  # [n_events]

    def select(self, rows: npt.NDArray[np.bool_] | npt.NDArray[np.int64]) -> "ContextColumn":
        return ContextColumn(self.values, self.numbers[rows])

    def followed_by(self, numbers: Numbers) -> "ContextColumn":
        """The same, and the events of these `numbers` behind."""
        return ContextColumn(self.values, np.append(self.numbers, numbers).astype(np.int32))

    def to_arrow(self) -> pa.Array:
        """[n_events] texts; null where absent."""
        place = pa.array(self.numbers.astype(np.int64) - 1, mask=self.numbers == 0)
        return texts_as_arrow(self.values).take(place)


def learn_context(events: pa.Table, names: Sequence[str], tell: Callable[[str], object]) -> dict[str, ContextColumn]:
    """Columns of checked events, with the values that they hold; of many, the `MAX_VALUES` most frequent.

    Args:
        tell: is handed what was found in words, a note at a time.
    """
    found = {}
    for name in names:
        values = CLOCK[name] if name in CLOCK else _frequent(name, events[name], tell)
        found[name] = ContextColumn(values, _numbers(name, values, events))
    return found


def read_context(events: pa.Table, known: Mapping[str, Sequence[str]]) -> dict[str, ContextColumn]:
    """Columns of later events, by the values that are `known`; absent in all where there is no such column."""
    return {name: ContextColumn(tuple(values), _numbers(name, values, events)) for name, values in known.items()}


def clock_number(name: str, timestamp_s: npt.NDArray[np.int64]) -> Numbers:
    """[n] the hour or the weekday of each time, by its number."""
    number = timestamp_s // _HOUR_S % 24 if name == HOUR else (timestamp_s // _DAY_S + 3) % 7  # 1970 began a thursday
    return np.asarray(number + 1, np.int32)


def _numbers(name: str, values: Sequence[str], events: pa.Table) -> Numbers:
    if name in CLOCK and columns.TIMESTAMP_S in events.column_names:
        return clock_number(name, events[columns.TIMESTAMP_S].to_numpy().astype(np.int64))
    if name in CLOCK or name not in events.column_names:
        return np.zeros(len(events), np.int32)
    return positions_in(events[name].combine_chunks(), texts_as_arrow(values)) + np.int32(1)


def _frequent(name: str, column: pa.ChunkedArray, tell: Callable[[str], object]) -> tuple[str, ...]:
    counted = pc.value_counts(column.drop_null()).to_pylist()
    by_count = sorted(counted, key=lambda one: (-one["counts"], one["values"]))
    if len(by_count) > MAX_VALUES:
        n_rare = sum(one["counts"] for one in by_count[MAX_VALUES:])
        tell(
            f"interactions: context {name!r} has {len(by_count):,} values; the {MAX_VALUES} most frequent count, in "
            f"{n_rare:,} rows it is taken for absent"
        )
    return tuple(sorted(one["values"] for one in by_count[:MAX_VALUES]))
