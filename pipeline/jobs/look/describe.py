"""`describe`: what tables hold, on one page."""

from pathlib import Path
from typing import Unpack

from belfry.dataset.errors import InputError
from belfry.dataset.sources.tabular import Source
from belfry.evaluation.reports.description.assemble import describe
from belfry.evaluation.reports.description.result import Advice, Description
from belfry.pipeline.jobs.check import Asked, examine_tables
from belfry.pipeline.jobs.look.advice import advise
from belfry.pipeline.jobs.look.pages import name_of, write_page


def describe_tables(*tables: Source, **asked: Unpack[Asked]) -> Description:
    """Figures of tables that `belfry.train` could be handed; arguments as in `check_tables`.

    Raises:
        InputError: a setting is wrong, a table cannot be read, or it cannot be told what it is. What is wrong with the
            tables is reported.
    """
    examined = examine_tables(*tables, **asked)
    found, data = examined.found, examined.data
    if examined.raw is None:
        raise InputError(found.errors[0])
    advice: tuple[Advice, ...] = ()
    if data is not None and not found.errors:
        advice = tuple(advise(found, examined.config, data, is_asked=asked.get("holdout") is not None))
    return describe(
        name_of(tables[0]),
        data,
        examined.checked,
        n_rows=len(examined.raw.interactions),
        n_doubles=examined.n_doubles,
        errors=found.errors,
        notes=found.notes,
        columns=found.columns,
        advice=advice,
    )


def write_description(found: Description, path: Path) -> None:
    """The page.

    Raises:
        InputError: it cannot be written there.
    """
    from belfry.evaluation.reports.description.page import page

    write_page(page(found), path)
