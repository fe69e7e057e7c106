"""The verb that searches for settings: tune."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from belfry.pipeline.cli.commands.app import verb
from belfry.pipeline.cli.options import (
    HoldoutName,
    HowToRead,
    Items,
    Json,
    Preset,
    Quiet,
    Ratings,
    Repeats,
    Seed,
    Settings,
    Users,
    seconds_of,
)
from belfry.pipeline.cli.terminal import log_and_bars, print_result


@verb
def tune(
    *,
    interactions: Annotated[Path, typer.Option(help="as in train")],
    out: Annotated[Path, typer.Option(help="folder of the search: preset, page and study; a search goes on there")],
    items: Items = None,
    users: Users = None,
    ratings: Ratings = None,
    reading: HowToRead,
    preset: Preset = "default",
    holdout: Annotated[HoldoutName | None, typer.Option(help="as in train")] = None,
    repeats: Repeats = None,
    settings: Settings = None,
    seed: Seed = 0,
    trials: Annotated[int, typer.Option(min=1, help="in all; the first one changes nothing")] = 30,
    time: Annotated[
        float | None, typer.Option("--time", parser=seconds_of, metavar="TIME", help="90s, 30m, 1.5h: about the end")
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Search for settings on what the history holds back; the preset it writes is better, or the old one."""
    from belfry.dataset.sources.tabular import read_tables
    from belfry.pipeline.jobs.tuning.tune import tune_tables

    with log_and_bars(quiet) as progress:
        found = tune_tables(
            partial(read_tables, interactions, items, users, ratings=ratings, reading=reading),
            out=out,
            n_trials=trials,
            time_s=time,
            preset=preset,
            holdout=holdout,
            settings=settings or (),
            repeats=repeats,
            seed=seed,
            progress=progress,
        )
    print_result(found.lines(), found, as_json=as_json)
