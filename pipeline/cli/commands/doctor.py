"""The verb that looks at the machine: doctor."""

from typing import Annotated

import typer

from belfry.pipeline.cli.commands.app import verb
from belfry.pipeline.cli.options import Json
from belfry.pipeline.cli.terminal import print_json, print_line, print_result


@verb
def doctor(
    sbom: Annotated[bool, typer.Option("--sbom", help="print what is installed as CycloneDX JSON instead")] = False,
    rates: Annotated[
        bool, typer.Option("--rates", help="measure this machine for a few seconds; --dry-run estimates by it")
    ] = False,
    as_json: Json = False,
) -> None:
    """Versions, processor, folders: what is usable, and what to do where something is not."""
    from belfry.pipeline.cli.doctor import MEANINGS, diagnose, exit_code

    if sbom:
        from belfry.pipeline.cli.sbom import bill_of_materials

        typer.echo(bill_of_materials())
        return
    if rates:
        from belfry.pipeline.jobs.estimate.rates import keep, measure

        found = measure()
        print_result([found.line(), f"kept in {keep(found)}"], found, as_json=as_json)
        return
    checks = diagnose()
    if as_json:
        print_json(checks)
        raise typer.Exit(exit_code(checks))
    width = max(len(check.name) for check in checks)
    for check in checks:
        remedy = f" -> {check.remedy}" if check.remedy else ""
        print_line((f"{check.status:4}", MEANINGS[check.status]), f"  {check.name:{width}}  {check.found}{remedy}")
    raise typer.Exit(exit_code(checks))
