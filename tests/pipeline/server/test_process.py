"""The server as a process: its start and end, its workers, swaps under load, and what hangs on its connections."""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from belfry import Recommender
from belfry.dataset.errors import InputError
from belfry.pipeline.cli.commands import app
from benchmarks.serving.load import Load, ask_for_lists
from benchmarks.serving.server import ROOT, Server, make_current, served
from tests.pipeline.server.conftest import USERS, publish
from tests.pipeline.server.test_current_run import damage

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked at in /proc")


def lines_of(server: Server) -> list[dict[str, object]]:
    """Of its log; the first line says where it listens."""
    return [json.loads(line) for line in server.log.read_text().splitlines()[1:]]


def workers_of(server: Server) -> list[int]:
    return [pid for pid in server.pids if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def fails(*options: object) -> str:
    """What it says where it cannot start."""
    command = [sys.executable, "-m", "belfry", "serve", *map(str, options)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2, done.stderr
    return done.stderr


def test_it_says_where_it_listens_and_stops_as_a_job_that_is_done(published: Path, tmp_path: Path, port: int):
    with served(published, tmp_path, port=port) as server:
        assert server.log.read_text().startswith(f"http://127.0.0.1:{port}/ answers from {published}; ")
        assert server.get("/v1/recommend?user=1")[0] == 200
        assert server.stop() == 0
    assert {line["level"] for line in lines_of(server)} == {"info"}


def test_what_is_under_way_is_finished(published: Path, tmp_path: Path, port: int):
    """A request has come in part when the server is told to stop; the rest comes, and is answered."""
    body = b'{"user": 1, "n": 3}'
    head = f"POST /v1/recommend HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
    with (
        served(published, tmp_path, port=port) as server,
        socket.create_connection(("127.0.0.1", port), timeout=30) as client,
    ):
        client.sendall(f"{head}Content-Type: application/json\r\n\r\n".encode() + body[:5])
        time.sleep(0.5)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        assert server.process.poll() is None
        client.sendall(body[5:])
        assert client.recv(1 << 16).startswith(b"HTTP/1.1 200 OK")
        assert server.process.wait(30) == 0


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
def test_workers_share_a_port_and_stop_together(published: Path, tmp_path: Path, port: int, signal_number: int):
    with served(published, tmp_path, "--workers", "2", port=port) as server:
        names = [json.loads(server.get("/v1/recommend?user=1")[1])["run"] for _ in range(4)]
        assert set(names) == {Recommender.load(published).run.name}
        while b'belfry_swaps_total{outcome="taken_up"} 2.0' not in server.get("/v1/metrics")[1]:
            time.sleep(0.1)
        text = server.get("/v1/metrics")[1].decode()
        assert 'belfry_requests_total{method="GET",route="/v1/recommend",status="200"} 4.0' in text
        pids = workers_of(server)
        assert len(pids) == 2
        server.process.send_signal(signal_number)
        assert server.process.wait(60) == 0
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_worker_that_died_is_replaced(published: Path, tmp_path: Path, port: int):
    with served(published, tmp_path, "--workers", "2", port=port) as server:
        first, second = workers_of(server)
        os.kill(first, signal.SIGKILL)
        deadline_s = time.monotonic() + 60
        while len(workers := workers_of(server)) < 2 or first in workers:
            assert time.monotonic() < deadline_s
            time.sleep(0.1)
        assert second in workers
        assert server.get("/v1/recommend?user=1")[0] == 200
        assert server.stop() == 0


def test_what_cannot_start_is_said_in_words(published: Path, tmp_path: Path, port: int):
    assert "no such folder" in fails("--artifacts", tmp_path / "none")
    assert "--host 0.0.0.0: other machines could reach it" in fails("--artifacts", published, "--host", "0.0.0.0")
    with socket.create_server(("127.0.0.1", port)):
        said = fails("--artifacts", published, "--port", port)
    assert re.search(rf"cannot listen on 127.0.0.1:{port} \(.*in use\); name another --host or --port", said)


def test_workers_end_with_a_parent_that_was_killed(published: Path, tmp_path: Path, port: int):
    with served(published, tmp_path, "--workers", "2", port=port) as server:
        server.process.kill()
        server.process.wait()
        deadline_s = time.monotonic() + 60
        while True:
            try:
                socket.create_server(("127.0.0.1", port)).close()
                break
            except OSError:
                assert time.monotonic() < deadline_s
                time.sleep(0.1)


@pytest.mark.parametrize("library", ["fastapi", "uvicorn", "prometheus_client"])
def test_a_missing_extra_is_named(published: Path, monkeypatch: pytest.MonkeyPatch, library: str):
    monkeypatch.setitem(sys.modules, library, None)
    found = CliRunner().invoke(app, ["serve", "--artifacts", str(published)])
    assert isinstance(found.exception, InputError)
    assert str(found.exception) == (
        f"belfry serve: needs {library}, which is not installed; run: pip install 'belfry-recommender[serve]'"
    )


def test_a_damaged_run_is_not_begun_with(artifacts: Path, port: int):
    damage(artifacts / (artifacts / "current").read_text().strip())
    assert "vectors.npy" in fails("--artifacts", artifacts, "--port", port)


def load_over_swaps(artifacts: Path, folder: Path, port: int, *, seconds: float, n_swaps: int) -> Load:
    """Lists are asked for from here while `n_swaps` runs become current, of which each third one is damaged."""
    runs = [Recommender.load(artifacts), *(publish(artifacts, seed) for seed in range(1, 3))]
    wanted = {run.run.name: [[item.item_id for item in run.recommend(user)] for user in USERS] for run in runs}
    good = [runs[0].run.name, runs[1].run.name]
    bad = runs[2].run.name
    damage(artifacts / bad)
    make_current(artifacts, good[0])
    names = [bad if number % 3 == 1 else good[number // 2 % 2] for number in range(n_swaps - 1)] + [good[1]]

    async def go(server: Server) -> Load:
        async def swap() -> None:
            for name in names:
                await asyncio.sleep(seconds / (n_swaps + 1))
                make_current(artifacts, name)

        swapping = asyncio.create_task(swap())
        load = await ask_for_lists(port, USERS, per_s=25, seconds=seconds)
        await swapping
        return load

    with served(artifacts, folder, port=port) as server:
        load = asyncio.run(go(server))
        deadline_s = time.monotonic() + 60
        while json.loads(server.get("/v1/ready")[1]) != {"ready": True, "run": good[1], "refused": False}:
            assert time.monotonic() < deadline_s
            time.sleep(0.1)
        for user, items in zip(USERS, wanted[good[1]], strict=True):
            told = json.loads(server.get(f"/v1/recommend?user={user}")[1])
            assert [item["item_id"] for item in told["items"]] == items
        assert server.stop() == 0
    errors = [line for line in lines_of(server) if line["level"] == "error"]
    assert all(str(line["message"]).startswith("the current run cannot be opened, run") for line in errors)
    assert set(load.runs) <= set(good)
    return load


def test_nothing_is_dropped_while_runs_are_swapped(artifacts: Path, tmp_path: Path, port: int):
    load = load_over_swaps(artifacts, tmp_path, port, seconds=6, n_swaps=3)
    assert load.n_errors == 0
    assert load.statuses[200] > 80
    assert len(load.runs) == 2


@pytest.mark.slow
def test_nothing_is_dropped_over_minutes_of_swaps(artifacts: Path, tmp_path: Path, port: int):
    load = load_over_swaps(artifacts, tmp_path, port, seconds=120, n_swaps=30)
    assert load.n_errors == 0
    assert len(load.runs) == 2
