"""The recommendation table on a cluster of Ray: one machine against two, and two that keep losing processes.

Run as `make benchmark-cluster`, or `python -m benchmarks.cluster [RUN] [--n 100] [--repeats 3] [--kills 20]` on an idle
machine; without a run, one is trained on generated watches. The machines are local nodes of one core each, beside a
head without cores, where this process puts the table together. Writes docs/results/cluster.md.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from belfry.dataset.concurrency.machine import usable_cores
from belfry.pipeline.cluster import joined
from belfry.pipeline.jobs.batch import write_batch
from belfry.pipeline.jobs.batch_parts import USERS_PER_PART
from belfry.pipeline.jobs.sinks.file import TABLE
from belfry.pipeline.runs.versions import installed_versions
from belfry.pipeline.serving.recommender import Recommender
from benchmarks.scale.generate import generate

PAGE = Path(__file__).parent.parent / "docs" / "results" / "cluster.md"
N_WATCHES = 1_000_000
TASK = b"ray::_apply"  # what a process of the cluster calls itself while it is at work
KILLS_OF_A_TABLE = 4  # about
MACHINE_EVERY = 5  # kills: then it is a whole machine, and another comes in its place


@dataclass
class Machines:
    """A local cluster, whose machines can be lost."""

    cluster: Any
    machines: list[Any]
    generator: random.Random = field(default_factory=lambda: random.Random(0))
    n_processes: int = 0  # killed
    n_machines: int = 0

    @property
    def n_lost(self) -> int:
        return self.n_processes + self.n_machines

    def kill(self) -> None:
        """A process at work, by SIGKILL; or a machine, now and then."""
        if self.n_lost % MACHINE_EVERY == MACHINE_EVERY - 1:
            lost = self.machines.pop(self.generator.randrange(len(self.machines)))
            self.cluster.remove_node(lost, allow_graceful=False)
            self.machines.append(self.cluster.add_node(num_cpus=1))
            self.n_machines += 1
            return
        at_work = list(_processes(TASK))
        if at_work:
            os.kill(self.generator.choice(at_work), signal.SIGKILL)
            self.n_processes += 1


@contextmanager
def cluster_of(n_machines: int) -> Iterator[Machines]:
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        yield Machines(cluster, [cluster.add_node(num_cpus=1) for _ in range(n_machines)])
    finally:
        cluster.shutdown()


def table_s(recommender: Recommender, machines: Machines, out: Path, n: int) -> float:
    """Seconds by the clock of a table whose processes have the run already."""
    few = recommender.users.ids[: 256 * 4 * len(machines.machines)]
    with joined(machines.cluster.address, None):  # for both, or Ray would start new processes
        write_batch(recommender, out / "first", users=few, n=n, engine="ray", address=machines.cluster.address)
        started = time.perf_counter()
        write_batch(recommender, out / "all", n=n, engine="ray", address=machines.cluster.address)
        return time.perf_counter() - started


def table_under_kills(recommender: Recommender, machines: Machines, out: Path, n: int, kills: int) -> float:
    """Seconds by the clock of tables, one after another, until `kills` processes and machines were lost on the way."""
    wanted, started = (out / "all" / TABLE).read_bytes(), time.perf_counter()

    def on_users(done: int, total: int) -> None:
        if machines.generator.random() < KILLS_OF_A_TABLE * USERS_PER_PART / total and machines.n_lost < kills:
            machines.kill()

    while machines.n_lost < kills:
        write_batch(recommender, out / "killed", n=n, engine="ray", address=machines.cluster.address, progress=on_users)
        if (out / "killed" / TABLE).read_bytes() != wanted:
            sys.exit("a table that was made while processes were lost differs")
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, nargs="?")
    parser.add_argument("--n", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--kills", type=int, default=20)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        recommender = Recommender.load(asked.run or _trained(folder))
        of_one, of_two = [], []
        for _ in range(asked.repeats):
            for n_machines, seconds in ((1, of_one), (2, of_two)):
                with cluster_of(n_machines) as machines:
                    seconds.append(table_s(recommender, machines, folder, asked.n))
        with cluster_of(2) as machines:
            killed_s = table_under_kills(recommender, machines, folder, asked.n, asked.kills)
        PAGE.write_text(_page(recommender, asked, of_one, of_two, machines, killed_s))
    print(f"written to {PAGE}")


def _trained(folder: Path) -> Path:
    """Artifacts with a run on generated watches, by a process that is gone with all its threads."""
    pq.write_table(generate(N_WATCHES), folder / "watches.parquet")
    options = ["--interactions", str(folder / "watches.parquet"), "--artifacts", str(folder / "artifacts"), "--quiet"]
    subprocess.run([sys.executable, "-m", "belfry", "train", *options], check=True)
    return folder / "artifacts"


def _page(
    recommender: Recommender,
    asked: argparse.Namespace,
    of_one: list[float],
    of_two: list[float],
    machines: Machines,
    killed_s: float,
) -> str:
    from ray import __version__ as ray_version

    options = ", ".join(f"--{name} {getattr(asked, name)}" for name in ("n", "repeats", "kills"))
    command = "python -m benchmarks.cluster RUN" if asked.run else "make benchmark-cluster"
    ratios = [one / two for one, two in zip(of_one, of_two, strict=True)]
    best = min(of_one) / min(of_two)
    lines = [
        "# A cluster of Ray",
        "",
        f"Written by `{command}` ({options}) on {datetime.now(UTC):%Y-%m-%d}, {usable_cores()} cores, "
        f"ray {ray_version}, numpy {installed_versions()['numpy']}.",
        "",
        f"A table of {len(recommender.users):,} users x {asked.n} out of {len(recommender.items):,} items by `belfry "
        "batch --engine ray`.",
        "The machines are local nodes of one core each, beside the process that puts the table together, on the same",
        "cores. Seconds by the clock, one and two machines alternately; their processes have the run already.",
        "",
        "| repeat | one machine, s | two machines, s | times as fast |",
        "|---|---|---|---|",
        *(
            f"| {number} | {one:.1f} | {two:.1f} | {one / two:.2f} |"
            for number, (one, two) in enumerate(zip(of_one, of_two, strict=True), start=1)
        ),
        "",
        f"The best of each: **{best:.2f} times as fast** (by repeat {min(ratios):.2f} to {max(ratios):.2f}).",
        "",
        f"**{machines.n_processes} processes and {machines.n_machines} machines** were ended by SIGKILL at random "
        f"moments of further tables, over {killed_s:.0f} s,",
        "and replaced: every table is the same to the byte as one without a loss.",
        "",
    ]
    return "\n".join(lines)


def _processes(name: bytes) -> Iterator[int]:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if name in path.read_bytes():
                yield int(path.parent.name)
        except OSError:  # it has ended
            continue


if __name__ == "__main__":
    main()
