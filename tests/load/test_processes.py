"""Row 33: a Recommender in other processes, pickled and copied; forks while other threads load a run or answer."""

import asyncio
import copy
import gc
import multiprocessing
import pickle
import shutil
import subprocess
import sys
import weakref
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from belfry import Recommender, train
from belfry.dataset.errors import ArtifactError

ROOT = Path(__file__).parents[2]
needs_fork = pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no forks here")
SETTINGS = ["retrieval.kind=pure_svd", "ranker=none", "sources=[]"]

# Children answer while a thread of their parent loads runs, again and again, at whatever point it is.
FORK_WHILE_LOADING = """
import os, signal, sys, threading, time
import belfry
artifacts, n_forks = sys.argv[1], int(sys.argv[2])
is_over = threading.Event()

def load():
    while not is_over.is_set():
        belfry.Recommender.load(artifacts)

def first_answers():
    from belfry.pipeline.serving import current
    while not is_over.is_set():
        current._loaded.clear()
        belfry.recommend(1, 3, artifacts=artifacts)

wanted = belfry.recommend(1, 3, artifacts=artifacts)
threads = [threading.Thread(target=target) for target in (load, first_answers)]
for thread in threads:
    thread.start()
for number in range(n_forks):
    time.sleep(0.003 * (number % 10))
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        answers = [belfry.recommend(1, 3, artifacts=artifacts), belfry.Recommender.load(artifacts).recommend(1, 3)]
        os._exit(0 if answers == [wanted, wanted] else 1)
    print(os.waitpid(child, 0)[1], flush=True)
is_over.set()
for thread in threads:
    thread.join()
"""

# As above, while four threads of the parent answer from graphs.
FORK_WHILE_ANSWERING = """
import os, signal, sys, threading
import belfry
run, n_forks = sys.argv[1], int(sys.argv[2])
recommender = belfry.Recommender.load(run)
users = recommender.users.ids.to_pylist()[:50]
is_over = threading.Event()

def answer():
    while not is_over.is_set():
        for user in users:
            recommender.recommend(user, 5)

wanted = [recommender.recommend(user, 5) for user in users[:3]]
threads = [threading.Thread(target=answer) for _ in range(4)]
for thread in threads:
    thread.start()
for number in range(n_forks):
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        os._exit(0 if [recommender.recommend(user, 5) for user in users[:3]] == wanted else 1)
    print(os.waitpid(child, 0)[1], flush=True)
is_over.set()
for thread in threads:
    thread.join()
"""

OTHER_PROCESSES = """
import multiprocessing, sys
from belfry import Recommender

def answer(recommender, user):
    return recommender.recommend(user, 3)

if __name__ == "__main__":
    recommender = Recommender.load(sys.argv[1])
    wanted = [recommender.recommend(user, 3) for user in (1, 2)]
    for how in ("fork", "spawn", "forkserver"):
        with multiprocessing.get_context(how).Pool(2) as pool:
            assert pool.starmap(answer, [(recommender, 1), (recommender, 2)]) == wanted, how
        print(how)
"""


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    random = np.random.default_rng(0)
    events = pa.table({"user_id": random.integers(0, 40, 400), "item_id": random.integers(100, 130, 400)})
    folder = tmp_path_factory.mktemp("processes") / "artifacts"
    train(events, settings=SETTINGS, artifacts=folder)
    return folder


@pytest.fixture(scope="module")
def recommender(artifacts: Path) -> Recommender:
    return Recommender.load(artifacts)


def states_of_children(script: str, artifacts: Path, n: int) -> list[str]:
    command = [sys.executable, "-W", "ignore", "-c", script, str(artifacts), str(n)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@needs_fork
def test_row_33_forks_while_another_thread_loads(artifacts: Path) -> None:
    assert states_of_children(FORK_WHILE_LOADING, artifacts, 8) == ["0"] * 8


@needs_fork
@pytest.mark.slow
def test_row_33_many_forks_while_another_thread_loads(artifacts: Path) -> None:
    assert states_of_children(FORK_WHILE_LOADING, artifacts, 200) == ["0"] * 200


@needs_fork
def test_row_33_forks_while_other_threads_answer(tiny_run: Path) -> None:
    assert states_of_children(FORK_WHILE_ANSWERING, tiny_run, 40) == ["0"] * 40


@needs_fork
@pytest.mark.slow
def test_row_33_many_forks_while_other_threads_answer(tiny_run: Path) -> None:
    assert states_of_children(FORK_WHILE_ANSWERING, tiny_run, 300) == ["0"] * 300


def test_row_33_fork_spawn_and_forkserver(artifacts: Path, tmp_path: Path) -> None:
    (script := tmp_path / "script.py").write_text(OTHER_PROCESSES)
    command = [sys.executable, str(script), str(artifacts)]
    environment = {"PYTHONPATH": str(ROOT), "PATH": ""}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["fork", "spawn", "forkserver"]


def test_row_33_a_pickle_is_the_path_of_the_run(recommender: Recommender) -> None:
    pickled = pickle.dumps(recommender)
    assert len(pickled) < 1_000
    again = pickle.loads(pickled)
    assert again.run.folder == recommender.run.folder.absolute()
    assert again.recommend(1, 5) == recommender.recommend(1, 5)
    assert pickle.loads(pickled) is again  # as long as somebody holds it
    opened = weakref.ref(again)
    del again
    gc.collect()
    assert opened() is None


def test_row_33_a_pickle_whose_run_is_gone_or_another(artifacts: Path, tmp_path: Path) -> None:
    shutil.copytree(artifacts, tmp_path / "moved")
    pickled = pickle.dumps(moved := Recommender.load(tmp_path / "moved"))
    shutil.rmtree(moved.run.folder)
    with pytest.raises(ArtifactError, match="no such folder; train first"):
        pickle.loads(pickled)
    random = np.random.default_rng(1)
    events = pa.table({"user_id": random.integers(0, 40, 400), "item_id": random.integers(100, 130, 400)})
    other = train(events, settings=SETTINGS, artifacts=tmp_path / "other").run
    other.folder.rename(moved.run.folder)
    with pytest.raises(ArtifactError, match=f"holds run {other.name}, the pickled Recommender was of {moved.run.name}"):
        pickle.loads(pickled)


def test_row_33_copies_are_the_same(recommender: Recommender) -> None:
    assert copy.copy(recommender) is recommender
    assert copy.deepcopy([recommender]) == [recommender]


def test_row_33_asyncio(recommender: Recommender) -> None:
    async def answers() -> list[object]:
        calls = (asyncio.to_thread(recommender.recommend, user, 5) for user in range(40))
        return await asyncio.gather(*calls)

    assert asyncio.run(answers()) == [recommender.recommend(user, 5) for user in range(40)]
