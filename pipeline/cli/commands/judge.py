"""Verbs that judge lists: evaluate, compare."""

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from belfry.pipeline.cli.colour import Meaning
from belfry.pipeline.cli.commands.app import verb
from belfry.pipeline.cli.options import (
    Artifacts,
    HowToRead,
    Json,
    ListLength,
    Log,
    LogClip,
    Out,
    Quiet,
    RepeatsOrSeen,
    RequireSignature,
    RulesFile,
    Seed,
)
from belfry.pipeline.cli.terminal import log_alone, log_and_bars, print_json, print_line, print_lines

_MEANINGS: dict[str, Meaning] = {"better": "good", "not shown": "caution"}  # of verdicts; the others are bad


@verb
def evaluate(
    *,
    ctx: typer.Context,
    test: Annotated[Path, typer.Option(help="table of what the users did later: user_id, item_id")],
    artifacts: Artifacts = None,
    recommendations: Annotated[Path | None, typer.Option(help="judge this table, whoever made it")] = None,
    train: Annotated[Path | None, typer.Option(help="with --recommendations: what was known before")] = None,
    items: Annotated[Path | None, typer.Option(help="with --recommendations: the catalogue, beside --train")] = None,
    reading: HowToRead,
    n: ListLength = 10,
    min_history: Annotated[
        int, typer.Option(min=0, help="earlier events that a judged user must have; 0 judges newcomers too")
    ] = 1,
    repeats: RepeatsOrSeen,
    rules: RulesFile = None,
    log: Log = None,
    log_clip: LogClip = None,
    seed: Seed = 0,
    out: Annotated[Path | None, typer.Option(help="folder for evaluation.json and evaluation.md")] = None,
    require_signature: RequireSignature = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Metrics by stage, beside popularity and ItemKNN; or, with --recommendations, those of any table."""
    from belfry.dataset.sources.web.objects import place_of
    from belfry.evaluation.reports.evaluation import to_json
    from belfry.pipeline.cli.formatting import show_report
    from belfry.pipeline.jobs.evaluate import evaluate_published, save_report
    from belfry.pipeline.jobs.evaluate_table import evaluate_table
    from belfry.pipeline.runs.writer import check_place

    ctx.with_resource(log_alone(quiet))
    if recommendations is None:
        report, folder = evaluate_published(
            artifacts,
            test,
            reading=reading,
            n=n,
            min_history=min_history,
            repeats=repeats,
            rules=rules,
            log=log,
            log_clip=log_clip,
            seed=seed,
            out=out,
            require_signature=require_signature,
        )
    elif rules is not None:
        raise typer.BadParameter("--rules shape the lists of a run; --recommendations has lists that are made already")
    elif train is None:
        raise typer.BadParameter("--recommendations needs --train: what was known before, and must not come back")
    else:
        name, split = recommendations.name, test.name
        folder = out or Path(f"{name}.evaluation")
        check_place(folder, remedy="name another folder with --out")
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
            repeats=repeats,
            log=log,
            log_clip=log_clip,
            seed=seed,
        )
        save_report(report, folder)
    if as_json:
        print_json(json.loads(to_json(report)))
        return
    show_report(report)
    print_lines([f"written to {place_of(folder)}"])


@verb
def compare(
    *,
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
    reading: HowToRead,
    name: Annotated[list[str] | None, typer.Option(help="what to call a system, in their order; repeated")] = None,
    primary: Annotated[str | None, typer.Option(help="the one metric that decides [ndcg@10]")] = None,
    cutoff: Annotated[list[int] | None, typer.Option(min=1, help="length to measure accuracy at; repeated")] = None,
    guardrail: Annotated[
        list[str] | None, typer.Option(help="METRIC@N=CHANGE, e.g. coverage@10=-20%; repeated; replaces the defaults")
    ] = None,
    users_without_list: Annotated[
        Literal["empty", "leave-out"], typer.Option(help="users whom only some tables serve: an empty list, or nobody")
    ] = "empty",
    repeats: RepeatsOrSeen,
    liked_from: Annotated[float | None, typer.Option(help="rating from which an item is liked [the mean]")] = None,
    log: Log = None,
    log_uniform: Annotated[bool, typer.Option("--log-uniform", help="the log showed every item as likely")] = False,
    log_clip: LogClip = None,
    seed: Seed = 0,
    require_signature: RequireSignature = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Is a system better than the first one, for whom, by how much, how sure is that? An offline A/B report."""
    from belfry.pipeline.jobs.compare import PAGE, compare

    with log_and_bars(quiet) as progress:
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
            repeats=repeats,
            liked_from=liked_from,
            log=log,
            log_is_uniform=log_uniform,
            log_clip=log_clip,
            seed=seed,
            require_signature=require_signature,
            progress=progress,
        )
    if as_json:
        print_json(found)
        return
    for challenger in found.challengers:
        verdict = challenger.verdict
        print_line(f"{challenger.name}: ", (verdict.outcome, _MEANINGS.get(verdict.outcome, "bad")))
        print_lines([verdict.headline, verdict.size, verdict.uncertainty, verdict.next_step, ""])
    print_lines(f"note: {note}" for note in found.verification.notes)
    print_lines([f"written to {out / PAGE}"])


def _runs_of_training(text: str) -> str | list[str]:
    """A path, or several joined by commas; a path that is there as it stands is one."""
    return text if Path(text).exists() or "," not in text else text.split(",")
