"""The console script `belfry`: one short function per verb, which parses, calls and prints.

Nothing heavy is imported before a verb needs it, so that `belfry --help` answers at once.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from belfry.dataset.errors import printable
from belfry.pipeline.cli.options import (
    AllowSeen,
    Budget,
    Columns,
    Delimiter,
    Encoding,
    Repeats,
    reading_of,
    repeats_of,
)

if TYPE_CHECKING:
    from belfry.pipeline.progress import Progress, Work

app = typer.Typer(
    help="Two-stage recommender: two towers find candidates, a deep ranker orders them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

HoldoutName = Literal["time", "last", "random"]
Artifacts = Annotated[
    Path | None, typer.Option(help="artifacts folder, or one run in it [BELFRY_ARTIFACTS, else ./artifacts]")
]
Preset = Annotated[str, typer.Option(help="default, multitask, report, ..., or the path of a .toml file")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", help="key=value, e.g. retrieval.embedding_size=32; may be repeated")
]
Seed = Annotated[int, typer.Option(min=0, max=2**31 - 1, help="equal seeds and data give equal lists")]
DataFolder = Annotated[Path | None, typer.Option(help="where MovieLens files lie [BELFRY_DATA]")]
Quiet = Annotated[bool, typer.Option("--quiet", help="no progress bars, and not where the time went")]
Verbose = Annotated[bool, typer.Option("--verbose", help="log every step of training")]
Strict = Annotated[bool, typer.Option("--strict", help="refuse an unknown user instead of a cold answer")]
Stage = Annotated[Literal["final", "retrieval"], typer.Option(help="retrieval: the first stage's own order")]
Out = Annotated[Path, typer.Option(help="folder to write to")]
ListLength = Annotated[int, typer.Option("--n", "-n", min=1, help="length of a list")]


@app.command()
def run(
    data: Annotated[str, typer.Option(help="demo, ml-100k, ml-1m, ml-latest-small, ..., a folder or a file")] = "demo",
    columns: Columns = None,
    delimiter: Delimiter = None,
    encoding: Encoding = None,
    preset: Preset = "default",
    split: Annotated[HoldoutName | None, typer.Option(help="what evaluation holds back [random for report]")] = None,
    repeats: Repeats = None,
    allow_seen: AllowSeen = False,
    settings: Settings = None,
    seed: Seed = 0,
    n: ListLength = 10,
    artifacts: Artifacts = None,
    data_folder: DataFolder = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """The main job: data -> both stages -> run folder -> recommendation table -> evaluation."""
    from belfry.pipeline.cli.formatting import show_report, show_seconds
    from belfry.pipeline.jobs.run import run_main_job
    from belfry.pipeline.runs.reader import default_artifacts

    with _log_and_one_bar(quiet, verbose) as work:
        job = run_main_job(
            data,
            data_folder=data_folder,
            reading=reading_of(columns, delimiter, encoding),
            preset=preset,
            split=split,
            settings=settings or (),
            repeats=repeats_of(repeats, allow_seen),
            seed=seed,
            n=n,
            artifacts=artifacts or default_artifacts(),
            work=work,
        )
    show_report(job.report)
    if not quiet:
        show_seconds(work.stopwatch)
    _print(job.lines())


@app.command()
def train(
    interactions: Annotated[
        Path, typer.Option(help="CSV, JSON lines, Parquet, Arrow (file, folder or zip): user_id, item_id, ...")
    ],
    items: Annotated[Path | None, typer.Option(help="table of item_id, title and features")] = None,
    users: Annotated[Path | None, typer.Option(help="table of user_id and features")] = None,
    ratings: Annotated[Path | None, typer.Option(help="further interactions: user_id, item_id, rating, ...")] = None,
    columns: Columns = None,
    delimiter: Delimiter = None,
    encoding: Encoding = None,
    preset: Preset = "default",
    holdout: Annotated[
        HoldoutName | None,
        typer.Option(
            help="what stands in for the future while training [time; without times last, by order, or random]"
        ),
    ] = None,
    repeats: Repeats = None,
    allow_seen: AllowSeen = False,
    settings: Settings = None,
    seed: Seed = 0,
    artifacts: Artifacts = None,
    workers: Annotated[int, typer.Option(min=1, help="processes that train on parts of the history at once")] = 1,
    budget: Budget = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Train on all of the interactions and publish a run folder."""
    from belfry.dataset.sources.tabular import read_tables
    from belfry.pipeline.cli.formatting import show_seconds
    from belfry.pipeline.jobs.train import train_tables
    from belfry.pipeline.runs.manifest import MANIFEST, read_manifest
    from belfry.pipeline.runs.reader import default_artifacts

    with _log_and_one_bar(quiet, verbose) as work:
        reading = reading_of(columns, delimiter, encoding)
        published = train_tables(
            partial(read_tables, interactions, items, users, ratings=ratings, reading=reading),
            preset=preset,
            holdout=holdout,
            settings=settings or (),
            repeats=repeats_of(repeats, allow_seen),
            seed=seed,
            artifacts=artifacts or default_artifacts(),
            work=work,
            workers=workers,
            budget_s=budget,
        )
    if not quiet:
        show_seconds(work.stopwatch)
    _print([read_manifest(published / MANIFEST).gate.line, f"published {published}"])


