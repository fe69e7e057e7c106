"""Verbs for the runs of an artifacts folder: runs list, show, diff, verify, prune, rollback."""

import json
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from belfry.pipeline.cli import completion
from belfry.pipeline.cli.commands.app import app
from belfry.pipeline.cli.options import Artifacts, Json, RequireSignature, days_of
from belfry.pipeline.cli.terminal import print_json, print_line, print_result

if TYPE_CHECKING:
    from belfry.pipeline.runs.manifest import Manifest

runs = typer.Typer(no_args_is_help=True, help="The runs of an artifacts folder: which there are, which is in use.")
app.add_typer(runs, name="runs")

Run = Annotated[
    str | None, typer.Argument(help="name of a run [the current one]", autocompletion=completion.names_of_runs)
]


@runs.command(name="list")
def list_(artifacts: Artifacts = None, as_json: Json = False) -> None:
    """All runs, the newest first; * marks the current one."""
    from belfry.pipeline.cli.formatting import lines_of_runs
    from belfry.pipeline.runs.registry.listed import list_runs

    found = list_runs(_folder(artifacts))
    print_result(lines_of_runs(found), [run.to_dict() for run in found], as_json=as_json)


@runs.command()
def show(run: Run = None, artifacts: Artifacts = None, as_json: Json = False) -> None:
    """What a run says of itself: data, settings, gate, sources, where the time went."""
    from belfry.pipeline.cli.formatting import lines_of_manifest

    manifest = _manifest(artifacts, run)
    print_result(lines_of_manifest(manifest), manifest, as_json=as_json)


@runs.command()
def diff(
    a: Annotated[str, typer.Argument(help="name of a run", autocompletion=completion.names_of_runs)],
    b: Run = None,
    artifacts: Artifacts = None,
    as_json: Json = False,
) -> None:
    """What tells two runs apart: data, settings, versions, what was measured."""
    from belfry.pipeline.runs.registry.differences import differences

    found = differences(_manifest(artifacts, a), _manifest(artifacts, b))
    lines = (f"{key}: {json.dumps(of_a)} -> {json.dumps(of_b)}" for key, (of_a, of_b) in found.items())
    print_result(lines, found, as_json=as_json)


@runs.command()
def verify(
    run: Annotated[
        list[str] | None, typer.Argument(help="names of runs [all]", autocompletion=completion.names_of_runs)
    ] = None,
    artifacts: Artifacts = None,
    require_signature: RequireSignature = None,
    as_json: Json = False,
) -> None:
    """Check every byte, and answer once from each; exit code 2 where one is damaged."""
    from belfry import Recommender
    from belfry.dataset.errors import ArtifactError, InputError
    from belfry.pipeline.cli.console import INPUT_WRONG
    from belfry.pipeline.runs.reader import is_run
    from belfry.pipeline.runs.registry.listed import folder_anew, list_runs

    folder = _folder(artifacts)
    damage: dict[str, str | None] = {}
    for name in run or [found.name for found in list_runs(folder)]:
        try:
            Recommender.load(folder_anew(folder, name), require_signature=require_signature)
            damage[name] = None
        except InputError as error:
            if not run and not is_run(folder / name):
                continue  # it was pruned meanwhile
            if not isinstance(error, ArtifactError):
                raise
            damage[name] = str(error)
        if not as_json:
            print_line(f"{name}: ", (damage[name] or "whole", "bad" if damage[name] else "good"))
    if as_json:
        print_json([{"name": name, "is_whole": what is None, "damage": what} for name, what in damage.items()])
    raise typer.Exit(INPUT_WRONG if any(damage.values()) else 0)


@runs.command()
def prune(
    keep: Annotated[int, typer.Option(min=1, help="how many of the newest stay, beside the current one")],
    older_than: Annotated[
        timedelta | None, typer.Option(parser=days_of, metavar="DAYS", help="and only those published before, as 30d")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what would go, and leave it")] = False,
    artifacts: Artifacts = None,
    as_json: Json = False,
) -> None:
    """Remove old runs; the current one stays, and what cannot be read."""
    from belfry.pipeline.runs.registry.listed import remove_runs, to_prune

    folder = _folder(artifacts)
    found = to_prune(folder, keep, older_than)
    n_bytes = {run.name: run.n_bytes for run in found}
    names = list(n_bytes) if dry_run else remove_runs(folder, list(n_bytes))
    lines = [f"{'would remove' if dry_run else 'removed'} {name}  {n_bytes[name]:,} bytes" for name in names]
    gone = [{"name": name, "n_bytes": n_bytes[name]} for name in names]
    print_result(lines or ["nothing to remove"], {"is_removed": not dry_run, "runs": gone}, as_json=as_json)


@runs.command()
def rollback(
    run: Annotated[
        str | None,
        typer.Argument(help="name of a run [the one published before]", autocompletion=completion.names_of_runs),
    ] = None,
    artifacts: Artifacts = None,
    as_json: Json = False,
) -> None:
    """Make an earlier run the current one again, once all of it was checked."""
    from belfry.pipeline.runs.registry.listed import roll_back

    before, now = roll_back(_folder(artifacts), run)
    print_result([f"current run: {now}, before: {before or 'none'}"], {"run": now, "before": before}, as_json=as_json)


def _folder(artifacts: Path | None) -> Path:
    from belfry.pipeline.runs.reader import default_artifacts

    return artifacts or default_artifacts()


def _manifest(artifacts: Path | None, run: str | None) -> "Manifest":
    from belfry.pipeline.runs.reader import find_run
    from belfry.pipeline.runs.registry.listed import folder_of

    folder = _folder(artifacts)
    return find_run(folder_of(folder, run) if run else folder).manifest
