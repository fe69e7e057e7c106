"""The application that verbs register with."""

import os

import typer

app = typer.Typer(
    help="Two-stage recommender: two towers find candidates, a deep ranker orders them.",
    no_args_is_help=True,
    rich_markup_mode=None if os.environ.get("NO_COLOR") else "rich",  # Rich would still write bold and dim
    pretty_exceptions_enable=False,
)
