"""A batch job that is killed, doubled, or runs out of disk: the same table in the end, and no reader sees a part."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from belfry.dataset.errors import BelfryError, InputError
from belfry.pipeline.jobs import batch_parts
from belfry.pipeline.jobs.batch import write_batch
from tests.pipeline.small_recommender import SmallRecommender

ROOT = Path(__file__).parents[2]
N_USERS, PARTS = 60, 30

# With "wait", each part after the first is made when a line comes in, and by one thread: several would end the blocks
# that they are at before they stop. SIGINT stops it also where the tests run in the background, whose processes start
# with that signal ignored.
JOB = f"""
import signal, sys
from pathlib import Path
from belfry.dataset.errors import InputError
from belfry.pipeline.jobs import batch, batch_parts
from tests.pipeline.small_recommender import SmallRecommender

class Waiting(SmallRecommender):
    n_parts = 0

    def recommend_many(self, users, *arguments, **options):
        self.n_parts += len(users) > 0
        if sys.argv[2] == "wait" and self.n_parts > 1:
            sys.stdin.readline()
        return super().recommend_many(users, *arguments, **options)

signal.signal(signal.SIGINT, signal.default_int_handler)
batch_parts.USERS_PER_PART = {PARTS}
recommender = Waiting(n_users={N_USERS})
print("ready", flush=True)
try:
    batch.write_batch(
        recommender,
        Path(sys.argv[1]),
        n=5,
        workers=1 if sys.argv[2] == "wait" else 2,
        progress=lambda done, total: print(done, flush=True),
    )
except InputError as error:
    print(error)
    raise SystemExit(2)
"""

# For each step that the disk can see, from the first to the last: a job is killed just before it, another one goes on.
# Both run in children, and so does each look at the folder: Arrow's threads, once started, do not survive a fork.
DIE_AT_EVERY_STEP = f"""
import os, shutil, signal, sys
from pathlib import Path
import pyarrow.parquet as pq
from belfry.pipeline.jobs import batch, batch_parts
from tests.faults.killing import count_steps, counted, die_before_step
from tests.pipeline.small_recommender import SmallRecommender

batch_parts.USERS_PER_PART = {PARTS}
recommender = SmallRecommender(n_users={N_USERS})
out, old, new = map(Path, sys.argv[1:])

def in_child(body):
    child = os.fork()
    if child == 0:
        try:
            body()
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitpid(child, 0)[1]

def write():
    batch.write_batch(recommender, out, n=5)

def die():
    count_steps()
    pq.write_table, pq.ParquetWriter.write_table = map(counted, (pq.write_table, pq.ParquetWriter.write_table))
    die_before_step(n_steps)
    write()

def go_on():
    assert pq.read_table(out).to_pydict() in (pq.read_table(old).to_pydict(), pq.read_table(new).to_pydict())
    write()
    assert (out / "recommendations.parquet").read_bytes() == (new / "recommendations.parquet").read_bytes()
    assert sorted(path.name for path in out.iterdir()) == [".lock", "_left_out.json", "recommendations.parquet"]

status, n_steps = -1, 0
while status != 0:
    n_steps += 1
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(old, out)
    status = in_child(die)
    assert status in (0, signal.SIGKILL), status
    assert in_child(go_on) == 0, n_steps
