"""The application that verbs register with."""

import os
from typing import Annotated

import typer

app = typer.Typer(
    help="Two-stage recommender: two towers find candidates, a deep ranker orders them.",
    no_args_is_help=True,
    rich_markup_mode=None if os.environ.get("NO_COLOR") else "rich",  # Rich would still write bold and dim
    pretty_exceptions_enable=False,
)


def _show_version(is_asked: bool) -> None:
    if not is_asked:
        return
    from belfry.pipeline.runs.versions import BELFRY, installed_version

    typer.echo(f"{BELFRY} {installed_version(BELFRY) or 'run from its source'}")
    raise typer.Exit


@app.callback()
def before_any_verb(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Options of the program itself."""
