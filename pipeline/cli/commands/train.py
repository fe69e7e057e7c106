"""Verbs that learn from tables: run, train, check."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from belfry.pipeline.cli.commands.app import app
from belfry.pipeline.cli.options import (
    AllowSeen,
    Artifacts,
    Budget,
    Columns,
    DataFolder,
    Delimiter,
    DryRun,
    Encoding,
    HoldoutName,
    Items,
    ListLength,
    Preset,
    Quiet,
    Ratings,
    Repeats,
    Seed,
    Settings,
    Sign,
    TableArguments,
    Track,
    Users,
    Verbose,
    reading_of,
    repeats_of,
)
from belfry.pipeline.cli.terminal import log_and_one_bar, print_lines, tell_estimate


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
    sign: Sign = None,
    data_folder: DataFolder = None,
    track: Track = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """The main job: data -> both stages -> run folder -> recommendation table -> evaluation."""
    from belfry.pipeline.cli.formatting import show_report, show_seconds
    from belfry.pipeline.jobs.run import run_main_job
    from belfry.pipeline.jobs.tracking import trackers_of
    from belfry.pipeline.runs.reader import default_artifacts

    trackers = trackers_of(track or ())
    with log_and_one_bar(quiet, verbose) as work:
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
            sign=sign,
        )
    show_report(job.report)
    if not quiet:
        show_seconds(work.stopwatch)
    print_lines(job.lines())
    for tell in trackers:
        tell(job.run)


@app.command()
def train(
    interactions: Annotated[
        Path, typer.Option(help="CSV, JSON lines, Parquet, Arrow (file, folder or zip): user_id, item_id, ...")
    ],
    items: Items = None,
    users: Users = None,
    ratings: Ratings = None,
    columns: Columns = None,
    delimiter: Delimiter = None,
    encoding: Encoding = None,
    preset: Annotated[str | None, typer.Option(help="as in run; with --from that of the run [default]")] = None,
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
    start_from: Annotated[
        Path | None,
        typer.Option("--from", help="a run, or an artifacts folder, whose weights to go on from instead of nothing"),
    ] = None,
    sign: Sign = None,
    workers: Annotated[int, typer.Option(min=1, help="processes that train on parts of the history at once")] = 1,
    budget: Budget = None,
    dry_run: DryRun = False,
    track: Track = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Train on all of the interactions and publish a run folder."""
    if dry_run:
        from belfry.pipeline.jobs.estimate.dry_run import estimate_training
        from belfry.pipeline.runs.reader import default_artifacts

        place, how = artifacts or default_artifacts(), reading_of(columns, delimiter, encoding)
        tables, is_default = (interactions, items, users), preset in (None, "default") and not settings
        tell_estimate(estimate_training(*tables, reading=how, artifacts=place, is_default=is_default, workers=workers))
    from belfry.dataset.sources.tabular import read_tables
    from belfry.pipeline.cli.formatting import show_seconds
    from belfry.pipeline.jobs.tracking import trackers_of
    from belfry.pipeline.jobs.train import train_tables
    from belfry.pipeline.runs.manifest import MANIFEST, read_manifest
    from belfry.pipeline.runs.reader import default_artifacts

    trackers = trackers_of(track or ())
    with log_and_one_bar(quiet, verbose) as work:
        reading = reading_of(columns, delimiter, encoding)
        published = train_tables(
            partial(read_tables, interactions, items, users, ratings=ratings, reading=reading),
            preset=preset,
            holdout=holdout,
            settings=settings or (),
            repeats=repeats_of(repeats, allow_seen),
            seed=seed,
            artifacts=artifacts or default_artifacts(),
            start_from=start_from,
            work=work,
            workers=workers,
            budget_s=budget,
            sign=sign,
        )
    if not quiet:
        show_seconds(work.stopwatch)
    print_lines([read_manifest(published / MANIFEST).gate.line, f"published {published}"])
    for tell in trackers:
        tell(published)


@app.command()
def check(
    tables: TableArguments,
    items: Items = None,
    users: Users = None,
    ratings: Ratings = None,
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
    print_lines(found.to_json().splitlines() if as_json else found.lines())
    if found.errors:
        raise typer.Exit(INPUT_WRONG)
