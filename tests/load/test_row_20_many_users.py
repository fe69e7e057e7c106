"""Row 20: lists of 100 for many users: memory is that of a part of the table, however many users there are."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from belfry.pipeline.jobs.sinks.file import TABLE

ROOT = Path(__file__).parents[2]
N = 100
SETTINGS = ("retrieval.kind=pure_svd", "retrieval.embedding_size=16", "ranker=none", "sources=[]")

# Peaks are those of a process, so each is measured in one of its own.
BATCH = """
import json, resource, sys
from pathlib import Path
import pyarrow as pa
from belfry import Recommender
from belfry.pipeline.jobs.batch import write_batch
artifacts, n_users, out, n = sys.argv[1:]
done = []
write_batch(Recommender.load(artifacts), Path(out), users=pa.array(range(int(n_users)), pa.int32()), n=int(n),
            workers=1, progress=lambda n_done, n_all: done.append(n_done))
print(json.dumps([resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, done]))
"""


def watches(n_users: int) -> pa.Table:
    """Ten of each user; a tenth as many items as users, some watched more than others."""
    random, n = np.random.default_rng(0), 10 * n_users
    return pa.table(
        {
            "user_id": np.repeat(np.arange(n_users, dtype=np.int32), 10),
            "item_id": (n_users // 10 * random.random(n) ** 2).astype(np.int32),
            "timestamp_s": 1_500_000_000 + random.integers(0, 40_000_000, n),
        }
    )


def check_table(path: Path, n_users: int) -> None:
    """Users in order with the ranks of each, so that none is there twice; nearly all of them have lists."""
    n_with_list, last = 0, np.array([-1])
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(columns=["user_id", "rank"]):
            user, rank = (np.asarray(column).astype(np.int64) for column in batch.columns)
            keys = np.append(last, user * N + rank - 1)
            assert (np.diff(keys) > 0).all()
            n_with_list, last = n_with_list + int((rank == 1).sum()), keys[-1:]
    assert rank.max() <= N and user.max() < n_users
    assert n_with_list > 0.9 * n_users


@pytest.mark.slow
def test_row_20_memory_does_not_grow_with_users(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    from belfry import train

    n_users = int(os.environ.get("BELFRY_MANY_USERS", "20000"))  # 1,000,000 take six minutes of CPU
    train(watches(n_users), settings=SETTINGS, artifacts=tmp_path / "artifacts")
    peaks = []
    for n in (n_users // 4, n_users):
        out = tmp_path / f"out-{n}"
        command = [sys.executable, "-W", "ignore", "-c", BATCH, str(tmp_path / "artifacts"), str(n), str(out), str(N)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
        assert done.returncode == 0, done.stderr
        peak, progress = json.loads(done.stdout)
        peaks.append(peak)
        assert progress == sorted(progress)
        check_table(out / TABLE, n)
    record_property("users", f"{n_users:,}")
    record_property("peak_mib_for_a_quarter_and_all", " ".join(f"{peak / (1 << 20):.0f}" for peak in peaks))
    assert peaks[1] < peaks[0] + 100_000_000, peaks
