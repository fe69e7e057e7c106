"""What verbs write while they work and at their end: lines on stdout, the log and bars on stderr."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

import typer

from belfry.dataset.errors import printable

if TYPE_CHECKING:
    from belfry.pipeline.jobs.estimate.dry_run import Estimate
    from belfry.pipeline.progress import Progress, Work


def print_lines(lines: Iterable[str]) -> None:
    """To stdout; nothing in them steers the terminal."""
    for line in lines:
        typer.echo(printable(line))


def tell_estimate(estimate: "Estimate") -> NoReturn:
    """What work would take, instead of the work; the exit code says whether there is enough for it."""
    from belfry.pipeline.cli.console import INPUT_WRONG

    print_lines(estimate.lines())
    raise typer.Exit(INPUT_WRONG if estimate.problems else 0)


@contextmanager
def log_and_bars(quiet: bool, verbose: bool) -> Iterator["Progress"]:
    """The log and progress bars with the time left, both on stderr."""
    from belfry.pipeline.cli.console import on_bars, progress
    from belfry.pipeline.cli.log import log_to_stderr, quiet_libraries

    log_to_stderr(verbose=verbose)
    with quiet_libraries(quiet), progress(quiet=quiet or verbose) as bars:
        yield on_bars(bars)


@contextmanager
def log_and_one_bar(quiet: bool, verbose: bool) -> Iterator["Work"]:
    """The log, and one bar for the whole of a job in steps, both on stderr."""
    import logging

    from belfry.dataset.validation.features.table import LOG as COLUMNS_LOG
    from belfry.pipeline.cli.console import one_bar
    from belfry.pipeline.cli.log import log_to_stderr, quiet_libraries
    from belfry.pipeline.progress import Work

    work = Work()
    logging.getLogger(COLUMNS_LOG).setLevel(logging.NOTSET if quiet else logging.INFO)
    with quiet_libraries(quiet), one_bar(work, quiet=quiet or verbose):
        log_to_stderr(verbose=verbose)  # now, so that the log writes above the bar
        yield work
