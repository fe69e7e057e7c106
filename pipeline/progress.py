"""Progress: how long work reports how far it is."""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

Progress: TypeAlias = Callable[[str, int, int], None]  # name of the work, units done, units in all


def silent(what: str, done: int, total: int) -> None:
    """Report to nobody."""


def on_bars(bars: "Bars") -> Progress:
    """Report on progress bars: one for each name of work, in the order in which they start."""
    tasks: dict[str, TaskID] = {}

    def report(what: str, done: int, total: int) -> None:
        if what not in tasks:
            tasks[what] = bars.add_task(what, total=total)
        bars.update(tasks[what], completed=done, total=total)

    return report
