"""Observed: the outermost layer, which sees every request: its id, log line, figures and headers; and every failure."""

import logging
import secrets
import time

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from belfry.pipeline.server.errors import INTERNAL, error_response
from belfry.pipeline.server.telemetry.logs import ACCESS
from belfry.pipeline.server.telemetry.metrics import Metrics

LONGEST_PATH = 200  # signs of it that are logged
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
HEADERS = {
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}

access = logging.getLogger(ACCESS)
log = logging.getLogger(__name__)


class Observed:
    """Whatever happens inside, somebody is answered and a line is logged."""

    def __init__(self, app: ASGIApp, metrics: Metrics, *, access_log: bool) -> None:
        self._app, self._metrics, self._access_log = app, metrics, access_log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started_s, status, request_id = time.perf_counter(), 0, secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = request_id
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        self._metrics.waiting.inc()
        try:
            await self._app(scope, receive, send_with_headers)
        except Exception as error:
            log.error("a request failed", exc_info=error, extra={"fields": {"request_id": request_id}})
            if not status:
                await error_response(500, *INTERNAL)(scope, receive, send_with_headers)
        finally:
            self._metrics.waiting.dec()
            self._note(scope, status, time.perf_counter() - started_s)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        """`status` is 0 where the client has left before it was answered."""
        route = getattr(scope.get("route"), "path", "none")
        method = scope["method"] if scope["method"] in METHODS else "other"
        self._metrics.requests.labels(method, route, status).inc()
        self._metrics.seconds.labels(route).observe(seconds)
        if not self._access_log:
            return
        state = scope["state"]
        fields = {
            "request_id": state["request_id"],
            "client": state.get("client"),
            "method": method,
            "path": scope["path"][:LONGEST_PATH],
            "status": status,
            "ms": round(1000 * seconds, 2),
            "run": state.get("run"),
        }
        access.info("request", extra={"fields": fields})
