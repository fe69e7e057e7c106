"""Options that several verbs take in more than one form."""

import re
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from belfry.dataset.sources.reading import Reading

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
Columns = Annotated[
    list[str] | None,
    typer.Option("--columns", help="what tables call their columns, e.g. user_id=userId,item_id=movieId"),
]
Delimiter = Annotated[str | None, typer.Option("--delimiter", help="what parts the cells of CSV [found out]")]
Encoding = Annotated[str | None, typer.Option("--encoding", help="of text, e.g. latin-1 [utf-8]")]


def reading_of(columns: list[str] | None, delimiter: str | None, encoding: str | None) -> "Reading":
    """What the three options say of foreign tables.

    Raises:
        InputError: one of them cannot be meant.
    """
    from belfry.dataset.sources.reading import Reading

    return Reading.of(columns, delimiter, encoding)


def seconds_of(text: str) -> float:
    """Of a length of time such as 90s, 10m or 1.5h; a number alone is seconds.

    Raises:
        BadParameter: it is none.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smh]?)\s*", text, re.ASCII)
    if not found or not float(found[1]):
        raise typer.BadParameter(f"{text!r} is no length of time; write 90s, 10m or 1.5h")
    return float(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[found[2]]


Budget = Annotated[
    float | None,
    typer.Option(
        "--budget",
        parser=seconds_of,
        metavar="TIME",
        help="90s, 10m, 1.5h: dear sources are not tried where they would make training take longer",
    ),
]


def repeats_of(repeats: RepeatsName | None, allow_seen: bool) -> RepeatsName | None:
    """What the two options say together; None where neither is given.

    Raises:
        BadParameter: they contradict each other.
    """
    if allow_seen and repeats not in (None, "allow"):
        raise typer.BadParameter(f"--allow-seen is --repeats allow, and contradicts --repeats {repeats}")
    return "allow" if allow_seen else repeats
