"""Options that several verbs take in more than one form."""

from typing import Annotated, Literal

import typer

RepeatsName = Literal["exclude", "allow", "only"]
Repeats = Annotated[
    RepeatsName | None,
    typer.Option(
        "--repeats",
        help="what lists hold of items that the user has seen: none, also them, nothing else [as the run was trained; "
        "else exclude]",
    ),
]
AllowSeen = Annotated[bool, typer.Option("--allow-seen", help="the same as --repeats allow")]


def repeats_of(repeats: RepeatsName | None, allow_seen: bool) -> RepeatsName | None:
    """What the two options say together; None where neither is given.

    Raises:
        BadParameter: they contradict each other.
    """
    if allow_seen and repeats not in (None, "allow"):
        raise typer.BadParameter(f"--allow-seen is --repeats allow, and contradicts --repeats {repeats}")
    return "allow" if allow_seen else repeats
