"""Verbs that ask a published run: recommend, batch."""

from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from belfry.pipeline.cli.commands.app import app
from belfry.pipeline.cli.options import (
    Address,
    AllowSeen,
    Artifacts,
    Columns,
    Context,
    Delimiter,
    DryRun,
    Encoding,
    Features,
    History,
    Json,
    ListLength,
    Quiet,
    Repeats,
    RequireSignature,
    RulesFile,
    Stage,
    Strict,
    Where,
    context_of,
    features_of,
    reading_of,
    repeats_of,
)
from belfry.pipeline.cli.terminal import log_alone, log_and_bars, print_json, print_lines, print_result, tell_estimate


@app.command()
def recommend(
    ctx: typer.Context,
    users: Annotated[
        list[str] | None,
        typer.Argument(help="user ids; ids below zero after --, as in: recommend -- -5; none for somebody new"),
    ] = None,
    n: ListLength = 10,
    features: Features = None,
    history: History = None,
    context: Context = None,
    repeats: Repeats = None,
    allow_seen: AllowSeen = False,
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

    told, kind, moment = features_of(features), repeats_of(repeats, allow_seen), context_of(context)
    if not users and told is None and not history:
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
            features=told,
            history=items,
            context=moment,
            repeats=kind,
            strict=strict,
            explain=explain,
            rules=bound.rules if bound else None,
        )
        why_fewer = bound.why_fewer() if bound and len(results) < n else None
        if as_json:
            lists.append({"user": user, "items": json_of_list(results), "why_fewer": why_fewer})
            continue
        print_lines(lines_of_list(text or "new", results))
        if why_fewer:
            print_lines([f"      {len(results)} of {n}: {why_fewer}"])
    if as_json:
        print_json({"run": recommender.run.name, "lists": lists})
    elif explain and not quiet:
        typer.echo(HOW_TO_READ_REASONS.rstrip())


@app.command()
def batch(
    out: Annotated[
        str,
        typer.Option(
            help="folder to write to; or s3://BUCKET/PREFIX, delta:PATH, duckdb:FILE?table=NAME, "
            "postgresql://USER@HOST/DATABASE?table=NAME"
        ),
    ],
    users: Annotated[str, typer.Option(help="all, or a table of user_id and, for new ones, features")] = "all",
    columns: Columns = None,
    delimiter: Delimiter = None,
    encoding: Encoding = None,
    n: ListLength = 10,
    stage: Stage = "final",
    context: Context = None,
    repeats: Repeats = None,
    allow_seen: AllowSeen = False,
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

    reading = reading_of(columns, delimiter, encoding)
    kind = repeats_of(repeats, allow_seen)
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
            context=context_of(context),
            repeats=kind,
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
