"""Progress: how long work reports how far it is."""

from collections.abc import Callable
from typing import TypeAlias

Progress: TypeAlias = Callable[[str, int, int], None]  # name of the work, units done, units in all


def silent(what: str, done: int, total: int) -> None:
    """Report to nobody."""
