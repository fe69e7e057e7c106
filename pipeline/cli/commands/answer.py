"""Verbs that ask a published run: recommend, batch."""

from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from belfry.pipeline.cli.commands.app import verb
from belfry.pipeline.cli.options import (
    Address,
    Artifacts,
    ContextValues,
    DryRun,
    FeatureValues,
    History,
    HowToRead,
    Json,
    ListLength,
    Quiet,
    RepeatsOrSeen,
    RequireSignature,
    RulesFile,
    Stage,
    Strict,
    Where,
)
from belfry.pipeline.cli.terminal import log_alone, log_and_bars, print_json, print_lines, print_result, tell_estimate


@verb
def recommend(
    *,
    ctx: typer.Context,
    users: Annotated[
        list[str] | None,
        typer.Argument(help="user ids; ids below zero after --, as in: recommend -- -5; none for somebody new"),
    ] = None,
    n: ListLength = 10,
    features: FeatureValues,
    history: History = None,
    context: ContextValues,
    repeats: RepeatsOrSeen,
    strict: Strict = False,
    explain: Annotated[bool, typer.Option("--explain", help="say what carried each item")] = False,
    rules: RulesFile = None,
    where: Where = None,
    artifacts: Artifacts = None,
    require_signature: RequireSignature = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Lists for a few users, with titles."""
    from belfry import Recommender
    from belfry.pipeline.cli.formatting import HOW_TO_READ_REASONS, json_of_list, lines_of_list

    if not users and features is None and not history:
        raise typer.BadParameter("name a user, or say by --features or --history who is asked for")
    ctx.with_resource(log_alone(quiet))
    recommender = Recommender.load(artifacts, require_signature=require_signature)
    bound = recommender.bound(rules, where)
    items = [recommender.item_ids.parse(item) for text in history or () for item in text.split(",")]
    lists: list[dict[str, object]] = []
    for text in users or [""]:
        user = recommender.user_ids.parse(text) if users else None
        results = recommender.recommend(
            user,
            n,
            features=features,
            history=items,
            context=context,
            repeats=repeats,
            strict=strict,
            explain=explain,
            rules=bound.rules if bound else None,
        )
        why_fewer = bound.why_fewer() if bound and len(results) < n else None
        if as_json:
            lists.append({"user": user, "items": json_of_list(results), "why_fewer": why_fewer})
            continue
        print_lines(lines_of_list("new" if user is None else str(user), results))
        if why_fewer:
            print_lines([f"      {len(results)} of {n}: {why_fewer}"])
    if as_json:
        print_json({"run": recommender.run.name, "lists": lists})
    elif explain and not quiet:
        typer.echo(HOW_TO_READ_REASONS.rstrip())


@verb
def batch(
    *,
    out: Annotated[
        str,
        typer.Option(
            help="folder to write to; or s3://BUCKET/PREFIX, delta:PATH, duckdb:FILE?table=NAME, "
            "postgresql://USER@HOST/DATABASE?table=NAME"
        ),
    ],
    users: Annotated[str, typer.Option(help="all, or a table of user_id and, for new ones, features")] = "all",
    reading: HowToRead,
    n: ListLength = 10,
    stage: Stage = "final",
    context: ContextValues,
    repeats: RepeatsOrSeen,
    history: Annotated[
        Path | None, typer.Option(help="table of user_id, item_id: watched since, read for these lists alone")
    ] = None,
    rules: RulesFile = None,
    where: Where = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="columns of what carried each item; several times as long")
    ] = False,
    format: Annotated[  # noqa: A002
        Literal["parquet", "csv", "jsonl"], typer.Option("--format", help="of the file in a folder")
    ] = "parquet",
    workers: Annotated[int | None, typer.Option(min=1, help="threads that score [one for each core]")] = None,
    engine: Annotated[
        Literal["threads", "ray"], typer.Option("--engine", help="what scores: threads, or a cluster of Ray")
    ] = "threads",
    address: Address = None,
    dry_run: DryRun = False,
    artifacts: Artifacts = None,
    require_signature: RequireSignature = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """The recommendation table for all users; a job that was stopped goes on where it was."""
    from belfry import Recommender
    from belfry.pipeline.jobs.batch import write_batch
    from belfry.pipeline.jobs.batch_users import read_users

    recommender = Recommender.load(artifacts, require_signature=require_signature)
    if history is not None:
        from belfry.pipeline.jobs.updating.fresh import with_history

        recommender = with_history(recommender, history, reading)
    asked = None if users == "all" else read_users(Path(users), recommender, reading)
    if dry_run:
        from belfry.pipeline.jobs.estimate.dry_run import estimate_table

        tell_estimate(estimate_table(recommender, out, asked, n), as_json)
    with log_and_bars(quiet) as progress:
        on_users = partial(progress, "recommendation table")
        result = write_batch(
            recommender,
            out,
            users=asked,
            n=n,
            stage=stage,
            context=context,
            repeats=repeats,
            rules=rules,
            where=where,
            explain=explain,
            format=format,
            workers=workers,
            engine=engine,
            address=address,
            progress=on_users,
        )
    print_result(result.lines(), result, as_json=as_json)
