"""Row 20: lists of 100 for many users: memory is that of a part of the table, however many users there are."""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from belfry.pipeline.jobs.sinks.destination import TABLE
from benchmarks.scale.generate import generate, sizes

ROOT = Path(__file__).parents[2]
N_WATCHES, N = 1_000_000, 100
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


@pytest.mark.slow
def test_row_20_memory_does_not_grow_with_users(tmp_path: Path) -> None:
    from belfry import train

    n_users, _ = sizes(N_WATCHES)
    train(generate(N_WATCHES), settings=SETTINGS, artifacts=tmp_path / "artifacts")
    peaks = []
    for n in (n_users // 4, n_users):
        out = tmp_path / f"out-{n}"
        command = [sys.executable, "-W", "ignore", "-c", BATCH, str(tmp_path / "artifacts"), str(n), str(out), str(N)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=900)
        assert done.returncode == 0, done.stderr
        peak, progress = json.loads(done.stdout)
        peaks.append(peak)
        assert progress == sorted(progress)
        table = pq.read_table(out / TABLE)
        assert table.num_rows <= n * N
        assert pc.count_distinct(table["user_id"]).as_py() > 0.9 * n
        ids = table["user_id"].to_numpy().astype("int64")
        assert len(set((ids * N + table["rank"].to_numpy()).tolist())) == table.num_rows
    assert peaks[1] < peaks[0] + 100_000_000, peaks
