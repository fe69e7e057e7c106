"""What verbs write while they work and at their end: lines or a document on stdout, the log and bars on stderr."""

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

import typer

from belfry.dataset.errors import printable
from belfry.pipeline.cli.colour import Meaning, coloured

if TYPE_CHECKING:
    from belfry.pipeline.jobs.estimate.dry_run import Estimate
    from belfry.pipeline.progress import Progress, Work


def print_lines(lines: Iterable[str]) -> None:
    """To stdout; nothing in them steers the terminal."""
    for line in lines:
        print_line(line)


def print_line(*parts: str | tuple[str, Meaning]) -> None:
    """One line to stdout, some of its parts in a colour."""
    line = (
        printable(part) if isinstance(part, str) else coloured(printable(part[0]), part[1], sys.stdout)
        for part in parts
    )
    typer.echo("".join(line), color=True)  # what `coloured` put in is wanted


def print_result(lines: Iterable[str], document: object, *, as_json: bool) -> None:
    """What a verb found out, for people or for programs."""
    if as_json:
        print_json(document)
    else:
        print_lines(lines)


def print_json(found: object) -> None:
    """All that was found as one JSON document on stdout: of dataclasses, lists, dicts; null is what cannot be said.

    Every sign beyond ASCII is escaped, so that nothing in it steers the terminal.
    """
    from pydantic_core import to_jsonable_python

    typer.echo(json.dumps(to_jsonable_python(found, inf_nan_mode="null"), indent=2, allow_nan=False))


def tell_estimate(estimate: "Estimate", as_json: bool) -> NoReturn:
    """What work would take, instead of the work; the exit code says whether there is enough for it."""
    from belfry.pipeline.cli.console import INPUT_WRONG

    print_result(estimate.lines(), estimate.document, as_json=as_json)
    raise typer.Exit(INPUT_WRONG if estimate.problems else 0)


@contextmanager
def log_alone(quiet: bool) -> Iterator[None]:
    """The log, on stderr; `ctx.with_resource` keeps it until the verb has ended."""
    from belfry.pipeline.cli.log import log_to_stderr, quiet_libraries

    log_to_stderr(verbose=False)
    with quiet_libraries(quiet):
        yield


@contextmanager
def log_and_bars(quiet: bool) -> Iterator["Progress"]:
    """The log and progress bars with the time left, both on stderr."""
    from belfry.pipeline.cli.console import bars

    with log_alone(quiet), bars(quiet=quiet) as report:
        yield report


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
