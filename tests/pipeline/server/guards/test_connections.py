"""What hangs on a connection without ever being a request."""

import asyncio
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest
import uvicorn

from belfry.pipeline.server.app import create_app
from belfry.pipeline.server.guards import connections
from belfry.pipeline.server.guards.connections import GuardedConnection
from belfry.pipeline.server.settings import Settings

REQUEST = b"GET /v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n"


@contextmanager
def listening(published: Path, port: int) -> Iterator[None]:
    app = create_app(Settings(published, timeout_s=1))
    config = uvicorn.Config(app, port=port, http=GuardedConnection, ws="none", log_config=None, timeout_keep_alive=5)
    server = uvicorn.Server(config)
    thread = Thread(target=server.run)
    thread.start()
    while not server.started:
        thread.join(0.02)
    try:
        yield
    finally:
        server.should_exit = True
        thread.join()


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=30)


def all_of(client: socket.socket) -> bytes:
    """Until the server ends the connection."""
    parts = []
    try:
        while part := client.recv(1 << 16):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


@pytest.fixture
def server(published: Path, port: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(connections, "HEAD_S", 0.5)
    with listening(published, port):
        yield port


@pytest.mark.parametrize(
    "start", [b"", b"GET /v1/hea", REQUEST + b"GET /v1"], ids=["nothing", "a part", "a second one"]
)
def test_a_head_that_does_not_come_ends_the_connection(server: int, start: bytes):
    with connect(server) as client:
        client.sendall(start)
        answer = all_of(client)
        assert answer.startswith(b"HTTP/1.1 200") == start.startswith(REQUEST)


def test_a_head_that_drips_ends_the_connection(server: int):
    with connect(server) as client, pytest.raises(OSError):
        for sign in b"GET /v1/health HTTP/1.1\r\nX: " + b"a" * 1_000:
            client.sendall(bytes([sign]))
            client.settimeout(0.05)
            try:
                if not client.recv(1):
                    raise ConnectionResetError
            except TimeoutError:
                pass


def test_a_body_that_drips_is_refused(server: int):
    with connect(server) as client:
        client.sendall(b"POST /v1/recommend HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n{")
        answer = all_of(client)
    assert answer.startswith(b"HTTP/1.1 408")
    assert b'"too_slow"' in answer


@pytest.mark.parametrize("noise", [b"\x16\x03\x01\x02\x00\r\n\r\n", b"GET /\r\n\r\n\r\n", b"G\x00T / HTTP/1.1\r\n\r\n"])
def test_what_is_no_request_is_told_so_in_json(server: int, noise: bytes):
    with connect(server) as client:
        client.sendall(noise)
        head, _, body = all_of(client).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400")
    assert json.loads(body)["error"] == "bad_request"


def test_noise_behind_a_request_ends_it_without_a_fault(server: int, caplog: pytest.LogCaptureFixture):
    chunked = b"POST /v1/recommend HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    for request in (chunked + b"zz\r\n", REQUEST + b"\x00\x01\r\n\r\n", b"POST /none" + chunked[18:] + b"zz\r\n"):
        with connect(server) as client:
            client.sendall(request)
            all_of(client)
    with connect(server) as client:
        client.sendall(REQUEST)
        assert client.recv(1 << 16).startswith(b"HTTP/1.1 200")
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_connections_are_bounded(server: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 3)
    clients = [connect(server) for _ in range(3)]
    with connect(server) as client:
        assert all_of(client) == b""
    for one in clients:
        one.close()
    asyncio.run(asyncio.sleep(0.2))
    with connect(server) as client:
        client.sendall(REQUEST)
        assert client.recv(1 << 16).startswith(b"HTTP/1.1 200")
