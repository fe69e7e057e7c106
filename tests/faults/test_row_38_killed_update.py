"""Row 38: a killed update leaves the run as it was, or its successor whole; repeated, it counts nothing twice."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import belfry
from belfry.dataset.errors import BelfryError
from belfry.pipeline.jobs.updating.update import update
from belfry.pipeline.runs.reader import current_run, open_run
from tests.pipeline.jobs.updating.world import events, items, later, train

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

# Updates of one table after the other: each is killed at a random moment, then given again and left alone; until `n`
# were killed before they had ended.
DIE_AT_RANDOM = """
import os, random, signal, sys, time
from pathlib import Path
from belfry.pipeline.jobs.updating.update import update
from belfry.pipeline.runs.reader import open_run

artifacts, moments, n, tables = Path(sys.argv[1]), random.Random(int(sys.argv[2])), int(sys.argv[3]), sys.argv[4:]
n_killed, took_s = 0, 0.0

def start(table):
    child = os.fork()
    if child == 0:
        try:
            update(artifacts, table)
            os._exit(0)
        finally:
            os._exit(1)
    return child

for n_used, table in enumerate(tables, 1):
    before = open_run(artifacts).name
    child = start(table)
    if took_s:
        time.sleep(moments.uniform(0, took_s))
        os.kill(child, signal.SIGKILL)
        n_killed += os.waitpid(child, 0)[1] == signal.SIGKILL
        run = open_run(artifacts)
        assert run.name == before or run.manifest.notes["update"]["lineage"]["parent"] == before
        child = start(table)
    started = time.monotonic()
    assert os.waitpid(child, 0)[1] == 0
    took_s = took_s or time.monotonic() - started
    if n_killed == n:
        print(n_used)
        break
"""

# All at once: how each ended, 0 or 2.
AT_ONCE = """
import os, sys
from belfry.dataset.errors import InputError
from belfry.pipeline.jobs.updating.update import update

artifacts, table, n = sys.argv[1], sys.argv[2], int(sys.argv[3])
waiting, go = os.pipe()
children = []
for _ in range(n):
    children.append(os.fork())
    if not children[-1]:
        os.close(go)
        os.read(waiting, 1)  # until the last one is there
        code = 1
        try:
            update(artifacts, table)
            code = 0
        except InputError as error:
            code = 2 if ": in use by " in str(error) or " was published while " in str(error) else 1
        finally:
            os._exit(code)
os.close(go)
print(*(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children))
"""


def run(program: str, *arguments: object) -> str:
    command = [sys.executable, "-c", program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout


def batches(n: int, folder: Path) -> list[Path]:
    """Tables of 20 events each, one day after the other; a user and an item in each are new."""
    folder.mkdir()
    random = np.random.default_rng(n)
    paths = [folder / f"{number:02}.parquet" for number in range(n)]
    for number, path in enumerate(paths):
        rows = [(2 * int(user), 2 * int(item)) for user, item in random.integers(1, [31, 25], (19, 2))]
        pq.write_table(later([*rows, (2 * number + 1, 2 * number + 1)], days=61 + number), path)
    return paths


def state(artifacts: Path) -> tuple[pa.Table, list[list[belfry.Recommendation]]]:
    """Every event of the current run, and everybody's list."""
    found = belfry.Recommender.load(artifacts)
    history = found.features.history
    assert history.timestamp_s is not None and history.rating is not None
    columns = {"user": history.user_num, "item": history.item_num, "at": history.timestamp_s, "rating": history.rating}
    lists = [found.recommend(user, 8) for user in history.users.ids.to_pylist()]
    return pa.table(columns).sort_by([(name, "ascending") for name in columns]), lists


def kill_again_and_again(n: int, seed: int, folder: Path) -> None:
    tables = batches(4 * n, folder / "tables")
    train(folder / "killed", items=items())
    train(folder / "whole", items=items())
    n_used = int(run(DIE_AT_RANDOM, folder / "killed", seed, n, *tables))
    for table in tables[:n_used]:
        belfry.update(folder / "whole", table)
    assert state(folder / "killed") == state(folder / "whole")
    for table in tables[:n_used]:  # and all of it once more
        assert not belfry.update(folder / "killed", table).is_published
    assert not list((folder / "killed").glob(".writing-*"))


def test_killed_at_many_steps(tmp_path: Path) -> None:
    artifacts = tmp_path / "runs"
    train(artifacts, items=items())
    first = current_run(artifacts)
    pq.write_table(later([(2, 4), (1, 3)]), tmp_path / "new.parquet")
    assert int(run(DIE_AT_STEPS, artifacts, tmp_path / "new.parquet", 9)) > 50
    assert current_run(artifacts) != first
    again = update(artifacts, tmp_path / "new.parquet")
    assert (again.is_published, again.folded.n_known) == (False, 2)
    assert open_run(first).name == first.name
    update(artifacts, later([(5, 6)]))  # whoever publishes next removes what killed ones have left
    assert not list(artifacts.glob(".writing-*"))


def test_row_38_killed_at_random_moments(tmp_path: Path) -> None:
    kill_again_and_again(4, 0, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_row_38_killed_at_twenty_random_moments(seed: int, tmp_path: Path) -> None:
    kill_again_and_again(20, seed, tmp_path)


def test_row_38_eight_at_once(tmp_path: Path) -> None:
    (table,) = batches(1, tmp_path / "tables")
    for name in ("alone", "many"):
        train(tmp_path / name, items=items())
    belfry.update(tmp_path / "alone", table)
    ends = run(AT_ONCE, tmp_path / "many", table, 8).split()
    assert set(ends) <= {"0", "2"} and "0" in ends
    assert state(tmp_path / "many") == state(tmp_path / "alone")
    assert len(list((tmp_path / "many").glob("default-*"))) == 2


def test_row_38_the_disk_fills_up(small_disk: Path, tmp_path: Path) -> None:
    artifacts = small_disk / "runs"
    first = train(artifacts, interactions=events(400, 300)).run.name
    (table,) = batches(1, tmp_path / "tables")
    n_free = shutil.disk_usage(small_disk).free
    (small_disk / "ballast").write_bytes(bytes(n_free - (1 << 20) - 20_000))
    with pytest.raises(BelfryError, match=rf"{small_disk}.*: the disk is full"):
        belfry.update(artifacts, table)
    assert sorted(path.name for path in artifacts.iterdir() if path.is_dir()) == [first]
    assert belfry.Recommender.load(artifacts).run.name == first
    (small_disk / "ballast").unlink()
    assert belfry.update(artifacts, table).is_published
