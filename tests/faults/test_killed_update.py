"""An update that is killed leaves the run as it was, or its successor whole; and the next one does what it should."""

import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq

from belfry.pipeline.jobs.updating.update import update
from belfry.pipeline.runs.reader import current_run, open_run
from tests.pipeline.jobs.updating.world import items, later, train

ROOT = Path(__file__).parents[2]

# Children are killed before every `stride`-th step that the disk can see, until one lives to the end.
DIE_AT_STEPS = """
import os, signal, sys
from pathlib import Path
from belfry.pipeline.jobs.updating.update import update
from belfry.pipeline.runs.reader import open_run
from tests.faults.killing import count_steps, die_before_step

artifacts, fresh, stride = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
first = open_run(artifacts).name
count_steps()
status, n_steps, names = -1, 1, set()
while status != 0:
    n_steps += stride
    child = os.fork()
    if child == 0:
        die_before_step(n_steps)
        update(artifacts, fresh)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert status in (0, signal.SIGKILL), status
    run = open_run(artifacts)
    if run.name != first:
        assert run.manifest.notes["update"]["lineage"]["parent"] == first
    for folder in artifacts.glob("default-*"):
        open_run(folder)
print(n_steps)
"""


def test_killed_at_many_steps(tmp_path: Path) -> None:
    artifacts = tmp_path / "runs"
    train(artifacts, items=items())
    first = current_run(artifacts)
    pq.write_table(later([(2, 4), (1, 3)]), tmp_path / "new.parquet")
    command = [sys.executable, "-c", DIE_AT_STEPS, str(artifacts), str(tmp_path / "new.parquet"), "9"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 50
    assert current_run(artifacts) != first
    again = update(artifacts, tmp_path / "new.parquet")
    assert (again.is_published, again.folded.n_known) == (False, 2)
    assert open_run(first).name == first.name
    update(artifacts, later([(5, 6)]))  # whoever publishes next removes what killed ones have left
    assert not list(artifacts.glob(".writing-*"))
