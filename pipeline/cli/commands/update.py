"""The verb that takes what came since into a published run: update."""

from pathlib import Path
from typing import Annotated

import typer

from belfry.pipeline.cli.commands.app import verb
from belfry.pipeline.cli.options import (
    HowToRead,
    Items,
    Json,
    Quiet,
    RequireSignature,
    Sign,
    Users,
)
from belfry.pipeline.cli.terminal import log_and_bars, print_result


@verb
def update(
    *,
    run: Annotated[
        Path | None,
        typer.Argument(help="artifacts folder, or one run in it [--artifacts, BELFRY_ARTIFACTS or ./artifacts]"),
    ] = None,
    interactions: Annotated[Path | None, typer.Option(help="events since: user_id, item_id, ...")] = None,
    items: Items = None,
    users: Users = None,
    reading: HowToRead,
    artifacts: Annotated[Path | None, typer.Option(help="where to publish [where the run lies]")] = None,
    keep_statistics: Annotated[
        bool,
        typer.Option(
            "--keep-statistics", help="histories alone move: users without new events keep their lists; no new items"
        ),
    ] = False,
    sign: Sign = None,
    require_signature: RequireSignature = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Take new events, users and items into a run without training, and publish the result."""
    from belfry.pipeline.jobs.updating.update import update_run

    with log_and_bars(quiet):
        done = update_run(
            run,
            interactions,
            items,
            users,
            reading=reading,
            artifacts=artifacts,
            keep_statistics=keep_statistics,
            sign=sign,
            require_signature=require_signature,
        )
    print_result(done.lines(), done.to_json(), as_json=as_json)
