"""A table made on a cluster that loses a process, then a machine, by SIGKILL: whole, and nothing in it doubled."""

import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from belfry.pipeline.jobs import batch_parts
from belfry.pipeline.jobs.batch import write_batch
from belfry.pipeline.serving.recommender import Recommender

pytest.importorskip("ray", reason="needs the extra ray")
ROOT = Path(__file__).parents[2]
BLOCK = 4  # users

# A head without cores, and two machines of one core each. Blocks are small and slow, so that they are lost half done.
JOB = f"""
import os, signal, sys, time
from pathlib import Path
from ray.cluster_utils import Cluster
from belfry.pipeline.jobs import batch, batch_parts
from belfry.pipeline.serving.recommender import Recommender

def slowly(job, users):
    time.sleep(0.2)
    return batch_parts.answer_users(job, users)

def kill_a_worker():
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if b"ray::_apply" in path.read_bytes():
                os.kill(int(path.parent.name), signal.SIGKILL)
                return True
        except OSError:
            pass
    return False

def on_users(done, total):
    share = done / total
    if share > 0.2 and not killed:
        if kill_a_worker():
            killed.append("process")
    if share > 0.5 and killed == ["process"]:
        cluster.remove_node(machines[0], allow_graceful=False)
        killed.append("machine")

if __name__ == "__main__":
    killed = []
    batch_parts.USERS_PER_PART, batch_parts.USERS_PER_BLOCK = {2 * BLOCK}, {BLOCK}
    batch.answer_users = slowly
    cluster = Cluster(initialize_head=True, head_node_args={{"num_cpus": 0, "include_dashboard": False}})
    machines = [cluster.add_node(num_cpus=1) for _ in range(2)]
    recommender = Recommender.load(sys.argv[1])
    batch.write_batch(recommender, sys.argv[2], n=5, engine="ray", address=cluster.address, progress=on_users)
    print(*killed)
    cluster.shutdown()
"""


@pytest.mark.slow
def test_a_table_is_whole_though_a_process_and_a_machine_are_lost(
    tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "job.py"
    script.write_text(JOB)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path)])}
    done = subprocess.run(
        [sys.executable, str(script), str(tiny_run), str(tmp_path / "cluster")],
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split()[-2:] == ["process", "machine"]
    monkeypatch.setattr(batch_parts, "USERS_PER_PART", 2 * BLOCK)
    monkeypatch.setattr(batch_parts, "USERS_PER_BLOCK", BLOCK)
    write_batch(Recommender.load(tiny_run), tmp_path / "here", n=5)
    found, wanted = (pq.read_table(tmp_path / place / "recommendations.parquet") for place in ("cluster", "here"))
    assert found.equals(wanted)
