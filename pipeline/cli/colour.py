"""Colours that mean something: red is wrong or worse, yellow wants a look, green is well or better.

Only where they can be seen and are wanted: `NO_COLOR`, set to anything, says no; else `FORCE_COLOR` says yes; else they
are for terminals, unless `TERM` is dumb.
"""

import os
import sys
from typing import TYPE_CHECKING, Literal, TextIO, TypeAlias

if TYPE_CHECKING:
    from rich.console import Console

Meaning: TypeAlias = Literal["bad", "caution", "good"]
NAMES: dict[Meaning, str] = {"bad": "red", "caution": "yellow", "good": "green"}  # as Rich has them
_CODES: dict[Meaning, int] = {"bad": 31, "caution": 33, "good": 32}


def has_colours(stream: TextIO) -> bool:
    """Whether what is written there may be coloured."""
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or (stream.isatty() and os.environ.get("TERM") != "dumb")


def coloured(text: str, meaning: Meaning, stream: TextIO) -> str:
    """The text as it is written to the stream."""
    return f"\x1b[{_CODES[meaning]}m{text}\x1b[0m" if has_colours(stream) else text


def rich_console(*, stderr: bool = False) -> "Console":
    """For tables and bars, under the same rule."""
    from rich.console import Console

    return Console(stderr=stderr, color_system="auto" if has_colours(sys.stderr if stderr else sys.stdout) else None)
