"""Options that several verbs take, and what those that come in more than one form mean."""

import re
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from belfry.pipeline.cli import completion

if TYPE_CHECKING:
    from belfry.dataset.sources.reading import Reading
    from belfry.pipeline.jobs.check import Asked

HoldoutName = Literal["time", "last", "random"]
TableArguments = Annotated[
    list[str],
    typer.Argument(
        help="the interactions, or whatever run --data takes; further tables are items, users or ratings by their "
        "id columns"
    ),
]
Items = Annotated[Path | None, typer.Option(help="table of item_id, title and features")]
Users = Annotated[Path | None, typer.Option(help="table of user_id and features")]
Ratings = Annotated[Path | None, typer.Option(help="further interactions: user_id, item_id, rating, ...")]
Artifacts = Annotated[
    Path | None,
    typer.Option(help="artifacts folder, or one run in it; or s3://BUCKET/PREFIX [BELFRY_ARTIFACTS, else ./artifacts]"),
]
Preset = Annotated[
    str,
    typer.Option(
        help="default, multitask, report, ..., or the path of a .toml file", autocompletion=completion.presets
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="key=value, e.g. retrieval.embedding_size=32; may be repeated",
        autocompletion=completion.settings,
    ),
]
Seed = Annotated[int, typer.Option(min=0, max=2**31 - 1, help="equal seeds and data give equal lists")]
DataFolder = Annotated[Path | None, typer.Option(help="where MovieLens files lie [BELFRY_DATA]")]
Address = Annotated[
    str | None,
    typer.Option("--address", metavar="HOST:PORT", help="of a Ray cluster to work on; auto: the one of this machine"),
]
Sign = Annotated[Path | None, typer.Option("--sign", metavar="KEY", help="private key to sign the run with")]
RequireSignature = Annotated[
    Path | None,
    typer.Option(
        "--require-signature",
        metavar="KEY",
        help="public key: refuse runs that its owner has not signed [BELFRY_REQUIRE_SIGNATURE]",
    ),
]
Track = Annotated[
    list[str] | None,
    typer.Option("--track", help="mlflow:FOLDER, mlflow:http://HOST:PORT or tensorboard:FOLDER is told of the run"),
]
Json = Annotated[bool, typer.Option("--json", help="the result as one JSON document on stdout, instead of words")]
Quiet = Annotated[bool, typer.Option("--quiet", help="no progress bars, not where the time went: results and warnings")]
Verbose = Annotated[bool, typer.Option("--verbose", help="log every step of training")]
Strict = Annotated[bool, typer.Option("--strict", help="refuse an unknown user instead of a cold answer")]
Stage = Annotated[Literal["final", "retrieval"], typer.Option(help="retrieval: the first stage's own order")]
Out = Annotated[Path, typer.Option(help="folder to write to")]
ListLength = Annotated[int, typer.Option("--n", "-n", min=1, help="length of a list")]
RepeatsName = Literal["exclude", "allow", "only"]
Repeats = Annotated[
    RepeatsName | None,
    typer.Option(
        "--repeats",
        help="what lists hold of items that the user has seen: none, also them, nothing else [as the run was trained; "
        "else exclude]",
    ),
]
RulesFile = Annotated[
    Path | None, typer.Option("--rules", help="TOML file of what shapes lists: filters, quotas, diversity, pins, ...")
]
Log = Annotated[
    Path | None, typer.Option(help="what was shown: user_id, item_id, reward, propensity; rank where lists were")
]
LogClip = Annotated[float | None, typer.Option(min=1, help="weights of the log above this are cut to it")]
Where = Annotated[
    str | None, typer.Option("--where", help="list these items alone, e.g. \"year >= 1990 and 'Horror' not in genres\"")
]
History = Annotated[
    list[str] | None,
    typer.Option("--history", help="items watched since training, oldest first: 50,181; may be repeated"),
]


def pairs_of(texts: list[str] | None, option: str, example: str) -> dict[str, str] | None:
    """Columns and values out of an option; None where it is not given. A value may hold commas.

    Raises:
        BadParameter: a text is no pair, or a column is named twice.
    """
    if texts is None:
        return None
    pairs: dict[str, str] = {}
    for pair in (pair for text in texts for pair in re.split(r",(?=[^,=]+=)", text)):
        name, sign, value = pair.partition("=")
        if not sign or not name.strip() or name.strip() in pairs:
            raise typer.BadParameter(
                f"{option} {pair[:60]!r}: wanted COLUMN=VALUE, each column once, such as {example}"
            )
        pairs[name.strip()] = value.strip()
    return pairs


