"""Blocks answered by several processes: equal answers, and a way on whatever becomes of a worker."""

import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from belfry.dataset.errors import BelfryError, InputError
from belfry.pipeline.serving import workers
from belfry.pipeline.serving.recommender import Recommender
from belfry.pipeline.serving.workers import Asking, answer_blocks, blocks_of
from tests.pipeline.small_recommender import SmallRecommender

ROOT = Path(__file__).parents[3]
OPTIONS = {"n": 5, "stage": "final", "exclude": [1], "only": None}


@pytest.fixture(scope="module")
def recommender(tiny_run):
    return Recommender.load(tiny_run)


@pytest.fixture(autouse=True)
def worth_it(monkeypatch):
    """Any work is worth a worker."""
    monkeypatch.setattr(workers, "SECONDS_PER_WORKER", 1e-9)


class Job:
    """Users in blocks of ten. This process answers two blocks, then waits until a worker has come, or is lost."""

    def __init__(self, recommender, n_alone=2):
        self.recommender, self.n_alone = recommender, n_alone
        self.by_worker, self.here = [], []
        self.goes_on = threading.Event()
        self.asking = Asking(self.answer, recommender.run, OPTIONS)

    def answer(self, users):
        if len(self.here) >= self.n_alone:
            assert self.goes_on.wait(60)
        return self.recommender.recommend_many(users, **OPTIONS, workers=1)

    def keep(self, block, table):
        is_here = threading.current_thread() is threading.main_thread()
        (self.here if is_here else self.by_worker).append(block.number)
        if not is_here:
            self.goes_on.set()
        return table

    def work(self, n_workers=2):
        """The tables in order, and how many processes worked."""
        tables = {}
        blocks = blocks_of(self.recommender.users.ids, 10)
        n = answer_blocks(
            blocks,
            self.asking,
            workers=n_workers,
            keep=self.keep,
            told=lambda block, table: tables.update({block.number: table}),
        )
        return [tables[number] for number in sorted(tables)], n


@pytest.fixture(scope="module")
def alone(recommender):
    """What this process answers."""
    ids = recommender.users.ids
    return [recommender.recommend_many(block.users, **OPTIONS) for block in blocks_of(ids, 10)]


def on_loss(monkeypatch, job, before_answer=lambda worker: None):
    """Let the job go on when its worker is lost."""
    lost, answer = workers._Worker._lost, workers._Worker.answer

    def told(worker):
        error = lost(worker)
        job.goes_on.set()
        return error

    def answer_or_not(worker, users):
        before_answer(worker)
        return answer(worker, users)

    monkeypatch.setattr(workers._Worker, "_lost", told)
    monkeypatch.setattr(workers._Worker, "answer", answer_or_not)


def test_a_worker_answers_as_this_process_does(recommender, alone):
    job = Job(recommender)
    tables, n = job.work()
    assert n == 2
    assert job.by_worker
    assert sorted(job.by_worker + job.here) == list(range(len(alone)))
    for table, expected in zip(tables, alone, strict=True):
        assert table.equals(expected, check_metadata=True)


def test_a_worker_that_is_killed(recommender, alone, monkeypatch, caplog):
    job = Job(recommender)
    on_loss(monkeypatch, job, before_answer=lambda worker: worker.kill())
    assert job.work()[0] == alone
    assert not job.by_worker
    (message,) = caplog.messages
    assert "was killed, by somebody or for want of memory; the others go on with its users" in message


def test_a_run_that_is_gone(recommender, alone, monkeypatch, caplog, capfd, tmp_path):
    job = Job(recommender)
    job.asking = replace(job.asking, run=replace(recommender.run, folder=tmp_path / "gone"))
    on_loss(monkeypatch, job)
    assert job.work()[0] == alone
    assert "has ended with code 1; the others go on with its users" in caplog.text
    assert "gone: no such folder" in capfd.readouterr().err


def refuse(*arguments, **options):
    raise OSError("no more processes")


def test_no_process_can_be_started(recommender, alone, monkeypatch, caplog):
    monkeypatch.setattr(subprocess, "Popen", refuse)
    assert Job(recommender, n_alone=99).work() == (alone, 1)
    assert caplog.messages[0] == "no further worker process can be started (no more processes); 1 work"


def test_little_memory(recommender, alone, monkeypatch, caplog):
    monkeypatch.setattr(workers, "available_bytes", lambda: 100 << 20)
    monkeypatch.setattr(subprocess, "Popen", refuse)
    assert Job(recommender, n_alone=99).work() == (alone, 1)
    assert caplog.messages[0].startswith("100 MiB of memory are free and a worker process needs about 40")
    assert caplog.messages[0].endswith(": 1 work rather than 2")


