"""Stopwatch: where the time of a job went, by stage."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter, process_time

REST = "the rest"  # between the stages


@dataclass(frozen=True)
class Seconds:
    """Of CPU, all threads and the children that have ended included; and by the clock on the wall."""

    cpu: float
    wall: float

    def __add__(self, other: "Seconds") -> "Seconds":
        return Seconds(self.cpu + other.cpu, self.wall + other.wall)

    def __sub__(self, other: "Seconds") -> "Seconds":
        return Seconds(self.cpu - other.cpu, self.wall - other.wall)


class Stopwatch:
    """Runs from when it is made; `with stopwatch.stage("ranker"):` counts the body to that stage, however often."""

    def __init__(self) -> None:
        self._started = _now()
        self._by_stage: dict[str, Seconds] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Stages do not lie in one another: their seconds add up."""
        started = _now()
        try:
            yield
        finally:
            self._by_stage[name] = self._by_stage.get(name, Seconds(0, 0)) + (_now() - started)

    @property
    def total(self) -> Seconds:
        """Since it was made."""
        return _now() - self._started

    def by_stage(self) -> dict[str, Seconds]:
        """In the order in which they first ended, then what lies between them; together the total."""
        rest = self.total
        for seconds in self._by_stage.values():
            rest -= seconds
        return self._by_stage | {REST: rest}


def _now() -> Seconds:
    times = os.times()
    return Seconds(process_time() + times.children_user + times.children_system, perf_counter())
