"""Verbs that show, each on one page: describe."""

from pathlib import Path
from typing import Annotated

import typer

from belfry.pipeline.cli.commands.app import app
from belfry.pipeline.cli.options import (
    AllowSeen,
    Columns,
    DataFolder,
    Delimiter,
    Encoding,
    HoldoutName,
    Items,
    Preset,
    Ratings,
    Repeats,
    Settings,
    TableArguments,
    Users,
    reading_of,
    repeats_of,
)
from belfry.pipeline.cli.terminal import print_lines

Page = Annotated[Path, typer.Option(help="the page to write")]


@app.command()
def describe(
    tables: TableArguments,
    out: Page = Path("description.html"),
    items: Items = None,
    users: Users = None,
    ratings: Ratings = None,
    columns: Columns = None,
    delimiter: Delimiter = None,
    encoding: Encoding = None,
    preset: Preset = "default",
    holdout: Annotated[HoldoutName | None, typer.Option(help="as in train")] = None,
    repeats: Repeats = None,
    allow_seen: AllowSeen = False,
    settings: Settings = None,
    data_folder: DataFolder = None,
    as_json: Annotated[bool, typer.Option("--json", help="print the figures as JSON, too")] = False,
) -> None:
    """What tables hold and what fits them, on one page; exit code 2 where training would refuse them."""
    from belfry.evaluation.reports.description.page import to_json
    from belfry.pipeline.cli.console import INPUT_WRONG
    from belfry.pipeline.jobs.look.describe import describe_tables, write_description
    from belfry.pipeline.jobs.look.pages import check_page

    check_page(out)
    found = describe_tables(
        *tables,
        items=items,
        users=users,
        ratings=ratings,
        reading=reading_of(columns, delimiter, encoding),
        preset=preset,
        holdout=holdout,
        settings=settings or (),
        repeats=repeats_of(repeats, allow_seen),
        data_folder=data_folder,
    )
    write_description(found, out)
    if as_json:
        print_lines(to_json(found).splitlines())
    else:
        print_lines([*(f"error: {error}" for error in found.errors), f"written to {out}"])
    if found.errors:
        raise typer.Exit(INPUT_WRONG)