@app.command()
def check(
    tables: Annotated[
        list[str],
        typer.Argument(
            help="the interactions, or whatever run --data takes; further tables are items, users or ratings by their "
            "id columns"
        ),
    ],
    items: Annotated[Path | None, typer.Option(help="table of item_id, title and features")] = None,
    users: Annotated[Path | None, typer.Option(help="table of user_id and features")] = None,
    ratings: Annotated[Path | None, typer.Option(help="further interactions: user_id, item_id, rating, ...")] = None,
    columns: Columns = None,
    delimiter: Delimiter = None,
    encoding: Encoding = None,
    preset: Preset = "default",
    holdout: Annotated[HoldoutName | None, typer.Option(help="as in train")] = None,
    repeats: Repeats = None,
    allow_seen: AllowSeen = False,
    settings: Settings = None,
    data_folder: DataFolder = None,
    as_json: Annotated[bool, typer.Option("--json", help="the report as JSON")] = False,
) -> None:
    """What training would take these tables for, without training; exit code 2 where it would refuse them."""
    from belfry.pipeline.cli.console import INPUT_WRONG
    from belfry.pipeline.jobs.check import check_tables

    found = check_tables(
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
    _print(found.to_json().splitlines() if as_json else found.lines())
    if found.errors:
        raise typer.Exit(INPUT_WRONG)


@app.command()
def recommend(
    users: Annotated[list[str], typer.Argument(help="user ids; ids below zero after --, as in: recommend -- -5")],
    n: ListLength = 10,
    repeats: Repeats = None,
    allow_seen: AllowSeen = False,
    strict: Strict = False,
    explain: Annotated[bool, typer.Option("--explain", help="say what carried each item")] = False,
    artifacts: Artifacts = None,
) -> None:
    """Lists for a few users, with titles."""
    from belfry import Recommender
    from belfry.pipeline.cli.formatting import HOW_TO_READ_REASONS, lines_of_list

    recommender, rule = Recommender.load(artifacts), repeats_of(repeats, allow_seen)
    for text in users:
        user = recommender.user_ids.parse(text)
        results = recommender.recommend(user, n, repeats=rule, strict=strict, explain=explain)
        _print(lines_of_list(text, results))
    if explain:
        typer.echo(HOW_TO_READ_REASONS.rstrip())


@app.command()
def batch(
    out: Out,
    users: Annotated[str, typer.Option(help="all, or a table with a column user_id")] = "all",
    columns: Columns = None,
    delimiter: Delimiter = None,
    encoding: Encoding = None,
    n: ListLength = 10,
    stage: Stage = "final",
    repeats: Repeats = None,
    allow_seen: AllowSeen = False,
    workers: Annotated[int | None, typer.Option(min=1, help="threads that score [one for each core]")] = None,
    artifacts: Artifacts = None,
    quiet: Quiet = False,
) -> None:
    """The recommendation table for all users; a job that was stopped goes on where it was."""
    from belfry import Recommender
    from belfry.pipeline.jobs.batch import write_batch
    from belfry.pipeline.jobs.batch_users import read_users

    reading = reading_of(columns, delimiter, encoding)
    recommender, rule = Recommender.load(artifacts), repeats_of(repeats, allow_seen)
    asked = None if users == "all" else read_users(Path(users), recommender, reading)
    with _log_and_bars(quiet, verbose=False) as progress:
        on_users = partial(progress, "recommendation table")
        result = write_batch(
            recommender, out, users=asked, n=n, stage=stage, repeats=rule, workers=workers, progress=on_users
        )
    _print(result.lines())


@app.command()
def evaluate(
    test: Annotated[Path, typer.Option(help="table of what the users did later: user_id, item_id")],
    artifacts: Artifacts = None,
    recommendations: Annotated[Path | None, typer.Option(help="judge this table, whoever made it")] = None,
    train: Annotated[Path | None, typer.Option(help="with --recommendations: what was known before")] = None,
    items: Annotated[Path | None, typer.Option(help="with --recommendations: the catalogue, beside --train")] = None,
    columns: Columns = None,
    delimiter: Delimiter = None,
    encoding: Encoding = None,
    n: ListLength = 10,
    min_history: Annotated[int, typer.Option(min=1, help="earlier events that a judged user must have")] = 1,
    repeats: Repeats = None,
    allow_seen: AllowSeen = False,
    seed: Seed = 0,
    out: Annotated[Path | None, typer.Option(help="folder for evaluation.json and evaluation.md")] = None,
) -> None:
    """Metrics by stage, beside popularity and ItemKNN; or, with --recommendations, those of any table."""
    from belfry.pipeline.cli.formatting import show_report
    from belfry.pipeline.jobs.evaluate import evaluate_published, evaluate_table, save_report
    from belfry.pipeline.runs.disk import check_writable

    rule, reading = repeats_of(repeats, allow_seen), reading_of(columns, delimiter, encoding)
    if recommendations is None:
        report, folder = evaluate_published(
            artifacts, test, reading=reading, n=n, min_history=min_history, repeats=rule, seed=seed, out=out
        )
    elif train is None:
        raise typer.BadParameter("--recommendations needs --train: what was known before, and must not come back")
    else:
        name, split = recommendations.name, test.name
        folder = out or Path(f"{name}.evaluation")
        check_writable(folder, remedy="name another folder with --out")
        report = evaluate_table(
            recommendations,
            train,
            test,
            items=items,
            reading=reading,
            name=name,
            split=split,
            n=n,
            min_history=min_history,
            repeats=rule,
            seed=seed,
        )
        save_report(report, folder)
    show_report(report)
    _print([f"written to {folder}"])


@app.command()
def compare(
    systems: Annotated[
        list[str],
        typer.Argument(
            help="two or more run folders or tables (user_id, item_id, rank or score), the baseline first; runs of "
            "training of one system are joined by commas: a0.parquet,a1.parquet"
        ),
    ],
    train: Annotated[Path, typer.Option(help="what was known when the lists were made")],
    test: Annotated[Path, typer.Option(help="what the users did later: user_id, item_id, ...")],
    out: Out,
    items: Annotated[
        Path | None, typer.Option(help="table of item_id, title, genres, ...; widens the catalogue")
    ] = None,
    users: Annotated[Path | None, typer.Option(help="table of user_id and columns that tell groups apart")] = None,
    columns: Columns = None,
    delimiter: Delimiter = None,
    encoding: Encoding = None,
    name: Annotated[list[str] | None, typer.Option(help="what to call a system, in their order; repeated")] = None,
    primary: Annotated[str | None, typer.Option(help="the one metric that decides [ndcg@10]")] = None,
    cutoff: Annotated[list[int] | None, typer.Option(min=1, help="length to measure accuracy at; repeated")] = None,
    guardrail: Annotated[
        list[str] | None, typer.Option(help="METRIC@N=CHANGE, e.g. coverage@10=-20%; repeated; replaces the defaults")
    ] = None,
    users_without_list: Annotated[
        Literal["empty", "leave-out"], typer.Option(help="users whom only some tables serve: an empty list, or nobody")
    ] = "empty",
    repeats: Repeats = None,
    allow_seen: AllowSeen = False,
    liked_from: Annotated[float | None, typer.Option(help="rating from which an item is liked [the mean]")] = None,
    log: Annotated[Path | None, typer.Option(help="shown items: user_id, item_id, reward, propensity")] = None,
    log_uniform: Annotated[bool, typer.Option("--log-uniform", help="the log showed every item as likely")] = False,
    seed: Seed = 0,
    quiet: Quiet = False,
) -> None:
    """Is a system better than the first one, for whom, by how much, how sure is that? An offline A/B report."""
    from belfry.pipeline.jobs.compare import PAGE, compare

    reading = reading_of(columns, delimiter, encoding)
    with _log_and_bars(quiet, verbose=False) as progress:
        found = compare(
            *map(_runs_of_training, systems),
            train=train,
            test=test,
            items=items,
            users=users,
            columns=reading.columns,
            delimiter=reading.delimiter,
            encoding=reading.encoding,
            out=out,
            names=name or (),
            primary=primary,
            cutoffs=cutoff or (),
            guardrails=guardrail or (),
            users_without_list=users_without_list,
            repeats=repeats_of(repeats, allow_seen),
            liked_from=liked_from,
            log=log,
            log_is_uniform=log_uniform,
            seed=seed,
            progress=progress,
        )
    for challenger in found.challengers:
        verdict = challenger.verdict
        _print([f"{challenger.name}: {verdict.outcome}", verdict.headline, verdict.size, verdict.uncertainty])
        _print([verdict.next_step, ""])
    _print(f"note: {note}" for note in found.verification.notes)
    _print([f"written to {out / PAGE}"])


@app.command()
def doctor(
    sbom: Annotated[bool, typer.Option("--sbom", help="print what is installed as CycloneDX JSON instead")] = False,
) -> None:
    """Versions, processor, folders: what is usable, and what to do where something is not."""
    from belfry.pipeline.cli.doctor import diagnose, exit_code

    if sbom:
        from belfry.pipeline.cli.sbom import bill_of_materials

        typer.echo(bill_of_materials())
        return
    checks = diagnose()
    width = max(len(check.name) for check in checks)
    for check in checks:
        remedy = f" -> {check.remedy}" if check.remedy else ""
        _print([f"{check.status:4}  {check.name:{width}}  {check.found}{remedy}"])
    raise typer.Exit(exit_code(checks))


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        typer.echo(printable(line))


def _runs_of_training(text: str) -> str | list[str]:
    """A path, or several joined by commas; a path that is there as it stands is one."""
    return text if Path(text).exists() or "," not in text else text.split(",")


@contextmanager
def _log_and_bars(quiet: bool, verbose: bool) -> Iterator["Progress"]:
    """The log and progress bars with the time left, both on stderr."""
    from belfry.pipeline.cli.console import on_bars, progress
    from belfry.pipeline.cli.log import log_to_stderr, quiet_libraries

    log_to_stderr(verbose=verbose)
    with quiet_libraries(quiet), progress(quiet=quiet or verbose) as bars:
        yield on_bars(bars)


@contextmanager
def _log_and_one_bar(quiet: bool, verbose: bool) -> Iterator["Work"]:
    """The log, and one bar for the whole of a job in steps, both on stderr."""
    import logging

    from belfry.dataset.validation.features.table import LOG as COLUMNS_LOG
    from belfry.pipeline.cli.console import one_bar
    from belfry.pipeline.cli.log import log_to_stderr, quiet_libraries
    from belfry.pipeline.progress import Work

    work = Work()
    logging.getLogger(COLUMNS_LOG).setLevel(logging.NOTSET if quiet else logging.INFO)
    with quiet_libraries(quiet), one_bar(work, quiet=quiet or verbose):
        log_to_stderr(verbose=verbose)  # now, so that the log writes above the bar
        yield work