def seconds_of(text: str) -> float:
    """Of a length of time such as 90s, 10m or 1.5h; a number alone is seconds.

    Raises:
        BadParameter: it is none.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smh]?)\s*", text, re.ASCII)
    if not found or not float(found[1]):
        raise typer.BadParameter(f"{text!r} is no length of time; write 90s, 10m or 1.5h")
    return float(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[found[2]]


DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="only say what CPU, memory and disk it would take; exit code 2 where there is less"),
]
Budget = Annotated[
    float | None,
    typer.Option(
        "--budget",
        parser=seconds_of,
        metavar="TIME",
        help="90s, 10m, 1.5h: dear sources are not tried where they would make training take longer",
    ),
]


def days_of(text: str) -> timedelta:
    """Of a number of days, such as 30d or 30.

    Raises:
        BadParameter: it is none.
    """
    found = re.fullmatch(r"\s*(\d{1,5})\s*d?\s*", text, re.ASCII)
    if not found:
        raise typer.BadParameter(f"{text!r} is no number of days; write 30d")
    return timedelta(days=int(found[1]))


def features_of(
    features: Annotated[
        list[str] | None,
        typer.Option(help="what is known of the user, by columns of the users table: age=31,gender=F; may be repeated"),
    ] = None,
) -> dict[str, str] | None:
    """Those of `--features`; raises as `pairs_of`."""
    return pairs_of(features, "--features", "age=31")


def context_of(
    context: Annotated[
        list[str] | None,
        typer.Option(
            help="what is known of the moment, by the columns of data.context_columns: device=tv,timestamp_s=1700000000"
        ),
    ] = None,
) -> dict[str, str] | None:
    """That of `--context`; raises as `pairs_of`."""
    return pairs_of(context, "--context", "device=tv")


def reading_of(
    columns: Annotated[
        list[str] | None,
        typer.Option(help="what tables call their columns, e.g. user_id=userId,item_id=movieId"),
    ] = None,
    delimiter: Annotated[str | None, typer.Option(help="what parts the cells of CSV [found out]")] = None,
    encoding: Annotated[str | None, typer.Option(help="of text, e.g. latin-1 [utf-8]")] = None,
) -> "Reading":
    """What these options say of foreign tables.

    Raises:
        InputError: one of them cannot be meant.
    """
    from belfry.dataset.sources.reading import Reading

    return Reading.of(columns, delimiter, encoding)


def repeats_of(
    repeats: Repeats = None,
    allow_seen: Annotated[bool, typer.Option("--allow-seen", help="the same as --repeats allow")] = False,
) -> RepeatsName | None:
    """What these options say together; None where neither is given.

    Raises:
        BadParameter: they contradict each other.
    """
    if allow_seen and repeats not in (None, "allow"):
        raise typer.BadParameter(f"--allow-seen is --repeats allow, and contradicts --repeats {repeats}")
    return "allow" if allow_seen else repeats


# For parameters of verbs: what the functions make of the options that they take.
FeatureValues = Annotated[dict[str, str] | None, features_of]
ContextValues = Annotated[dict[str, str] | None, context_of]
HowToRead = Annotated["Reading", reading_of]
RepeatsOrSeen = Annotated[RepeatsName | None, repeats_of]


def asked_of(
    *,
    items: Items = None,
    users: Users = None,
    ratings: Ratings = None,
    reading: HowToRead,
    preset: Preset = "default",
    holdout: Annotated[HoldoutName | None, typer.Option(help="as in train")] = None,
    repeats: RepeatsOrSeen,
    settings: Settings = None,
    data_folder: DataFolder = None,
) -> "Asked":
    """What is asked of tables that training could be handed, beside their names."""
    return {
        "items": items,
        "users": users,
        "ratings": ratings,
        "reading": reading,
        "preset": preset,
        "holdout": holdout,
        "repeats": repeats,
        "settings": settings or (),
        "data_folder": data_folder,
    }


AskedOfTables = Annotated["Asked", asked_of]
