"""One size, each step in a process of its own."""

import json
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from belfry.pipeline.runs.manifest import CURRENT, MANIFEST
from benchmarks.scale.generate import sizes
from benchmarks.speed.process import Usage, run


@dataclass(frozen=True)
class Measured:
    """Of one size."""

    n_watches: int
    n_users: int
    n_items: int
    generated: dict[str, float]
    reading: dict[str, float]
    train: dict[str, float]  # cpu_s, wall_s, peak_mib
    seconds: dict[str, float]  # CPU by stage
    table: dict[str, float]  # n_users, cpu_s, peak_mib
    calls: dict[str, float]
    run_mib: float


def measure(n_watches: int, folder: Path, table_users: int) -> Measured:
    """Generate, read, train, write a table and answer."""
    n_users, n_items = sizes(n_watches)
    file, artifacts, out = (folder / f"{n_watches}{ending}" for ending in (".parquet", "-artifacts", "-lists"))
    generated = run(["-m", "benchmarks.scale.generate", str(n_watches), file]).told
    reading = run(["-m", "benchmarks.scale.child", "reading", file]).told
    belfry = ["-m", "belfry"]
    train = run([*belfry, "train", "--interactions", file, "--holdout", "time", "--artifacts", artifacts, "--quiet"])
    published = artifacts / (artifacts / CURRENT).read_text().strip()
    notes = json.loads((published / MANIFEST).read_text())["notes"]["seconds"]
    users = folder / "users.parquet"
    known = pq.read_table(file, columns=["user_id"])["user_id"].unique().slice(0, table_users)
    pq.write_table(pa.table({"user_id": known}), users)
    table = run([*belfry, "batch", "--artifacts", artifacts, "--users", users, "-n", "100", "--out", out, "--quiet"])
    calls = run(["-m", "benchmarks.scale.child", "calls", artifacts]).told
    run_bytes = sum(path.stat().st_size for path in published.rglob("*") if path.is_file())
    measured = Measured(
        n_watches,
        n_users,
        n_items,
        generated,
        reading,
        _used(train),
        {stage: seconds["cpu"] for stage, seconds in notes.items()},
        {"n_users": len(known), **_used(table)},
        calls,
        run_bytes / (1 << 20),
    )
    print(f"{n_watches:,} watches: training {train.cpu_s:,.0f} CPU s, {train.peak_mib:,.0f} MiB", flush=True)
    return measured


def _used(usage: Usage) -> dict[str, float]:
    return {"cpu_s": usage.cpu_s, "wall_s": usage.wall_s, "peak_mib": usage.peak_mib}
