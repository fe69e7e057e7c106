"""The verb that answers over HTTP: serve."""

from pathlib import Path
from typing import Annotated

import typer

from belfry.pipeline.cli.commands.app import verb
from belfry.pipeline.cli.options import Artifacts, RequireSignature
from belfry.pipeline.cli.terminal import print_lines


@verb
def serve(
    artifacts: Artifacts = None,
    require_signature: RequireSignature = None,
    host: Annotated[str, typer.Option(help="address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0: any that is free")] = 8080,
    workers: Annotated[int, typer.Option(min=1, max=256, help="processes, each with the run in memory")] = 1,
    api_key_file: Annotated[
        Path | None, typer.Option(help="lines NAME sha256:HASH, or NAME KEY in a file that nobody else may read")
    ] = None,
    without_keys: Annotated[bool, typer.Option("--without-keys", help="answer whoever reaches the port")] = False,
    rate: Annotated[float, typer.Option(min=0.01, help="requests a second of one key, or address")] = 1_000,
    max_waiting: Annotated[int, typer.Option(min=1, help="requests that wait in each worker; beyond: 503")] = 64,
    timeout: Annotated[float, typer.Option(min=0.1, max=3_600, help="seconds to take or to answer a request")] = 10,
    access_log: Annotated[bool, typer.Option(help="a line of JSON for each request, on stderr")] = True,
) -> None:
    """Lists over HTTP, of the run that is current: one that is published meanwhile is taken up."""
    from belfry.dataset.errors import needed
    from belfry.dataset.sources.web.objects import place_of
    from belfry.pipeline.runs.reader import default_artifacts, find_run
    from belfry.pipeline.server.guards.keys import NO_KEYS, read_keys
    from belfry.pipeline.server.settings import Settings

    for library in ("fastapi", "uvicorn", "prometheus_client"):
        needed(library, "serve", "belfry serve")
    from belfry.pipeline.server.process import bind, serve

    settings = Settings(
        artifacts=artifacts or default_artifacts(),
        require_signature=require_signature,
        host=host,
        port=port,
        workers=workers,
        keys=NO_KEYS if api_key_file is None else read_keys(api_key_file),
        for_everybody=without_keys,
        rate=rate,
        max_waiting=max_waiting,
        timeout_s=timeout,
        access_log=access_log,
    )
    settings.check()
    find_run(settings.artifacts, require_signature)  # said before anybody is told where to ask
    with bind(settings) as listening:
        address, number = listening.getsockname()[:2]
        shown = f"[{address}]" if ":" in address else address
        place = place_of(settings.artifacts)
        print_lines([f"http://{shown}:{number}/ answers from {place}; stop it by Ctrl-C or SIGTERM"])
        serve(settings, listening)
