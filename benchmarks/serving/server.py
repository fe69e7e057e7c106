"""A server in a process of its own, what it used, and runs for it to swap."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

from belfry.pipeline.runs.manifest import CURRENT, MANIFEST, read_manifest
from belfry.pipeline.runs.reader import find_run

ROOT = Path(__file__).parent.parent.parent
START_S, STOP_S = 120, 30


@dataclass(frozen=True)
class Server:
    """It listens on this machine."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def cpu_s(self) -> float:
        """Of the process and its workers so far."""
        return sum(_cpu_s(pid) for pid in self.pids)

    @property
    def resident_mib(self) -> float:
        """Of all of them; pages that they share count for each."""
        return sum(int(_stat(pid)[21]) for pid in self.pids) * os.sysconf("SC_PAGESIZE") / (1 << 20)

    @property
    def pids(self) -> list[int]:
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [pid, *map(int, children)]

    def get(self, path: str) -> tuple[int, bytes]:
        """Status and body."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def stop(self) -> int:
        """By SIGTERM; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_S)


@contextmanager
def served(artifacts: Path, folder: Path, *options: str, port: int) -> Iterator[Server]:
    """A server that is ready; `folder` takes its log."""
    log = folder / "server.log"
    command = [sys.executable, "-m", "belfry", "serve", "--artifacts", str(artifacts), "--port", str(port), *options]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with log.open("wb") as stderr:
        process = subprocess.Popen(command, stdout=stderr, stderr=stderr, env=environment)
    server = Server(process, port, log)
    try:
        _wait_until_ready(server)
        yield server
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(STOP_S)


def second_run(artifacts: Path) -> tuple[str, str]:
    """The names of the current run and of a copy of it beside it, which says that it was made later."""
    run = find_run(artifacts)
    manifest = read_manifest(run.folder / MANIFEST)
    later = manifest.model_copy(update={"created_at": manifest.created_at + " again"}).sealed()
    shutil.copytree(run.folder, artifacts / later.name)
    path = artifacts / later.name / MANIFEST
    path.unlink()
    path.write_text(later.to_json())
    return run.name, later.name


def make_current(artifacts: Path, name: str) -> None:
    """As a publisher does: in one step."""
    aside = artifacts / "current.aside"
    aside.write_text(f"{name}\n")
    aside.replace(artifacts / CURRENT)


def _wait_until_ready(server: Server) -> None:
    deadline_s = time.monotonic() + START_S
    while time.monotonic() < deadline_s and server.process.poll() is None:
        try:
            if server.get("/v1/ready")[0] == 200:
                return
        except OSError:
            pass
        time.sleep(0.1)
    raise RuntimeError(f"the server did not start: {server.log.read_text()[-2_000:]}")


def _stat(pid: int) -> list[str]:
    """Fields from the third on: the second one may hold blanks."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _cpu_s(pid: int) -> float:
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
