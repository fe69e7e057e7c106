"""The application that verbs register with."""

import typer

app = typer.Typer(
    help="Two-stage recommender: two towers find candidates, a deep ranker orders them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
