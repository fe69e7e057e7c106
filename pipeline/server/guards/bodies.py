"""Bodies: read whole before anything looks at them, no more than agreed, and not for longer."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from belfry.pipeline.server.errors import RefusedError

MAX_BODY = 1 << 20  # bytes, far above the longest lists of ids


class Bodies:
    """Hands on requests whose body has come."""

    def __init__(self, app: ASGIApp, timeout_s: float) -> None:
        self._app, self._timeout_s = app, timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            body = await asyncio.wait_for(_read(scope, receive), self._timeout_s)
        except TimeoutError:
            await RefusedError(408, "too_slow", "the request took too long to come").response()(scope, receive, send)
            return
        except RefusedError as refused:
            await refused.response()(scope, receive, send)
            return
        if body is None:
            return
        messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive_again() -> Message:
            return messages.pop() if messages else await receive()

        await self._app(scope, receive_again, send)


async def _read(scope: Scope, receive: Receive) -> bytes | None:
    """The body; None where the client has left.

    Raises:
        RefusedError: it is too large.
    """
    too_large = RefusedError(413, "too_large", f"the body is larger than {MAX_BODY:,} bytes")
    for name, value in scope["headers"]:
        if name == b"content-length" and (len(value) > 18 or not value.isdigit() or int(value) > MAX_BODY):
            raise too_large
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MAX_BODY:
            raise too_large
        if not message.get("more_body", False):
            return b"".join(parts)
