"""Verbs that learn from tables: run, train, check."""

import json
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from belfry.pipeline.cli import completion
from belfry.pipeline.cli.commands.app import verb
from belfry.pipeline.cli.options import (
    Address,
    Artifacts,
    AskedOfTables,
    Budget,
    DataFolder,
    DryRun,
    HoldoutName,
    HowToRead,
    Items,
    Json,
    ListLength,
    Preset,
    Quiet,
    Ratings,
    RepeatsOrSeen,
    Seed,
    Settings,
    Sign,
    TableArguments,
    Track,
    Users,
    Verbose,
)
from belfry.pipeline.cli.terminal import (
    log_alone,
    log_and_one_bar,
    print_json,
    print_lines,
    print_result,
    tell_estimate,
)


@verb
def run(
    *,
    data: Annotated[
        str,
        typer.Option(
            help="demo, ml-100k, ml-1m, ml-latest-small, ..., a folder or a file", autocompletion=completion.data_sets
        ),
    ] = "demo",
    reading: HowToRead,
    preset: Preset = "default",
    split: Annotated[HoldoutName | None, typer.Option(help="what evaluation holds back [random for report]")] = None,
    repeats: RepeatsOrSeen,
    settings: Settings = None,
    seed: Seed = 0,
    n: ListLength = 10,
    artifacts: Artifacts = None,
    sign: Sign = None,
    data_folder: DataFolder = None,
    track: Track = None,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """The main job: data -> both stages -> run folder -> recommendation table -> evaluation."""
    from belfry.pipeline.cli.formatting import show_report, show_seconds
    from belfry.pipeline.jobs.run import run_main_job
    from belfry.pipeline.runs.reader import default_artifacts
    from belfry.pipeline.runs.registry.tracking import trackers_of

    trackers = trackers_of(track or ())
    with log_and_one_bar(quiet, verbose) as work:
        job = run_main_job(
            data,
            data_folder=data_folder,
            reading=reading,
            preset=preset,
            split=split,
            settings=settings or (),
            repeats=repeats,
            seed=seed,
            n=n,
            artifacts=artifacts or default_artifacts(),
            work=work,
            sign=sign,
        )
    if as_json:
        print_json({**job.to_json(), "seconds": work.stopwatch.by_stage()})
    else:
        show_report(job.report)
        if not quiet:
            show_seconds(work.stopwatch)
        print_lines(job.lines())
    for tell in trackers:
        tell(job.run)


@verb
def train(
    *,
    interactions: Annotated[
        Path, typer.Option(help="CSV, JSON lines, Parquet, Arrow (file, folder or zip): user_id, item_id, ...")
    ],
    items: Items = None,
    users: Users = None,
    ratings: Ratings = None,
    reading: HowToRead,
    preset: Annotated[
        str | None,
        typer.Option(help="as in run; with --from that of the run [default]", autocompletion=completion.presets),
    ] = None,
    holdout: Annotated[
        HoldoutName | None,
        typer.Option(
            help="what stands in for the future while training [time; without times last, by order, or random]"
        ),
    ] = None,
    repeats: RepeatsOrSeen,
    settings: Settings = None,
    seed: Seed = 0,
    artifacts: Artifacts = None,
    start_from: Annotated[
        Path | None,
        typer.Option("--from", help="a run, or an artifacts folder, whose weights to go on from instead of nothing"),
    ] = None,
    sign: Sign = None,
    workers: Annotated[int, typer.Option(min=1, help="processes that train on parts of the history at once")] = 1,
    address: Address = None,
    budget: Budget = None,
    dry_run: DryRun = False,
    track: Track = None,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Train on all of the interactions and publish a run folder."""
    if dry_run:
        from belfry.pipeline.jobs.estimate.dry_run import estimate_training
        from belfry.pipeline.runs.reader import default_artifacts

        estimate = estimate_training(
            interactions,
            items,
            users,
            reading=reading,
            artifacts=artifacts or default_artifacts(),
            is_default=preset in (None, "default") and not settings,
            workers=workers,
        )
        tell_estimate(estimate, as_json)
    from belfry.dataset.sources.tabular import read_tables
    from belfry.dataset.sources.web.objects import place_of
    from belfry.pipeline.cli.formatting import show_seconds
    from belfry.pipeline.jobs.train import train_tables
    from belfry.pipeline.runs.manifest import MANIFEST, read_manifest
    from belfry.pipeline.runs.reader import default_artifacts
    from belfry.pipeline.runs.registry.tracking import trackers_of

    trackers, folder = trackers_of(track or ()), artifacts or default_artifacts()
    with log_and_one_bar(quiet, verbose) as work:
        published = train_tables(
            partial(read_tables, interactions, items, users, ratings=ratings, reading=reading),
            preset=preset,
            holdout=holdout,
            settings=settings or (),
            repeats=repeats,
            seed=seed,
            artifacts=folder,
            start_from=start_from,
            work=work,
            workers=workers,
            address=address,
            budget_s=budget,
            sign=sign,
        )
    gate, place = read_manifest(published / MANIFEST).gate, place_of(folder / published.name)
    if as_json:
        told = {"run": published.name, "folder": place, "gate": gate}
        print_json({**told, "seconds": work.stopwatch.by_stage()})
    else:
        if not quiet:
            show_seconds(work.stopwatch)
        print_lines([gate.line, f"published {place}"])
    for tell in trackers:
        tell(published)


@verb
def check(
    *,
    ctx: typer.Context,
    tables: TableArguments,
    asked: AskedOfTables,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """What training would take these tables for, without training; exit code 2 where it would refuse them."""
    from belfry.pipeline.cli.console import INPUT_WRONG
    from belfry.pipeline.jobs.check import check_tables

    ctx.with_resource(log_alone(quiet))
    found = check_tables(*tables, **asked)
    print_result(found.lines(), json.loads(found.to_json()), as_json=as_json)
    if found.errors:
        raise typer.Exit(INPUT_WRONG)
