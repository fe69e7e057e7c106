"""Connections: what reaches no application, as the head of a request has not come whole or is none."""

import asyncio
import json
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_CONNECTIONS = 900  # of a worker; systems give a process 1,024 files
HEAD_S = 30  # for the head of the next request to come, from the end of the last one on

_NO_REQUEST = json.dumps({"error": "bad_request", "message": "this is no HTTP request", "problems": []}).encode()


class GuardedConnection(H11Protocol):
    """As uvicorn's, which waits for a head as long as a byte of it comes now and then."""

    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        if len(self.connections) > MAX_CONNECTIONS:
            self.transport.abort()
        else:
            self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def handle_events(self) -> None:
        super().handle_events()
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_waiting()
        elif self._head_timer is None and not self.transport.is_closing():
            self._wait_for_head()

    def send_400_response(self, msg: str) -> None:
        """To what is no request; where an answer is under way already, only the end of the connection can tell."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        elif self.conn.our_state is h11.IDLE or self.conn.our_state is h11.SEND_RESPONSE:
            headers = [
                ("content-type", "application/json"),
                ("content-length", str(len(_NO_REQUEST))),
                ("connection", "close"),
            ]
            events: tuple[Any, ...] = (
                h11.Response(status_code=400, headers=headers),
                h11.Data(data=_NO_REQUEST),
                h11.EndOfMessage(),
            )
            self.transport.write(b"".join(self.conn.send(event) or b"" for event in events))
        self.transport.close()

    def _wait_for_head(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_S, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
