"""The application of one worker: routes inside guards, and the run that answers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, Response
from starlette.types import ASGIApp

from belfry.pipeline.runs.versions import installed_versions
from belfry.pipeline.server.current_run import CurrentRun
from belfry.pipeline.server.errors import explain_errors
from belfry.pipeline.server.guards.admission import Admission
from belfry.pipeline.server.guards.bodies import Bodies
from belfry.pipeline.server.lanes import Lane
from belfry.pipeline.server.routes import Service, routes
from belfry.pipeline.server.settings import Settings
from belfry.pipeline.server.telemetry.metrics import Metrics
from belfry.pipeline.server.telemetry.observed import Observed

PAGE = Path(__file__).parent / "page"
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
_FILES = {"/": ("page.html", "html"), "/page.js": ("page.js", "javascript"), "/page.css": ("page.css", "css")}
MAX_BULK = 4  # requests for many lists that wait or are scored


def create_app(settings: Settings) -> ASGIApp:
    """The application; the run is loaded when it starts."""
    metrics = Metrics()
    service = Service(
        current=CurrentRun(settings.artifacts, metrics.swapped, settings.require_signature),
        quick=Lane("quick", max_waiting=settings.max_waiting, timeout_s=settings.timeout_s),
        bulk=Lane("bulk", max_waiting=MAX_BULK, timeout_s=settings.timeout_s),
        metrics=metrics,
    )

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await asyncio.to_thread(service.current.start)
        yield
        service.close()

    app = FastAPI(
        title="Belfry",
        summary="Lists out of a published run.",
        version=installed_versions()["belfry-recommender"],
        lifespan=lifespan,
        openapi_url="/v1/openapi.json",
        docs_url=None,  # their pages load scripts from elsewhere
        redoc_url=None,
    )
    explain_errors(app)
    app.include_router(routes(service))
    for path, (name, kind) in _FILES.items():
        _serve_file(app, path, PAGE / name, kind)
    _document_keys(app, settings)
    guarded = Admission(Bodies(app, settings.timeout_s), settings)
    return Observed(guarded, metrics, access_log=settings.access_log)


def _serve_file(app: FastAPI, path: str, file: Path, kind: str) -> None:
    content, headers = file.read_bytes(), {"content-security-policy": PAGE_POLICY, "cache-control": "no-cache"}

    @app.get(path, include_in_schema=False)
    async def page() -> Response:
        return Response(content, headers=headers, media_type=f"text/{kind}; charset=utf-8")


def _document_keys(app: FastAPI, settings: Settings) -> None:
    """Where keys are asked for, the documentation says so."""
    if settings.keys:
        schema = app.openapi()
        schema.setdefault("components", {})["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        schema["security"] = [{"key": []}]
