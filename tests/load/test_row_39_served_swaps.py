"""Row 39: the memory of a server does not grow with the runs that it has answered from."""

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from belfry import Recommender
from benchmarks.serving.server import Server, make_current, second_run, served
from tests.pipeline.server.conftest import free_port

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked at in /proc")
SWAP_S = 60


def swap(server: Server, artifacts: Path, name: str, users: list[object]) -> None:
    """Make `name` current, wait until it answers, and ask it for everybody."""
    make_current(artifacts, name)
    deadline_s = time.monotonic() + SWAP_S
    while json.loads(server.get("/v1/ready")[1])["run"] != name:
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
    for user in users:
        assert server.get(f"/v1/recommend?user={user}&explain=true")[0] == 200


@pytest.mark.slow
def test_row_39_sixty_swaps(tiny_run: Path, tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    artifacts = tmp_path / "artifacts"
    shutil.copytree(tiny_run, artifacts / tiny_run.name)
    make_current(artifacts, tiny_run.name)
    names, users = second_run(artifacts), Recommender.load(tiny_run).users.ids[:10].to_pylist()
    with served(artifacts, tmp_path, port=free_port()) as server:
        after = []
        for number in range(60):
            swap(server, artifacts, names[(number + 1) % 2], users)
            after.append(server.resident_mib)
        assert server.stop() == 0
    record_property("mib_after_20_and_60_swaps", f"{after[19]:.0f} {after[59]:.0f}")
    assert max(after[40:]) < max(after[:20]) + 10  # a run of 40 that stayed would be more
