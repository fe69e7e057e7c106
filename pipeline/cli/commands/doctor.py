"""The verb that looks at the machine: doctor."""

from typing import Annotated

import typer

from belfry.pipeline.cli.commands.app import app
from belfry.pipeline.cli.terminal import print_lines


@app.command()
def doctor(
    sbom: Annotated[bool, typer.Option("--sbom", help="print what is installed as CycloneDX JSON instead")] = False,
    rates: Annotated[
        bool, typer.Option("--rates", help="measure this machine for a few seconds; --dry-run estimates by it")
    ] = False,
) -> None:
    """Versions, processor, folders: what is usable, and what to do where something is not."""
    from belfry.pipeline.cli.doctor import diagnose, exit_code

    if sbom:
        from belfry.pipeline.cli.sbom import bill_of_materials

        typer.echo(bill_of_materials())
        return
    if rates:
        from belfry.pipeline.jobs.estimate.rates import keep, measure

        found = measure()
        print_lines([found.line(), f"kept in {keep(found)}"])
        return
    checks = diagnose()
    width = max(len(check.name) for check in checks)
    for check in checks:
        remedy = f" -> {check.remedy}" if check.remedy else ""
        print_lines([f"{check.status:4}  {check.name:{width}}  {check.found}{remedy}"])
    raise typer.Exit(exit_code(checks))
