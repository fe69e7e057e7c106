"""Row 39: a server goes on answering from its run while that is cut and removed on the disk, and while workers die."""

import asyncio
import json
import os
import re
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from belfry import Recommender
from benchmarks.serving.load import N_CONNECTIONS, Load, ask_for_lists
from benchmarks.serving.server import Server, served
from tests.pipeline.server.conftest import USERS, free_port, publish
from tests.pipeline.server.test_process import workers_of

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked at in /proc")
REPLACED_S = 60


def cut_every_file(run: Path) -> None:
    for path in run.rglob("*"):
        if path.is_file():
            path.chmod(0o644)
            os.truncate(path, path.stat().st_size // 2)


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + REPLACED_S
    while not is_so():
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


def n_taken_up(server: Server) -> int:
    """Runs, by all workers together."""
    found = re.search(rb'outcome="taken_up"} (\d+)', server.get("/v1/metrics")[1])
    return int(found[1]) if found else 0


def check_lists(server: Server, run: Recommender) -> None:
    """Everybody's list is that of the run."""
    for user in USERS:
        status, body = server.get(f"/v1/recommend?user={user}")
        told = json.loads(body)
        assert (status, told["run"]) == (200, run.run.name)
        assert [item["item_id"] for item in told["items"]] == [item.item_id for item in run.recommend(user)]


def harm(server: Server, artifacts: Path) -> None:
    """The run on the disk is taken apart, one step after the other."""
    first = Recommender.load(artifacts)
    wait_until(lambda: n_taken_up(server) == 2)  # by each worker
    check_lists(server, first)
    cut_every_file(first.run.folder)
    check_lists(server, first)
    (artifacts / "current").write_text("../../etc\n")
    check_lists(server, first)
    (artifacts / "current").unlink()
    shutil.rmtree(first.run.folder)
    time.sleep(2)  # each worker has looked
    check_lists(server, first)
    second = publish(artifacts, seed=1)
    wait_until(lambda: n_taken_up(server) == 4)
    check_lists(server, second)
    died = workers_of(server)[0]
    os.kill(died, signal.SIGKILL)
    wait_until(lambda: died not in (workers := workers_of(server)) and len(workers) == 2)
    check_lists(server, second)


def test_row_39_a_run_taken_apart_while_it_is_served(tmp_path: Path) -> None:
    artifacts, port = tmp_path / "artifacts", free_port()
    publish(artifacts)

    async def go(server: Server) -> Load:
        harming = asyncio.create_task(asyncio.to_thread(harm, server, artifacts))
        load = await ask_for_lists(port, USERS, per_s=20, seconds=10)
        await harming
        return load

    with served(artifacts, tmp_path, "--workers", "2", port=port) as server:
        load = asyncio.run(go(server))
        assert server.stop() == 0
    assert set(load.statuses) <= {200, 0}
    assert load.statuses[0] <= N_CONNECTIONS  # of the worker that died
    assert len(load.runs) == 2
    log = server.log.read_text()
    assert "goes on answering" in log
    assert "Traceback" not in log
