"""`cached_property` works a value out once for an object, and holds no lock while it does."""

import threading
from dataclasses import dataclass
from pathlib import Path

import pytest

from belfry.dataset.concurrency.cached import cached_property

ROOT = Path(__file__).parents[3]
ANSWERING = ("dataset", "retrieval", "ranking", "pipeline/serving", "pipeline/runs")


@dataclass(frozen=True)
class Square:
    side: int
    asked: list[int]

    @cached_property
    def area(self) -> int:
        """Its doc."""
        self.asked.append(self.side)
        return self.side**2


def test_once_for_each_object() -> None:
    asked: list[int] = []
    two, three = Square(2, asked), Square(3, asked)
    assert (two.area, three.area, two.area) == (4, 9, 4)
    assert asked == [2, 3]
    assert Square.area.__doc__ == "Its doc."


def test_an_object_does_not_wait_for_another() -> None:
    may_end, has_begun = threading.Event(), threading.Event()

    class Slow:
        def __init__(self, *, waits: bool) -> None:
            self.waits = waits

        @cached_property
        def value(self) -> int:
            if self.waits:
                has_begun.set()
                assert may_end.wait(20)
            return 1

    waiting = threading.Thread(target=lambda: Slow(waits=True).value)
    waiting.start()
    assert has_begun.wait(20)
    assert Slow(waits=False).value == 1
    may_end.set()
    waiting.join()


@pytest.mark.parametrize("room", ANSWERING)
def test_what_answers_has_no_other(room: str) -> None:
    """Python 3.11's own would leave its lock held in a child that was forked beside a thread at work."""
    for path in (ROOT / room).rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert "from functools import cached_property" not in text or path.name == "cached.py", path
