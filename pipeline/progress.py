"""Progress: how long work reports how far it is, and where its time went."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import RLock
from time import perf_counter
from typing import TypeAlias

from belfry.pipeline.stopwatch import Stopwatch

Progress: TypeAlias = Callable[[str, int, int], None]  # name of the work, units done, units in all

STEP_NOTE = "at the step "  # begins the note of an error that says at which step it was raised
PARTS = 1000  # of a whole job, as `Work` reports it
_LEAST_PER_WEIGHT_S = 1.0  # else a first step that takes no time would promise an end at once
_LEAST_LEFT = 0.1  # of what a step was expected to take, once it has taken longer


def silent(what: str, done: int, total: int) -> None:
    """Report to nobody."""


@dataclass(frozen=True)
class Position:
    """How far a job is."""

    text: str  # the step under way
    share: float  # done, 0 to 1
    elapsed_s: float
    left_s: float | None  # None before anything tells


@dataclass
class _Step:
    kind: str
    started_s: float
    told_s: float  # when it last told how far it is
    share: float = 0.0  # done, as it told; 0 where it tells nothing


class Work:
    """A job in steps: how far the whole of it is, and the seconds of each stage.

    A step is expected to take what those of its kind took, on average. A kind that was not yet seen takes its weight,
    times the seconds per weight of the others. The share done grows by

        (1 - share) * e / (e + R)      e: seconds since it was last asked for; R: seconds expected to be left

    so it never goes back, arrives together with the work, and moves evenly where the expectations hold.
    """

    def __init__(self, progress: Progress = silent, *, clock: Callable[[], float] = perf_counter) -> None:
        """`progress` is told the step under way and how many of `PARTS` parts of the whole are done."""
        self.stopwatch = Stopwatch()
        self._progress, self._clock = progress, clock
        self._started_s = self._asked_s = clock()
        self._weights: dict[str, float] = {}
        self._ahead: Counter[str] = Counter()  # steps by kind
        self._took_s: dict[str, list[float]] = {}
        self._step: _Step | None = None
        self._text, self._share = "", 0.0
        self._lock = RLock()  # whoever draws asks from another thread

    def expect(self, kind: str, n: int = 1, *, weight: float = 1.0) -> None:
        """There will be `n` more steps of this kind, each of about `weight` (> 0) times what one of weight 1 takes."""
        with self._lock:
            self._ahead[kind] += n
            self._weights[kind] = weight

    @contextmanager
    def step(self, stage: str, *, kind: str = "", text: str = "") -> Iterator[None]:
        """The body is a step, its seconds count to `stage`; kind and text are the stage's name unless they are given.

        Steps follow one another; they do not lie in one another.
        """
        kind = kind or stage
        with self._lock:
            self._advance()
            self._ahead[kind] = max(0, self._ahead[kind] - 1)
            step = self._step = _Step(kind, self._clock(), self._clock())
            self._text = text or stage
        self._tell()
        try:
            with self.stopwatch.stage(stage):
                yield
        except Exception as error:
            error.add_note(f"{STEP_NOTE}{stage!r}")
            raise
        finally:
            with self._lock:
                self._advance()
                self._took_s.setdefault(kind, []).append(self._clock() - step.started_s)
                self._step = None
                self._advance()
            self._tell()

    def report(self, what: str, done: int, total: int) -> None:
        """A `Progress` for the step under way, in its own units."""
        with self._lock:
            if self._step:
                self._step.share, self._step.told_s = done / max(1, total), self._clock()
            self._advance()
        self._tell()

    def position(self) -> Position:
        """How far the whole job is."""
        with self._lock:
            self._advance()
            return Position(self._text, self._share, self._clock() - self._started_s, self._left_s())

    def _tell(self) -> None:
        self._progress(self._text, int(PARTS * self._share), PARTS)

    def _advance(self) -> None:
        now_s = self._clock()
        left_s = self._left_s()
        if left_s == 0:
            self._share = 1.0
        elif left_s is not None:
            since_s = now_s - self._asked_s
            self._share += (1 - self._share) * since_s / (since_s + left_s)
        self._asked_s = now_s

    def _left_s(self) -> float | None:
        """Expected seconds until the end; None where nothing expected was measured yet."""
        took = {kind: sum(took) / len(took) for kind, took in self._took_s.items() if kind in self._weights}
        step = self._step if self._step and self._step.kind in self._weights else None
        told = (step.told_s - step.started_s) / step.share if step and step.share else None  # the whole step
        if step and told is not None and not took:
            took[step.kind] = told
        if not took:
            return None
        per_weight = max(sum(took.values()) / sum(self._weights[kind] for kind in took), _LEAST_PER_WEIGHT_S)
        expected = {kind: took.get(kind, weight * per_weight) for kind, weight in self._weights.items()}
        left_s = sum(self._ahead[kind] * seconds for kind, seconds in expected.items())
        if step:
            whole_s = expected[step.kind]
            if told is not None:  # the further it is, the better it knows
                whole_s = step.share * told + (1 - step.share) * whole_s
            rest_s = (1 - step.share) * whole_s
            left_s += max(rest_s - (self._clock() - step.told_s), _LEAST_LEFT * rest_s)
        return left_s