print(n_steps)
"""


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(batch_parts, "USERS_PER_PART", PARTS)


@pytest.fixture(scope="module")
def recommender():
    return SmallRecommender(n_users=N_USERS)


@pytest.fixture
def whole(recommender, tmp_path):
    """What a job that nobody disturbs writes."""
    return write_batch(recommender, tmp_path / "whole", n=5).path


def start(out: Path, how: str = "at once") -> "subprocess.Popen[str]":
    """A job in a process of its own; with "wait" it stops after the first part, until a line is sent."""
    command = [sys.executable, "-c", JOB, str(out), how]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    if how == "wait":
        assert process.stdout.readline() == f"{PARTS}\n"
    return process


def finish(process: "subprocess.Popen[str]", sent: str = "") -> str:
    """All that it says from here on, once it has ended."""
    assert process.stdin is not None
    assert process.stdout is not None
    with process.stdin as stdin:
        stdin.write(sent)
    with process.stdout as stdout:  # not communicate(), which passes over what is in the buffer already
        said = stdout.read()
    process.wait()
    return said


def test_killed_at_every_step(recommender, whole, tmp_path):
    old = write_batch(recommender, tmp_path / "old", n=2).path.parent
    command = [sys.executable, "-c", DIE_AT_EVERY_STEP, *map(str, (tmp_path / "out", old, whole.parent))]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.stderr == ""
    assert int(done.stdout) > 30


def kill_again_and_again(whole: Path, out: Path, *, n: int, seed: int) -> None:
    """One job and its followers, killed at `n` random moments; the last one is left alone."""
    moments = random.Random(seed)
    for _ in range(n):
        process = start(out)
        time.sleep(moments.uniform(0, 0.1))
        process.kill()
        finish(process)
        assert not (out / whole.name).exists() or (out / whole.name).read_bytes() == whole.read_bytes()
        if (out / whole.name).exists():  # done before: the next one begins anew
            shutil.rmtree(out)
    assert finish(start(out)).endswith(f"{N_USERS}\n")
    assert (out / whole.name).read_bytes() == whole.read_bytes()
    table = pq.read_table(out)
    assert len(table.group_by(["user_id", "rank"]).aggregate([])) == len(table)


def test_killed_again_and_again_at_random_moments(whole, tmp_path):
    kill_again_and_again(whole, tmp_path / "out", n=4, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_killed_at_twenty_random_moments(whole, tmp_path, seed):
    kill_again_and_again(whole, tmp_path / "out", n=20, seed=seed)


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_asked_to_stop(whole, tmp_path, sign):
    """A job that waits for a line, which never comes, ends by the signal alone."""
    out = tmp_path / "out"
    process = start(out, "wait")
    while process.poll() is None:  # Python lets a signal wait that comes in just before the call that waits
        process.send_signal(sign)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=5)
    finish(process)
    assert not (out / whole.name).exists()
    finish(start(out))
    assert (out / whole.name).read_bytes() == whole.read_bytes()


def test_two_jobs_at_once(whole, tmp_path):
    out = tmp_path / "out"
    first = start(out, "wait")
    second = start(out)
    said = finish(second)
    finish(first, "go on\n")
    assert f"{out}: in use by process {first.pid} on" in said
    assert second.returncode == 2
    assert first.returncode == 0
    assert (out / whole.name).read_bytes() == whole.read_bytes()


def test_a_dead_owner_keeps_nobody_out(whole, tmp_path):
    out = tmp_path / "out"
    process = start(out, "wait")
    process.kill()
    finish(process)
    assert f"process {process.pid} on" in (out / ".lock").read_text()
    finish(start(out))
    assert (out / whole.name).read_bytes() == whole.read_bytes()


class Untouched(SmallRecommender):
    """Says when it is made to score anybody."""

    def recommend_many(self, users, *arguments, **options):
        assert not len(users), "scored before the output was checked"
        return super().recommend_many(users, *arguments, **options)


def test_a_disk_that_cannot_be_written(sealed_disk):
    for out in (sealed_disk, sealed_disk / "out"):
        with pytest.raises(InputError, match=r"cannot be written \(Read-only file system\)"):
            write_batch(Untouched(), out, n=5)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written(tmp_path):
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(InputError, match=r"cannot be written \(Permission denied\)"):
            write_batch(Untouched(), tmp_path / "out", n=5)
    finally:
        tmp_path.chmod(0o755)


@pytest.mark.parametrize("ballast_bytes", [0, 1_000_000, 1_500_000])
def test_the_disk_fills_up(small_disk, ballast_bytes):
    """Sooner among the parts or, with less ballast, while they are put together."""
    recommender = SmallRecommender(n_users=3000, n_items=400)
    out = small_disk / "out"
    write_batch(recommender, out, users=pa.array([1, 2, 3]), n=5)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    (small_disk / "ballast").write_bytes(bytes(ballast_bytes))
    with pytest.raises(BelfryError, match=rf"{small_disk}.*: the disk is full \([\d,]+ bytes free by now\)"):
        write_batch(recommender, out, n=100)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_a_full_disk_is_said_before_scoring(small_disk):
    (small_disk / "ballast").write_bytes(bytes(2_500_000))
    with pytest.raises(InputError, match=r"the disk has [\d,]+ bytes free and at least 1,048,576 are needed"):
        write_batch(Untouched(), small_disk / "out", n=5)
    assert [path.name for path in small_disk.iterdir()] == ["ballast"]


def stop_at_once(done: int, total: int) -> None:
    raise KeyboardInterrupt


def test_hostile_leftovers(recommender, whole, tmp_path):
    """Links lead out of the folder, and nothing is written or removed behind them."""
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").write_text("precious")
    with pytest.raises(KeyboardInterrupt):
        write_batch(recommender, out, n=5, progress=stop_at_once)
    (parts,) = out.glob(".parts-*")
    (parts / "part-00000.parquet").unlink()
    parts.rmdir()
    parts.symlink_to(elsewhere)
    (out / ".parts-other").symlink_to(elsewhere)
    (out / ".parts-file").write_text("")
    (out / whole.name).symlink_to(elsewhere / "precious")
    (out / "_left_out.json").symlink_to(elsewhere / "precious")
    (out / "_SUCCESS").write_text("")

    assert not write_batch(recommender, out, n=5).resumed

    assert not (out / whole.name).is_symlink()
    assert (out / whole.name).read_bytes() == whole.read_bytes()
    assert [path.name for path in elsewhere.iterdir()] == ["precious"]
    assert (elsewhere / "precious").read_text() == "precious"
    assert sorted(path.name for path in out.iterdir()) == [".lock", "_SUCCESS", "_left_out.json", whole.name]


def test_a_part_that_is_no_file(recommender, whole, tmp_path):
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    elsewhere.write_text("precious")
    with pytest.raises(KeyboardInterrupt):
        write_batch(recommender, out, n=5, progress=stop_at_once)
    (parts,) = out.glob(".parts-*")
    (parts / "part-00000.writing").symlink_to(elsewhere)
    (parts / "part-00000.parquet").unlink()
    os.mkfifo(parts / "part-00000.parquet")
    (parts / "part-00001.parquet").symlink_to(elsewhere)
    (parts / whole.name).symlink_to(elsewhere)
    (parts / "_left_out.json").symlink_to(elsewhere)
    write_batch(recommender, out, n=5)
    assert (out / whole.name).read_bytes() == whole.read_bytes()
    assert elsewhere.read_text() == "precious"
