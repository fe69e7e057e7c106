"""For children that must die: a process kills itself just before a step that the disk can see."""

import os
import signal
from collections.abc import Callable
from typing import Any

_steps_left = -1


def die_before_step(number: int) -> None:
    """Before the `number`-th call, from now on, of what is counted."""
    global _steps_left
    _steps_left = number


def counted(call: Callable[..., Any]) -> Callable[..., Any]:
    def step(*arguments: Any, **options: Any) -> Any:
        global _steps_left
        _steps_left -= 1
        if _steps_left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*arguments, **options)

    return step


def count_steps() -> None:
    """Count every call of Python's that changes the disk."""
    for name in ("open", "mkdir", "fsync", "rename", "replace", "rmdir", "unlink"):
        setattr(os, name, counted(getattr(os, name)))
