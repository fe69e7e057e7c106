"""Verbs that show, each on one page: describe, explore."""

from pathlib import Path
from typing import Annotated

import typer

from belfry.pipeline.cli.commands.app import verb
from belfry.pipeline.cli.options import (
    Artifacts,
    AskedOfTables,
    DataFolder,
    HowToRead,
    Json,
    Quiet,
    Seed,
    TableArguments,
)
from belfry.pipeline.cli.terminal import log_alone, log_and_bars, print_line, print_result

Page = Annotated[Path, typer.Option(help="the page to write")]


@verb
def describe(
    *,
    ctx: typer.Context,
    tables: TableArguments,
    out: Page = Path("description.html"),
    asked: AskedOfTables,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """What tables hold and what fits them, on one page; exit code 2 where training would refuse them."""
    from belfry.pipeline.cli.console import INPUT_WRONG
    from belfry.pipeline.jobs.look.describe import describe_tables, write_description
    from belfry.pipeline.jobs.look.pages import check_page

    check_page(out)
    ctx.with_resource(log_alone(quiet))
    found = describe_tables(*tables, **asked)
    write_description(found, out)
    for error in () if as_json else found.errors:
        print_line(("error: ", "bad"), error)
    print_result([f"written to {out}"], found, as_json=as_json)
    if found.errors:
        raise typer.Exit(INPUT_WRONG)


@verb
def explore(
    *,
    run: Annotated[
        Path | None,
        typer.Argument(help="the same as --artifacts"),
    ] = None,
    artifacts: Artifacts = None,
    out: Page = Path("exploration.html"),
    items: Annotated[
        str | None, typer.Option(help="table of items, or what run --data takes: its columns colour the map")
    ] = None,
    test: Annotated[
        Path | None, typer.Option(help="what the users did later [the test part that belfry run kept, if any]")
    ] = None,
    reading: HowToRead,
    data_folder: DataFolder = None,
    max_items: Annotated[int, typer.Option(min=2, max=20_000, help="on the map, those of most users")] = 5_000,
    n_users: Annotated[int, typer.Option("--users", min=1, max=100, help="how many users' lists to show")] = 12,
    seed: Seed = 0,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """What a run learned, on one page: a map of its items, users beside their lists, what it looks at and decided."""
    from belfry.pipeline.jobs.look.explore import explore, write_exploration
    from belfry.pipeline.jobs.look.pages import check_page

    if run and artifacts:
        raise typer.BadParameter("RUN and --artifacts are the same; give one of them")
    check_page(out)
    with log_and_bars(quiet) as progress:
        found = explore(
            artifacts or run,
            items=items,
            test=test,
            reading=reading,
            data_folder=data_folder,
            max_items=max_items,
            n_users=n_users,
            seed=seed,
            progress=progress,
        )
        write_exploration(found, out)
    print_result([f"written to {out}"], found, as_json=as_json)
