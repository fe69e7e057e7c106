"""The recommendation table by several processes: the same to the byte, also when they are stopped on the way."""

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
from belfry.pipeline.serving import workers
from belfry.pipeline.serving.recommender import Recommender

ROOT = Path(__file__).parents[3]
PARTS = 10  # users in a part

# Slow, so that workers come to take part and it is stopped before its end.
JOB = f"""
import signal, sys, time
from pathlib import Path
from belfry.pipeline import machine
from belfry.pipeline.jobs import batch, batch_parts
from belfry.pipeline.serving import workers
from belfry.pipeline.serving.recommender import Recommender

batch_parts.USERS_PER_PART = {PARTS}
workers.SECONDS_PER_WORKER = 1e-9
machine.usable_cores = lambda: 2
signal.signal(signal.SIGINT, signal.default_int_handler)
recommender = Recommender.load(sys.argv[1])

def slowed(answer):
    def slowly(*arguments, **options):
        table = answer(*arguments, **options)
        time.sleep(0.4 * (len(table) > 0))
        return table
    return slowly

recommender.recommend_many = slowed(recommender.recommend_many)
workers._Worker.answer = slowed(workers._Worker.answer)
print("ready", flush=True)
batch.write_batch(
    recommender, Path(sys.argv[2]), n=5, workers=2, progress=lambda done, total: print(done, flush=True)
)
"""


@pytest.fixture(autouse=True)
def small_parts_worth_a_worker(monkeypatch):
    monkeypatch.setattr(batch_parts, "USERS_PER_PART", PARTS)
    monkeypatch.setattr(workers, "SECONDS_PER_WORKER", 1e-9)
    monkeypatch.setattr(machine, "usable_cores", lambda: 2)


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


@pytest.fixture(scope="module")
def recommender(tiny_run):
    return Recommender.load(tiny_run)


@pytest.fixture
def whole(recommender, tmp_path):
    """What one process writes."""
    return write_batch(recommender, tmp_path / "whole", n=5, workers=1).path


class Waiting(Recommender):
    """Scores two parts, then waits until a worker has scored one."""

    n_here = 0
    goes_on = None

    def recommend_many(self, users, *arguments, **options):
        self.n_here += len(users) > 0
        if self.n_here > 2:
            assert self.goes_on.wait(60)
        return super().recommend_many(users, *arguments, **options)


@pytest.fixture
def waiting(tiny_run, monkeypatch):
    recommender = Waiting.load(tiny_run)
    recommender.goes_on = threading.Event()
    answer = workers._Worker.answer

    def told(worker, users):
        table = answer(worker, users)
        recommender.goes_on.set()
        return table

    monkeypatch.setattr(workers._Worker, "answer", told)
    return recommender


def test_two_processes_write_the_same_table(waiting, whole, out):
    told = []
    result = write_batch(waiting, out, n=5, workers=2, progress=lambda done, total: told.append((done, total)))
    assert result.path.read_bytes() == whole.read_bytes()
    assert (out / "_left_out.json").read_bytes() == (whole.parent / "_left_out.json").read_bytes()
    assert result.n_workers == 2
    assert result.lines()[1].endswith("by 2 processes")
    n_users = len(waiting.users)
    assert told[-1] == (n_users, n_users)
    assert [done for done, _ in told] == sorted({done for done, _ in told})


def test_one_process_goes_on_where_two_were_stopped(recommender, waiting, whole, out):
    def stop(done, total):
        if waiting.goes_on.is_set():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_batch(waiting, out, n=5, workers=2, progress=stop)
    assert not (out / whole.name).exists()
    result = write_batch(recommender, out, n=5, workers=1)
    assert (result.resumed, result.n_workers) == (True, 1)
    assert result.path.read_bytes() == whole.read_bytes()


def test_workers_that_are_no_count(recommender, out):
    with pytest.raises(InputError, match="workers=0: wanted a whole number of at least 1"):
        write_batch(recommender, out, n=5, workers=0)
    assert not out.exists()


def test_more_workers_than_cores(waiting, whole, out, caplog):
    result = write_batch(waiting, out, n=5, workers=64)
    assert (result.n_workers, result.path.read_bytes()) == (2, whole.read_bytes())
    assert caplog.messages == ["workers=64: this process may use 2 of the machine's cores, so 2 will work"]


def start(run, out):
    command = [sys.executable, "-c", JOB, str(run), str(out)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_stopped_at_a_random_moment(recommender, tiny_run, whole, out, sign):
    """The next job may begin at once: the folder is free, and no worker of the first one writes into it."""
    process = start(tiny_run, out)
    time.sleep(random.Random(int(sign)).uniform(0.5, 2))
    process.send_signal(sign)
    process.wait(30)
    process.stdout.close()
    assert not (out / whole.name).exists()
    result = write_batch(recommender, out, n=5, workers=1)
    assert result.resumed
    assert result.path.read_bytes() == whole.read_bytes()
    assert sorted(path.name for path in out.iterdir()) == [".lock", "_left_out.json", whole.name]
