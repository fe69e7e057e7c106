"""Answers over http that end: one whose bytes drip in, each in time, is given up as a whole."""

import http.client
import io
import socket
import time
import urllib.request
from dataclasses import dataclass
from typing import Any


class TooSlowError(Exception):
    """The answer drips in; another attempt would be as slow."""


@dataclass(frozen=True)
class Patience:
    """How long an answer, its headers included, may take: a time at the least, and more for many bytes."""

    seconds: float = 60
    bytes_per_s: float = 20_000  # the slowest pace after that

    def handlers(self) -> tuple[urllib.request.BaseHandler, ...]:
        """For an opener of `urllib.request`, in place of its own.

        What they open raises TooSlowError from any read.
        """
        patience = self

        class Response(http.client.HTTPResponse):
            def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
                super().__init__(sock, *args, **kwargs)
                self.fp.close()
                self.fp = io.BufferedReader(_Watched(sock, patience))

        class Connection(http.client.HTTPConnection):
            response_class = Response

        class SecureConnection(http.client.HTTPSConnection):
            response_class = Response

        class Handler(urllib.request.HTTPHandler):
            def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
                return self.do_open(Connection, req)

        class SecureHandler(urllib.request.HTTPSHandler):
            def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
                return self.do_open(SecureConnection, req)

        return Handler(), SecureHandler()


class _Watched(io.RawIOBase):
    def __init__(self, sock: socket.socket, patience: Patience) -> None:
        self._raw = sock.makefile("rb", buffering=0)
        self._patience = patience
        self._started = time.monotonic()
        self._n_bytes = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        seconds = time.monotonic() - self._started
        if seconds > self._patience.seconds + self._n_bytes / self._patience.bytes_per_s:
            raise TooSlowError(f"it drips: only {self._n_bytes:,} bytes came in {seconds:.0f} s")
        n = self._raw.readinto(buffer)
        self._n_bytes += n or 0
        return n

    def close(self) -> None:
        self._raw.close()
        super().close()
