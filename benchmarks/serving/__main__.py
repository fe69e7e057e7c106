"""How `belfry serve` holds under load, under swaps of runs and under attack; writes docs/results/serving.md.

Run as `python -m benchmarks.serving [--artifacts DIR] [--seconds 300] [--swaps 10] [--hostile 10000]`; without a run it
trains one on MovieLens 100K (BELFRY_DATA). Load and attacks come from this process and share the machine's cores with
the server.
"""

import argparse
import asyncio
import hashlib
import os
import shutil
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from belfry import Recommender
from belfry.dataset.concurrency.machine import usable_cores
from belfry.pipeline.runs.manifest import CURRENT
from belfry.pipeline.runs.reader import find_run
from benchmarks.serving.hostile import KEY, Attacked, attack
from benchmarks.serving.load import Load, ask_for_lists
from benchmarks.serving.server import ROOT, Server, make_current, second_run, served

RESULT = ROOT / "docs" / "results" / "serving.md"
PORT = 18_099
N_ALONE = 400  # lists that are timed without a server


@dataclass(frozen=True)
class Held:
    """A load, and what it took of the server."""

    workers: int
    n_swaps: int
    load: Load
    cpu_ms: float  # for each request
    mib: tuple[float, float]  # resident, of all processes, before and after

    @property
    def row(self) -> str:
        load = self.load
        times = " | ".join(f"{load.percentile(share):.1f}" for share in (50, 95, 99, 100))
        return (
            f"| {self.workers} | {self.n_swaps} | {load.statuses.total():,} | {load.n_errors} | {times} "
            f"| {self.cpu_ms:.2f} | {self.mib[0]:.0f} → {self.mib[1]:.0f} |"
        )


def hold(artifacts: Path, folder: Path, *, workers: int, per_s: float, seconds: float, n_swaps: int) -> Held:
    """Lists asked for while two runs take turns at being current."""
    names = sorted(path.parent.name for path in artifacts.glob("*/manifest.json"))
    users = Recommender.load(artifacts).users.ids.to_pylist()

    async def go(server: Server) -> Load:
        async def swap() -> None:
            for number in range(n_swaps):
                await asyncio.sleep(seconds / (n_swaps + 1))
                make_current(artifacts, names[number % len(names)])

        swapping = asyncio.create_task(swap())
        load = await ask_for_lists(server.port, users, per_s=per_s, seconds=seconds)
        await swapping
        return load

    make_current(artifacts, names[-1])
    with served(artifacts, folder, "--workers", str(workers), port=PORT) as server:
        asyncio.run(ask_for_lists(PORT, users, per_s=20, seconds=3))  # every worker has its connections and its run
        used_s, before_mib = server.cpu_s, server.resident_mib
        load = asyncio.run(go(server))
        used_s, after_mib = server.cpu_s - used_s, server.resident_mib
        assert server.stop() == 0
    return Held(workers, n_swaps, load, 1000 * used_s / load.statuses.total(), (before_mib, after_mib))


def alone(artifacts: Path) -> list[str]:
    """Rows of what threads of one process are worth, without HTTP."""
    recommender = Recommender.load(artifacts)
    users = recommender.users.ids.to_pylist()
    asked = [users[place % len(users)] for place in range(N_ALONE)]
    rows = []
    for n_threads in (1, 2):
        with ThreadPoolExecutor(n_threads) as pool:
            list(pool.map(recommender.recommend, asked[:50]))
            started_s, used_s = time.perf_counter(), time.process_time()
            list(pool.map(recommender.recommend, asked))
            seconds, used_s = time.perf_counter() - started_s, time.process_time() - used_s
        rows.append(f"| {n_threads} | {N_ALONE / seconds:.0f} | {1000 * used_s / N_ALONE:.2f} |")
    return rows


def assault(artifacts: Path, folder: Path, n: int) -> tuple[Attacked, bool]:
    """What came of hostile requests, and whether the log holds a traceback."""
    keys = folder / "keys"
    keys.write_text(f"client sha256:{hashlib.sha256(KEY.encode()).hexdigest()}\n")
    with served(artifacts, folder, "--api-key-file", str(keys), "--rate", "1e6", "--timeout", "3", port=PORT) as server:
        found = asyncio.run(attack(PORT, n))
        assert server.get("/v1/ready")[0] == 200
        assert server.stop() == 0
        return found, "traceback" in server.log.read_text().lower()


def page(command: str, held: list[Held], per_s: float, threads: list[str], found: Attacked, has_traceback: bool) -> str:
    statuses = ", ".join(f"{status or 'closed'} {count:,} times" for status, count in sorted(found.statuses.items()))
    versions = ", ".join(f"{name} {version(name)}" for name in ("fastapi", "uvicorn", "numpy", "onnxruntime"))
    return "\n".join(
        [
            "# Serving",
            "",
            f"Written by `{command}` on {datetime.now(UTC):%Y-%m-%d}, {usable_cores()} cores, {versions}.",
            f"{os.getloadavg()[1]:.1f} processes of the machine wanted a core at the end; where there are fewer, "
            "others took part, and CPU time tells more than the clock.",
            "",
            f"Lists of 10 from both stages, of users at random, {per_s:.0f} a second at random moments for "
            f"{held[0].load.seconds:.0f} s, over 32 connections from one other process. Times count from when a "
            "request was due.",
            "",
            "| workers | swaps | requests | errors | p50 ms | p95 ms | p99 ms | worst ms | CPU ms each | MiB, all |",
            "|---|---|---|---|---|---|---|---|---|---|",
            *(one.row for one in held),
            "",
            "Threads instead of processes, without HTTP:",
            "",
            "| threads | lists/s | CPU ms each |",
            "|---|---|---|",
            *threads,
            "",
            f"{found.n:,} hostile requests: {len(found.let_in)} got in, {len(found.failed)} made the server fail, "
            f"{len(found.leaked)} were told something of it, {'a' if has_traceback else 'no'} traceback in the log. "
            f"Answers: {statuses}.",
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--artifacts", type=Path)
    parser.add_argument("--data-folder", type=Path, help="where ml-100k.zip lies [BELFRY_DATA]")
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--rate", type=float, default=200, help="requests a second")
    parser.add_argument("--swaps", type=int, default=10)
    parser.add_argument("--hostile", type=int, default=10_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        artifacts = _prepared(folder / "artifacts", asked.artifacts, asked.data_folder)
        held = [
            hold(artifacts, folder, workers=workers, per_s=asked.rate, seconds=asked.seconds, n_swaps=n_swaps)
            for workers in (1, 2)
            for n_swaps in (0, asked.swaps)
        ]
        found, has_traceback = assault(artifacts, folder, asked.hostile)
        command = (
            f"python -m benchmarks.serving --seconds {asked.seconds:g} --rate {asked.rate:g} --swaps {asked.swaps} "
            f"--hostile {asked.hostile}"
        )
        text = page(command, held, asked.rate, alone(artifacts), found, has_traceback)
    RESULT.write_text(text)
    print(text)


def _prepared(artifacts: Path, given: Path | None, data_folder: Path | None) -> Path:
    """An artifacts folder of two runs."""
    if given is None:
        from benchmarks.answering import train_quickly

        train_quickly(artifacts, data_folder)
    else:
        run = find_run(given)
        shutil.copytree(run.folder, artifacts / run.name)
        (artifacts / CURRENT).write_text(f"{run.name}\n")
    second_run(artifacts)
    return artifacts


if __name__ == "__main__":
    main()