def test_some_seconds_of_work_start_no_process(recommender, alone, monkeypatch):
    monkeypatch.setattr(workers, "SECONDS_PER_WORKER", 3.0)
    monkeypatch.setattr(subprocess, "Popen", refuse)
    assert Job(recommender, n_alone=99).work() == (alone, 1)


def test_lists_that_no_run_gives_are_made_here(recommender, monkeypatch):
    monkeypatch.setattr(subprocess, "Popen", refuse)
    job = Job(recommender, n_alone=99)
    job.asking = replace(job.asking, run=None)
    assert job.work()[1] == 1
    assert recommender.as_published
    assert not Recommender(replace(recommender.parts, reads_history=False)).as_published


def processes(recommender):
    """Workers at work now."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            state = path.with_name("stat").read_text().rpartition(")")[2].split()[0]
            if b"worker_process" in path.read_bytes() and state != "Z":
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


@pytest.mark.parametrize("error", [OSError("the disk is full"), KeyboardInterrupt()])
def test_a_job_that_fails_leaves_no_process(recommender, error):
    """By what a thread of a worker meets, or by what comes to this process."""
    before = processes(recommender)

    class Failing(Job):
        def keep(self, block, table):
            if isinstance(error, OSError) and threading.current_thread() is not threading.main_thread():
                self.goes_on.set()
                raise error
            return super().keep(block, table)

        def answer(self, users):
            if isinstance(error, KeyboardInterrupt) and len(self.here) == 3:
                raise error
            return super().answer(users)

    with pytest.raises(type(error)):
        Failing(recommender).work()
    assert set(processes(recommender)) <= set(before)
    assert threading.active_count() == 1


ORPHAN = """
import sys, time
from belfry import Recommender
from belfry.pipeline.serving import workers
workers.SECONDS_PER_WORKER = 1e-9
recommender = Recommender.load(sys.argv[1])
n_here = 0

def answer(users):
    global n_here
    n_here += 1
    if n_here == 2:
        print(team_pid(), flush=True)
        time.sleep(600)
    return recommender.recommend_many(users, 5)

def team_pid():
    return started[0].pid

started = []
popen = workers.subprocess.Popen
workers.subprocess.Popen = lambda *arguments, **options: started.append(popen(*arguments, **options)) or started[-1]
asking = workers.Asking(answer, recommender.run, {"n": 5})
blocks = workers.blocks_of(recommender.users.ids, 10)
workers.answer_blocks(blocks, asking, workers=2, keep=lambda *_: time.sleep(0.01), told=lambda *_: None)
"""


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks into /proc")
@pytest.mark.parametrize("moment_s", [0.0, 0.1, 2.0])
def test_a_worker_never_outlives_who_started_it(tiny_run, moment_s):
    command = [sys.executable, "-c", ORPHAN, str(tiny_run)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        worker = int(process.stdout.readline())
        time.sleep(moment_s)
        process.kill()
    until = time.monotonic() + 20
    while worker in processes(None):
        assert time.monotonic() < until
        time.sleep(0.05)


def test_too_little_memory_for_all_at_once(caplog):
    recommender = SmallRecommender()

    class Short(SmallRecommender):
        def _table(self, ids, *arguments):
            if len(ids) > 11:
                raise MemoryError
            return super()._table(ids, *arguments)

    ids = recommender.users.ids
    assert Short().recommend_many(ids, 3).equals(recommender.recommend_many(ids, 3))
    assert caplog.messages[0] == "there is not enough memory for 40 users at once; 20 at once are tried"


def test_too_little_memory_for_anybody():
    class Short(SmallRecommender):
        def _table(self, ids, *arguments):
            raise MemoryError

    with pytest.raises(BelfryError, match="not enough memory for the list of one user; free some, run again"):
        Short().recommend_many([1, 2], 3)


def test_recommend_many_in_blocks(monkeypatch):
    recommender = SmallRecommender()
    ids = pa.array([5, 999, 7, 2, 40, 9, 1])
    whole = recommender.recommend_many(ids, 3, exclude=["b"], only=["a", "b", "c", "d"])
    monkeypatch.setattr(workers, "USERS_PER_BLOCK", 2)
    parts = recommender.recommend_many(ids, 3, exclude=["b"], only=["a", "b", "c", "d"], workers=os.cpu_count())
    assert parts.equals(whole, check_metadata=True)
    with pytest.raises(InputError, match="workers=0"):
        recommender.recommend_many(ids, 3, workers=0)
