"""How the verbs talk to a terminal: progress on stderr, errors as one message and an exit code.

Imports little: signals are met from here on, and whatever is imported before could be hit by one.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

from belfry.dataset.errors import LONGEST_CAUSE, BelfryError, InputError, cause_of, printable
from belfry.pipeline.cli.colour import coloured, rich_console
from belfry.pipeline.cli.signals import Interrupts

if TYPE_CHECKING:
    from rich.progress import TaskID
    from rich.table import Table

    from belfry.pipeline.progress import Progress as Report
    from belfry.pipeline.progress import Work

FAILED = 1
INPUT_WRONG = 2

# Typer turns Ctrl-C into this code before anybody outside of it sees the KeyboardInterrupt.
_TYPER_INTERRUPTED = 130


@contextmanager
def bars(*, quiet: bool = False) -> "Iterator[Report]":
    """Report on progress bars with the time left, on stderr: one for each name of work, in the order they start.

    Without a terminal, or quiet, there are none, and what draws them is not loaded.
    """
    from belfry.pipeline.progress import silent

    if quiet or not sys.stderr.isatty():
        yield silent
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    tasks: dict[str, TaskID] = {}
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=rich_console(stderr=True),
    ) as drawn:

        def report(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = drawn.add_task(what, total=total)
            drawn.update(tasks[what], completed=done, total=total)

        yield report


@contextmanager
def one_bar(work: "Work", *, quiet: bool = False) -> Iterator[None]:
    """How far the whole of `work` is while the body runs, on stderr; nothing without a terminal, or quiet."""
    if quiet or not sys.stderr.isatty():
        yield
        return
    from rich.live import Live

    console = rich_console(stderr=True)
    with Live(console=console, get_renderable=lambda: _bar_of(work), refresh_per_second=4, transient=True):
        yield


def _bar_of(work: "Work") -> "Table":
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    position = work.position()
    line = Table.grid(padding=(0, 1), expand=True)
    for width in (24, 4, 7, 12):
        line.add_column(no_wrap=True, width=width)
    line.add_column(no_wrap=True, ratio=1)  # the text gives way where the terminal is narrow
    line.add_row(
        ProgressBar(total=1, completed=position.share),
        f"{position.share:4.0%}",
        _minutes(position.elapsed_s),
        "" if position.left_s is None else f"left {_minutes(position.left_s)}",
        position.text,
    )
    return line


def _minutes(seconds: float) -> str:
    """As 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


@contextmanager
def errors_in_words(signals: Interrupts) -> Iterator[None]:
    """End in one message and an exit code where the body fails or is stopped.

    2 input or call wrong, 130 Ctrl-C, 143 SIGTERM, 1 anything else. Goes around the whole Typer application, not its
    commands: Typer's own exceptions are Typer's to handle. After a signal every failure is told as the stop that it
    comes of. `BELFRY_DEBUG=1` shows tracebacks as well.
    """
    try:
        try:
            yield
            sys.stdout.flush()
        except BaseException as error:
            if signals.number is None:
                _stop_with(error)
            raise
    except BaseException as error:
        signals.is_at_work = False
        if number := signals.number or _number_of(error):
            signals.end(number)
        raise
    signals.is_at_work = False
    if signals.number:
        signals.end(signals.number)


def _number_of(error: BaseException) -> int | None:
    """The signal that it stands for, sent by nobody."""
    is_stop = isinstance(error, KeyboardInterrupt) or (
        isinstance(error, SystemExit) and error.code == _TYPER_INTERRUPTED
    )
    return signal.SIGINT if is_stop else None


def _stop_with(error: BaseException) -> None:
    """End in words, where there are any for it."""
    if isinstance(error, BelfryError):
        _stop(str(error), INPUT_WRONG if isinstance(error, InputError) else FAILED)
    elif isinstance(error, BrokenPipeError):
        # Whoever read our output has left. Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(FAILED) from None
    elif isinstance(error, MemoryError):
        _stop(f"there is not enough memory {_doing(error)}; free some and run again", FAILED)
    elif isinstance(error, Exception):
        _stop(
            f"internal error {_doing(error)}: {cause_of(error)}; this is a defect of Belfry, {_reported(error)}",
            FAILED,
        )


def _doing(error: BaseException) -> str:
    """The verb, and the step of its work where one failed."""
    from belfry.pipeline.progress import STEP_NOTE

    verb = " ".join(["belfry", *sys.argv[1:2]])
    steps = [note for note in getattr(error, "__notes__", ()) if note.startswith(STEP_NOTE)]
    return ", ".join([f"in {printable(verb, LONGEST_CAUSE)}", *steps])


def _reported(error: BaseException) -> str:
    """What to do about a defect; all that is known of it is written to a file."""
    import platform
    import tempfile
    import traceback

    about = (f"{' '.join(map(repr, sys.argv))}", f"Python {sys.version} on {platform.platform()}")
    text = "\n".join((*about, "", "".join(traceback.format_exception(error))))
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="belfry-error-", suffix=".log", delete=False, encoding="utf-8", errors="backslashreplace"
        ) as file:
            file.write(text)
    except OSError:
        return "please report it; run with BELFRY_DEBUG=1 for the traceback"
    return f"please report it with the full traceback in {file.name}"


def _stop(message: str, code: int) -> NoReturn:
    if os.environ.get("BELFRY_DEBUG", "0") not in ("", "0"):
        import traceback

        traceback.print_exc()
    lines = [printable(line) for line in message.split("\n")]
    sys.stderr.write("\n".join([coloured("belfry: ", "bad", sys.stderr) + lines[0], *lines[1:], ""]))
    raise SystemExit(code) from None
