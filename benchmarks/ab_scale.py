"""How long a whole A/B report takes and how much memory: made-up tables, `belfry compare` in a process of its own.

Run as `python -m benchmarks.ab_scale [--users 100000 1000000]`. Writes docs/results/ab-scale.md. Lists are top-100 in
Parquet, users in no order; each user has 20 earlier watches and 5 test items. Both are drawn by popularity from 50,000
items, A finds a test item at each rank with a chance of 2%, B of 2.1%.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from belfry.pipeline.runs.versions import installed_versions

RESULT = Path(__file__).parent.parent / "docs" / "results" / "ab-scale.md"
N_ITEMS, N_TRAIN, N_TEST, DEPTH = 50_000, 20, 5, 100
HIT_CHANCE = {"a": 0.020, "b": 0.021}
USERS_PER_BLOCK = 10_000
GENRES = ("crime", "drama", "comedy", "history", "music")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--folder", type=Path, help="where the tables are made, and kept")
    arguments = parser.parse_args()
    lines = []
    for n_users in arguments.users:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            make_tables(Path(folder), n_users)
            seconds, processor_s, mebibytes, verdict = run(Path(folder))
        size = f"{2 * n_users * DEPTH / 1e6:,.0f} M"
        lines.append(
            f"| {n_users:,} | {size} | {seconds:.0f} s | {processor_s:.0f} s | {mebibytes:,.0f} MiB | {verdict} |"
        )
        print(lines[-1], flush=True)
    versions = installed_versions()
    shown = ", ".join(f"{name} {versions[name]}" for name in ("numpy", "scipy", "pyarrow"))
    text = [
        "# A/B reports of large tables",
        "",
        f"Written by `python -m benchmarks.ab_scale` on {datetime.now(UTC):%Y-%m-%d}; {os.cpu_count()} cores, {shown}.",
        "",
        f"Whole `belfry compare`: reading, checks, every metric, tests, page. Two top-{DEPTH} tables in Parquet,",
        f"users in no order, {N_ITEMS:,} items with titles and genres, {N_TRAIN} earlier watches and {N_TEST} test",
        "items per user.",
        "Memory is the most that the process held; processor time is summed over cores. Time also counts waiting for",
        "whatever else the machine was doing.",
        "",
        "| users | rows of lists | time | processor time | memory | verdict |",
        "|---|---|---|---|---|---|",
        *lines,
        "",
    ]
    RESULT.write_text("\n".join(text))


def make_tables(folder: Path, n_users: int) -> None:
    """train, test, a and b, written block by block."""
    generator = np.random.default_rng(0)
    names = ("train", "test", *HIT_CHANCE)
    writers: dict[str, pq.ParquetWriter] = {}
    shuffled = generator.permutation(n_users)
    for start in range(0, n_users, USERS_PER_BLOCK):
        users = shuffled[start : start + USERS_PER_BLOCK]
        for name, table in zip(names, tables_of(users, generator), strict=True):
            if name not in writers:
                writers[name] = pq.ParquetWriter(folder / f"{name}.parquet", table.schema)
            writers[name].write_table(table)
    for writer in writers.values():
        writer.close()
    items = np.arange(N_ITEMS)
    genres = [[GENRES[item % len(GENRES)], GENRES[item // 7 % len(GENRES)]] for item in items.tolist()]
    side = {"item_id": items, "title": [f"Film {item}" for item in items.tolist()], "genres": genres}
    pq.write_table(pa.table(side), folder / "items.parquet")
    groups = pa.array(GENRES).take(pa.array(generator.integers(len(GENRES), size=n_users)))
    pq.write_table(pa.table({"user_id": np.arange(n_users), "group": groups}), folder / "users.parquet")


def tables_of(users: np.ndarray, generator: np.random.Generator) -> Iterator[pa.Table]:
    """What some users did and what they are recommended."""
    n_drawn = N_TRAIN + N_TEST
    done = distinct(generator, len(users), n_drawn)
    for part in (done[:, :N_TRAIN], done[:, N_TRAIN:]):
        yield pa.table({"user_id": np.repeat(users, part.shape[1]), "item_id": part.ravel()})
    for chance in HIT_CHANCE.values():
        # Past the user's own items on a ring of the catalogue: never seen, never twice, hits put in by chance.
        lists = (done[:, -1:] + 1 + np.arange(DEPTH)) % N_ITEMS
        is_own = (lists[:, :, None] == done[:, None, :]).any(axis=2)
        lists[is_own] = -1
        place = np.argsort(np.where(lists < 0, 2.0, generator.random(lists.shape)), axis=1)
        lists = np.take_along_axis(lists, place, axis=1)
        for test_item in range(N_TEST):
            rank = generator.geometric(chance * 5 / N_TEST, len(users)) - 1 + test_item
            row = np.flatnonzero((rank < DEPTH) & (lists[np.arange(len(users)), np.minimum(rank, DEPTH - 1)] >= 0))
            row = row[~(lists[row, rank[row], None] == done[row, N_TRAIN:]).any(axis=1)]
            lists[row, rank[row]] = done[row, N_TRAIN + test_item]
        kept = lists >= 0
        rank = np.cumsum(kept, axis=1)
        yield pa.table(
            {
                "user_id": np.repeat(users, DEPTH)[kept.ravel()],
                "item_id": lists[kept],
                "rank": rank[kept].astype(np.int32),
            }
        )


def distinct(generator: np.random.Generator, n_rows: int, n: int) -> np.ndarray:
    """[n_rows, n] items, no item twice in a row, popular ones more often."""
    steps = 1 + np.floor(generator.pareto(0.8, (n_rows, n)) * 20).astype(np.int64) % (N_ITEMS // n - 1)
    items = np.cumsum(steps, axis=1) - 1
    return generator.permuted(items, axis=1)


def run(folder: Path) -> tuple[float, float, float, str]:
    """Seconds by the clock and of the processor, the most memory in MiB, and the verdict."""
    command = [sys.executable, "-m", "belfry", "compare", folder / "a.parquet", folder / "b.parquet"]
    for option in ("train", "test", "items", "users"):
        command += [f"--{option}", folder / f"{option}.parquet"]
    command += ["--out", folder / "out"]
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), perf_counter()
    process = subprocess.Popen([*map(str, command), "--quiet"], stdout=subprocess.PIPE, text=True)
    output, _ = process.communicate()
    seconds = perf_counter() - started
    if process.returncode:
        raise SystemExit(process.returncode)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, processor_s, after.ru_maxrss / 1024, output.splitlines()[0]


if __name__ == "__main__":
    main()
