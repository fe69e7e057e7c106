"""Hostile requests of all kinds: none gets in, none makes the server fail, and it goes on answering."""

import asyncio
import hashlib
from pathlib import Path

import pytest

from benchmarks.serving.hostile import KEY, attack, hostile_requests
from benchmarks.serving.server import served


def keys_in(folder: Path) -> Path:
    path = folder / "keys"
    path.write_text(f"client sha256:{hashlib.sha256(KEY.encode()).hexdigest()}\n")
    return path


def check(published: Path, folder: Path, port: int, n: int) -> None:
    options = ("--api-key-file", str(keys_in(folder)), "--rate", "1e6", "--timeout", "3")
    with served(published, folder, *options, port=port) as server:
        found = asyncio.run(attack(port, n))
        assert server.get("/v1/ready")[0] == 200
        assert server.stop() == 0
    assert found.n == n
    assert not found.let_in
    assert not found.failed
    assert not found.leaked
    assert found.statuses[401] > n // 7
    log = server.log.read_text()
    assert "traceback" not in log.lower()
    assert KEY not in log


def test_the_kinds_differ_and_are_the_same_again():
    requests = list(hostile_requests(600, seed=0))
    assert len(set(requests)) > 150
    assert requests == list(hostile_requests(600, seed=0))


def test_three_hundred_hostile_requests(published: Path, tmp_path: Path, port: int):
    check(published, tmp_path, port, 300)


@pytest.mark.slow
def test_ten_thousand_hostile_requests(published: Path, tmp_path: Path, port: int):
    check(published, tmp_path, port, 10_000)
