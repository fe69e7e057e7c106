"""Where a data set is looked for, and what a bad publisher can do: nothing but an error in words."""

import contextlib
import hashlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from belfry.dataset.errors import DownloadError, InputError
from belfry.dataset.sources.web import download
from belfry.dataset.sources.web.download import Publisher, find
from belfry.dataset.sources.web.slow_answers import Patience

ZIP = b"PK the file " * 5000
MD5 = hashlib.md5(ZIP, usedforsecurity=False).hexdigest()

Answer = Callable[[BaseHTTPRequestHandler], None]


class Server(ThreadingHTTPServer):
    """Answers by path; counts what was asked for."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.asked: list[str] = []
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def publisher(self) -> Publisher:
        return Publisher(base_url=f"http://127.0.0.1:{self.server_port}/", timeout_s=2.0, pause_s=0)


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.server.answers.get(self.path, lambda handler: handler.send_error(404))(self)

    def log_message(self, *args: object) -> None:
        """Stay quiet."""


def answer(data: bytes, *, length: int | None = None, status: int = 200, location: str | None = None) -> Answer:
    def respond(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        if location:
            handler.send_header("Location", location)
        handler.send_header("Content-Length", str(len(data) if length is None else length))
        handler.end_headers()
        handler.wfile.write(data)

    return respond


def without_length(data: bytes) -> Answer:
    def respond(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(data)

    return respond


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BELFRY_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("BELFRY_DATA", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setitem(download.MD5_BY_NAME, "ml-100k", MD5)
    return tmp_path / "cache"


def refusal(server: Server, name: str = "ml-100k") -> str:
    with pytest.raises(DownloadError) as caught:
        find(name, publisher=server.publisher)
    return str(caught.value)


def test_order_of_places(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    server.answers["/ml-100k.zip"] = answer(ZIP)
    given, named = tmp_path / "given", tmp_path / "named"
    (given / "ml-100k").mkdir(parents=True)
    named.mkdir()
    (named / "ml-100k.zip").touch()

    assert find("ml-100k", publisher=server.publisher) == cache / "ml-100k.zip"
    assert find("ml-100k", publisher=server.publisher) == cache / "ml-100k.zip"
    assert server.asked == ["/ml-100k.zip"]
    monkeypatch.setenv("BELFRY_DATA", str(named))
    assert find("ml-100k") == named / "ml-100k.zip"
    assert find("ml-100k", data_folder=given) == given / "ml-100k"


def test_names_and_folders_that_are_not_there(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(InputError, match="no data set 'ml-7'; there are ml-100k, ml-1m, ml-latest-small"):
        find("ml-7")
    with pytest.raises(InputError, match="gone: no such data folder; correct --data-folder or BELFRY_DATA"):
        find("ml-100k", data_folder=tmp_path / "gone")


def test_a_download_is_whole_and_alone(cache: Path, server: Server) -> None:
    server.answers["/ml-100k.zip"] = without_length(ZIP)

    assert find("ml-100k", publisher=server.publisher).read_bytes() == ZIP
    assert [path.name for path in cache.iterdir()] == ["ml-100k.zip"]


def test_latest_is_compared_with_the_checksum_beside_it(cache: Path, server: Server) -> None:
    server.answers["/ml-latest-small.zip"] = answer(ZIP)
    server.answers["/ml-latest-small.zip.md5"] = answer(b"<html>no</html>")
    assert "ml-latest-small.zip.md5 holds no checksum" in refusal(server, "ml-latest-small")

    server.answers["/ml-latest-small.zip.md5"] = answer(f"MD5 (ml-latest-small.zip) = {MD5.upper()}\n".encode())
    assert find("ml-latest-small", publisher=server.publisher).read_bytes() == ZIP


def stall(handler: BaseHTTPRequestHandler) -> None:
    answer(ZIP[:100], length=len(ZIP))(handler)
    handler.wfile.flush()
    handler.connection.settimeout(5)
    handler.connection.recv(1)  # until the other side gives up


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (answer(ZIP[:1000], length=len(ZIP)), f"only 1000 of {len(ZIP)} bytes came"),
        (without_length(ZIP[:1000]), f"instead of {MD5}"),
        (answer(b"<html>Please log in</html>"), f"instead of {MD5}"),
        (answer(ZIP, length=2**40), "it has 1099511627776 bytes, more than 1073741824"),
        (answer(b"", status=503), "HTTP Error 503"),
        (stall, "timed out"),
    ],
    ids=["cut", "cut without length", "html", "too big", "unavailable", "stalled"],
)
def test_bad_answers_are_tried_three_times(cache: Path, server: Server, given: Answer, reason: str) -> None:
    server.answers["/ml-100k.zip"] = given

    text = refusal(server)

    assert reason in text
    assert f"could not download {server.publisher.base_url}ml-100k.zip: " in text
    assert f"Get that file by other means and put it at {cache / 'ml-100k.zip'}, or name a folder" in text
    assert server.asked == ["/ml-100k.zip"] * 3
    assert list(cache.iterdir()) == []


def drip(answered: bytes) -> Answer:
    """The answer, then a byte in each moment."""

    def respond(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(answered)
        with contextlib.suppress(OSError):
            for _ in range(2_000):
                time.sleep(0.01)
                handler.wfile.write(b"a")

    return respond


@pytest.mark.parametrize("answered", [b"HTTP/1.0 200 OK\r\n\r\n", b"HTTP/1.0 200 OK\r\nX: ", b"HT"])
def test_row_12_what_drips_is_given_up(cache: Path, server: Server, answered: bytes) -> None:
    server.answers["/ml-100k.zip"] = drip(answered)
    publisher = replace(server.publisher, patience=Patience(seconds=0.3))
    with pytest.raises(DownloadError, match=r"it drips: only \d+ bytes came in \d+ s.* put it at .*ml-100k\.zip"):
        find("ml-100k", publisher=publisher)
    assert server.asked == ["/ml-100k.zip"]
    assert list(cache.iterdir()) == []


def test_row_12_a_checksum_that_drips_is_given_up(cache: Path, server: Server) -> None:
    server.answers["/ml-latest-small.zip.md5"] = drip(b"HTTP/1.0 200 OK\r\n\r\n")
    with pytest.raises(DownloadError, match="it drips"):
        find("ml-latest-small", publisher=replace(server.publisher, patience=Patience(seconds=0.3)))


def test_row_12_a_slow_line_is_waited_for(cache: Path, server: Server) -> None:
    """Longer than the patience, at a pace that is allowed."""

    def slowly(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.0 200 OK\r\n\r\n")
        for start in range(0, len(ZIP), 6_000):
            time.sleep(0.15)
            handler.wfile.write(ZIP[start : start + 6_000])

    server.answers["/ml-100k.zip"] = slowly
    patience = Patience(seconds=1, bytes_per_s=6_000)
    assert find("ml-100k", publisher=replace(server.publisher, patience=patience)).read_bytes() == ZIP


def test_the_second_attempt_may_succeed(cache: Path, server: Server) -> None:
    server.answers["/ml-100k.zip"] = lambda handler: answer(ZIP if len(server.asked) > 1 else ZIP[:9])(handler)

    assert find("ml-100k", publisher=server.publisher).read_bytes() == ZIP


def test_redirect_away_from_https_is_refused_at_once(cache: Path, server: Server) -> None:
    other = f"{server.publisher.base_url}other.zip"
    server.answers["/ml-100k.zip"] = answer(b"", status=302, location=other)
    server.answers["/other.zip"] = answer(ZIP)

    assert f"it redirects to {other}, which is not https" in refusal(server)
    assert server.asked == ["/ml-100k.zip"]
    assert list(cache.iterdir()) == []


def test_absent_file_is_asked_for_once(cache: Path, server: Server) -> None:
    assert "HTTP Error 404" in refusal(server)
    assert server.asked == ["/ml-100k.zip"]


def test_more_bytes_than_the_cap(cache: Path, server: Server) -> None:
    server.answers["/ml-100k.zip"] = without_length(ZIP)
    publisher = Publisher(base_url=server.publisher.base_url, attempts=1, max_bytes=1000)

    with pytest.raises(DownloadError, match="it has more than 1000 bytes"):
        find("ml-100k", publisher=publisher)
    assert list(cache.iterdir()) == []


def test_offline_says_what_to_get_and_where_to_put_it(cache: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        publisher = Publisher(base_url=f"http://127.0.0.1:{unused.getsockname()[1]}/", pause_s=0)

        with pytest.raises(
            DownloadError, match=r"could not download .*ml-100k\.zip: .*refused.* put it at .*ml-100k\.zip"
        ):
            find("ml-100k", publisher=publisher)


@pytest.mark.parametrize("name", ["file", "file/cache", "x" * 300])
def test_a_cache_that_cannot_be_used_is_named(
    name: str, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("BELFRY_CACHE", str(tmp_path / name))

    with pytest.raises(InputError, match=rf"{tmp_path}/.*cannot be used .*let BELFRY_CACHE name another place"):
        find("ml-100k", publisher=Publisher(base_url="http://127.0.0.1:9/", pause_s=0))


def test_the_publisher_is_asked_over_https() -> None:
    assert Publisher().base_url.startswith("https://files.grouplens.org/")


@pytest.mark.realdata
def test_real_data_is_found() -> None:
    folder = Path(os.environ["BELFRY_DATA"])

    assert find("ml-100k") == folder / "ml-100k.zip"
    assert find("ml-1m") == folder / "ml-1m"
