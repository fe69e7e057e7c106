"""How the verbs talk to a terminal: progress on stderr, errors as one message and an exit code."""

import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

from belfry.dataset.errors import BelfryError, InputError

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID
    from rich.table import Table

    from belfry.pipeline.progress import Progress as Report
    from belfry.pipeline.progress import Work

FAILED = 1
INPUT_WRONG = 2

# Typer turns Ctrl-C into this code before anybody outside of it sees the KeyboardInterrupt.
_TYPER_INTERRUPTED = 130


def progress(*, quiet: bool = False) -> "Progress":
    """Progress bars with the time left, on stderr; without a terminal, or quiet, they count and show nothing.

    Use as `with progress() as bars: task = bars.add_task("train", total=n)`, then `bars.advance(task)`.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=quiet or not sys.stderr.isatty(),
    )


def on_bars(bars: "Progress") -> "Report":
    """Report on progress bars: one for each name of work, in the order in which they start."""
    tasks: dict[str, TaskID] = {}

    def report(what: str, done: int, total: int) -> None:
        if what not in tasks:
            tasks[what] = bars.add_task(what, total=total)
        bars.update(tasks[what], completed=done, total=total)

    return report


@contextmanager
def one_bar(work: "Work", *, quiet: bool = False) -> Iterator[None]:
    """How far the whole of `work` is while the body runs, on stderr; nothing without a terminal, or quiet."""
    if quiet or not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.live import Live

    with Live(console=Console(stderr=True), get_renderable=lambda: _bar_of(work), refresh_per_second=4, transient=True):
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
def errors_as_exit_codes() -> Iterator[None]:
    """End the process in one message and an exit code where the body fails: 2 input or call wrong, 1 anything else.

    Goes around the whole Typer application, not its commands: Typer's own exceptions are Typer's to handle. SIGTERM
    is met as Ctrl-C is, so that whatever the body holds open cleans up behind itself.
    `BELFRY_DEBUG=1` shows tracebacks as well.
    """
    with _sigterm_as_interrupt():
        try:
            yield
            sys.stdout.flush()
        except InputError as error:
            _stop(str(error), INPUT_WRONG)
        except BelfryError as error:
            _stop(str(error), FAILED)
        except BrokenPipeError:
            # Whoever read our output has left. Python would complain once more when it flushes at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise SystemExit(FAILED) from None
        except KeyboardInterrupt:
            _stop_interrupted()
        except SystemExit as error:
            if error.code == _TYPER_INTERRUPTED:
                _stop_interrupted()
            raise
        except Exception as error:
            text = " ".join(str(error).split())
            hint = "run with BELFRY_DEBUG=1 for the traceback"
            _stop(f"internal error: {type(error).__name__}: {text}; {hint}", FAILED)


@contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # Only the main thread may set handlers.
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _stop_interrupted() -> NoReturn:
    _stop("stopped; nothing is half published and what was published before stays; run it again to go on", FAILED)


def _stop(message: str, code: int) -> NoReturn:
    if os.environ.get("BELFRY_DEBUG", "0") not in ("", "0"):
        traceback.print_exc()
    sys.stderr.write(f"belfry: {message}\n")
    raise SystemExit(code) from None
