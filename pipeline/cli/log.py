"""What is written to standard error beside progress bars: the log, and what libraries write past Python."""

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from belfry.dataset.errors import printable
from belfry.pipeline.cli.colour import coloured


class _StderrHandler(logging.Handler):
    """Lines of a log that steer no terminal, on what is standard error at the time: above progress bars, if any."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            lines = [printable(line) for line in self.format(record).split("\n")]
            if record.levelno >= logging.WARNING:
                lines = [coloured(line, "caution", sys.stderr) for line in lines]
            sys.stderr.write("".join(f"{line}\n" for line in lines))
        except Exception:
            self.handleError(record)


def log_to_stderr(*, verbose: bool) -> None:
    """Warnings, and with `verbose` every step."""
    level = logging.INFO if verbose else logging.WARNING
    logging.basicConfig(level=level, format="%(message)s", handlers=[_StderrHandler()])


@contextmanager
def quiet_libraries(quiet: bool = True) -> Iterator[None]:
    """Nothing that libraries write to the process's standard error reaches it, where `quiet`; our log does.

    ScaNN and TensorFlow log from C++, past every setting of Python's. Warnings that libraries give through Python are
    dropped too, unless Python was told what to do with them.
    """
    if quiet and not sys.warnoptions:
        warnings.simplefilter("ignore")
    try:
        descriptor = os.dup(2) if quiet and sys.stderr.fileno() == 2 else None
    except (OSError, ValueError):  # a stream that is no file
        descriptor = None
    if descriptor is None:
        yield
        return
    ours, before = os.fdopen(descriptor, "w", buffering=1, errors="backslashreplace"), sys.stderr
    nowhere = os.open(os.devnull, os.O_WRONLY)
    sys.stderr = ours
    os.dup2(nowhere, 2)
    os.close(nowhere)
    try:
        yield
    finally:
        ours.flush()
        os.dup2(descriptor, 2)
        sys.stderr = before
        ours.close()
