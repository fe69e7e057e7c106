"""The recommendation table by several threads: the same to the byte, also when they are stopped on the way."""

import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from belfry.dataset.errors import InputError
from belfry.pipeline import machine
from belfry.pipeline.jobs import batch_parts
from belfry.pipeline.jobs.batch import write_batch
from belfry.pipeline.serving.recommender import Recommender

ROOT = Path(__file__).parents[3]
PARTS, BLOCKS = 20, 8  # users in a part, in a block

# Slow, so that it is stopped before its end.
JOB = f"""
import signal, sys, time
from pathlib import Path
from belfry.pipeline import machine
from belfry.pipeline.jobs import batch, batch_parts
from belfry.pipeline.serving.recommender import Recommender

batch_parts.USERS_PER_PART, batch_parts.USERS_PER_BLOCK = {PARTS}, {BLOCKS}
machine.usable_cores = lambda: 2
signal.signal(signal.SIGINT, signal.default_int_handler)
recommender = Recommender.load(sys.argv[1])
answer = recommender.recommend_many

def slowly(users, *arguments, **options):
    time.sleep(0.5 * (len(users) > 0))
    return answer(users, *arguments, **options)

recommender.recommend_many = slowly
batch.write_batch(recommender, Path(sys.argv[2]), n=5, workers=2, progress=lambda *done: print(done, flush=True))
"""


@pytest.fixture(autouse=True)
def small_parts_two_cores(monkeypatch):
    monkeypatch.setattr(batch_parts, "USERS_PER_PART", PARTS)
    monkeypatch.setattr(batch_parts, "USERS_PER_BLOCK", BLOCKS)
    monkeypatch.setattr(machine, "usable_cores", lambda: 2)


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


@pytest.fixture(scope="module")
def recommender(tiny_run):
    return Recommender.load(tiny_run)


@pytest.fixture
def whole(recommender, tmp_path):
    """What one thread writes."""
    return write_batch(recommender, tmp_path / "whole", n=5, workers=1).path


class Together(Recommender):
    """Every two blocks are scored at the same time, or not at all."""

    both = threading.Barrier(2, timeout=30)

    def __init__(self, parts):
        super().__init__(parts)
        self.sizes = set()  # of the blocks

    def recommend_many(self, users, *arguments, **options):
        if len(users):
            self.sizes.add(len(users))
            self.both.wait()
        return super().recommend_many(users, *arguments, **options)


@pytest.mark.parametrize("n_workers", [None, 2, 64])
def test_two_threads_write_the_same_table(tiny_run, whole, out, n_workers, caplog):
    recommender, told = Together.load(tiny_run), []
    users = recommender.users.ids[: 7 * PARTS + BLOCKS]
    expected = write_batch(Recommender.load(tiny_run), out.with_name("alone"), users=users, n=5, workers=1)
    result = write_batch(
        recommender, out, users=users, n=5, workers=n_workers, progress=lambda *done: told.append(done)
    )
    assert recommender.sizes == {BLOCKS, PARTS % BLOCKS}
    assert result.path.read_bytes() == expected.path.read_bytes()
    assert told == [(min(done, len(users)), len(users)) for done in range(PARTS, len(users) + PARTS, PARTS)]
    said = ["workers=64: this process may use 2 of the machine's cores, so 2 will work"] if n_workers == 64 else []
    assert caplog.messages == said


def test_another_number_of_threads_goes_on(recommender, whole, out):
    def stop(done, total):
        if done > 3 * PARTS:
            raise KeyboardInterrupt

    for n_workers in (2, 1):
        with pytest.raises(KeyboardInterrupt):
            write_batch(recommender, out, n=5, workers=n_workers, progress=stop)
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("belfry")]
        assert not (out / whole.name).exists()
    result = write_batch(recommender, out, n=5, workers=2)
    assert result.resumed
    assert result.path.read_bytes() == whole.read_bytes()
    assert (out / "_left_out.json").read_bytes() == (whole.parent / "_left_out.json").read_bytes()


def test_workers_that_are_no_count(recommender, out):
    with pytest.raises(InputError, match="workers=0: wanted a whole number of at least 1"):
        write_batch(recommender, out, n=5, workers=0)
    assert not out.exists()


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_stopped_at_a_random_moment(recommender, tiny_run, whole, out, sign):
    """What was scored is kept, nothing half done is seen, and the next job may begin at once."""
    command = [sys.executable, "-c", JOB, str(tiny_run), str(out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT) as process:
        assert process.stdout.readline()
        time.sleep(random.Random(int(sign)).uniform(0, 0.8))
        process.send_signal(sign)
    assert process.returncode != 0
    assert not (out / whole.name).exists()
    result = write_batch(recommender, out, n=5, workers=1)
    assert result.resumed
    assert result.path.read_bytes() == whole.read_bytes()
    assert sorted(path.name for path in out.iterdir()) == [".lock", "_left_out.json", whole.name]
