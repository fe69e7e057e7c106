"""The application, and how verbs register with it."""

import inspect
import os
from collections.abc import Callable
from functools import wraps
from types import FunctionType
from typing import Annotated, Any, get_args

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


def verb(function: Callable[..., None]) -> Callable[..., None]:
    """Register a verb, whose options may be taken by functions, see `with_options`."""
    return app.command()(with_options(function))


def with_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, which for a parameter `Annotated[X, make]` takes the options of `make` and gets what that makes."""
    makers: dict[str, Callable[..., Any]] = {}
    options: list[inspect.Parameter] = []
    for parameter in inspect.signature(function).parameters.values():
        make = next((one for one in get_args(parameter.annotation) if isinstance(one, FunctionType)), None)
        if make is None:
            options.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))
        else:
            makers[parameter.name] = with_options(make)
            options += inspect.signature(makers[parameter.name]).parameters.values()

    @wraps(function)
    def call(**given: Any) -> Any:
        for name, make in makers.items():
            given[name] = make(**{option: given.pop(option) for option in inspect.signature(make).parameters})
        return function(**given)

    call.__annotations__ = {option.name: option.annotation for option in options}
    call.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]  # Typer reads both
    return call
