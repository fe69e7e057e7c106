"""Admission: who asks, by key or address, and whether they may now; before anything that they sent is read."""

import ipaddress

from starlette.types import ASGIApp, Receive, Scope, Send

from belfry.pipeline.server.errors import RefusedError
from belfry.pipeline.server.guards.rates import Rates
from belfry.pipeline.server.settings import Settings

OPEN_PATHS = frozenset({"/", "/page.js", "/page.css", "/v1/health", "/v1/ready", "/v1/openapi.json"})
MAX_HEAD = 32 << 10  # bytes of headers; the parser of HTTP bounds those alone that come in pieces
_LOCAL_HOSTS = frozenset({b"localhost", b"127.0.0.1", b"[::1]"})


class Admission:
    """Lets through whoever has a key, where keys are asked for, and asks no faster than agreed."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app, self._settings = app, settings
        self._rates = Rates(settings.rate)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            try:
                self._admit(scope)
            except RefusedError as refused:
                await refused.response()(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _admit(self, scope: Scope) -> None:
        """Note the client in `scope["state"]`.

        Raises:
            RefusedError: 400, 401, 429 or 431.
        """
        if len(scope["raw_path"]) + sum(len(name) + len(value) for name, value in scope["headers"]) > MAX_HEAD:
            raise RefusedError(431, "too_large", f"the head of the request is larger than {MAX_HEAD:,} bytes")
        if self._settings.is_private and not _is_local(_values(scope, b"host")):
            # Else a page of any site could have a browser here ask, under a name that leads to this machine.
            raise RefusedError(400, "wrong_host", "only programs of this machine may ask, as localhost or 127.0.0.1")
        client = _address(scope)
        owner = self._owner(scope)
        scope["state"]["client"] = client if owner is None else owner
        wait_s = self._rates.take(f"address {client}" if owner is None else f"key {owner}")
        if wait_s:
            raise RefusedError(
                429, "too_many_requests", "more requests than agreed; wait a little", retry_after_s=wait_s
            )
        if self._settings.keys and owner is None and scope["path"] not in OPEN_PATHS:
            refused = RefusedError(401, "no_key", "an API key is wanted, as in the header Authorization: Bearer KEY")
            refused.headers["www-authenticate"] = "Bearer"
            raise refused

    def _owner(self, scope: Scope) -> str | None:
        if not self._settings.keys:
            return None
        values = _values(scope, b"authorization")
        scheme, _, key = values[0].partition(b" ") if len(values) == 1 else (b"", b"", b"")
        return self._settings.keys.owner(key.strip()) if scheme.lower() == b"bearer" else None


def _values(scope: Scope, header: bytes) -> list[bytes]:
    return [value for name, value in scope["headers"] if name == header]


def _is_local(hosts: list[bytes]) -> bool:
    if len(hosts) != 1:
        return False
    host, colon, port = hosts[0].rpartition(b":")
    is_named = colon and port.isdigit()
    return (host if is_named else hosts[0]).lower() in _LOCAL_HOSTS


def _address(scope: Scope) -> str:
    """Of version 6, the network of 64 bits, which is one household."""
    try:
        found = ipaddress.ip_address(scope["client"][0])
    except (TypeError, ValueError):
        return "unknown"
    if found.version == 4:
        return str(found)
    return str(ipaddress.ip_network((found, 64), strict=False))
