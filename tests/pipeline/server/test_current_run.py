"""Hot swaps: a published run is taken up whole, a damaged one never, and the old one is freed."""

import gc
import logging
import os
import shutil
import sys
import threading
import weakref
from pathlib import Path

import pytest

from belfry.pipeline.runs.manifest import MANIFEST
from belfry.pipeline.server import current_run
from belfry.pipeline.server.current_run import CurrentRun
from tests.pipeline.server.conftest import publish


def name_of(current: CurrentRun) -> str:
    assert current.recommender is not None
    return current.recommender.run.name


def damage(run: Path) -> bytes:
    """Flip a byte of the vectors; gives the whole content."""
    path = next(run.rglob("vectors.npy"))
    content = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    return content


def test_a_new_run_is_taken_up_and_the_old_one_is_freed(artifacts: Path):
    swaps: list[bool] = []
    current = CurrentRun(artifacts, swaps.append)
    current.look()
    first, old = name_of(current), weakref.ref(current.recommender)
    current.look()
    assert swaps == [True]
    publish(artifacts, seed=1)
    current.look()
    assert name_of(current) != first
    assert swaps == [True, True]
    gc.collect()
    assert old() is None


def test_a_damaged_run_is_told_once_and_the_old_one_stays(artifacts: Path, caplog, monkeypatch):
    swaps: list[bool] = []
    current = CurrentRun(artifacts, swaps.append)
    current.look()
    first = name_of(current)
    second = publish(artifacts, seed=1).run.folder
    content = damage(second)
    caplog.clear()
    with caplog.at_level(logging.ERROR, "belfry"):
        current.look()
        current.look()
    assert name_of(current) == first
    assert current.is_refused
    assert swaps == [True, False]
    (record,) = caplog.records
    assert "vectors.npy" in record.getMessage()
    assert f"run {first} goes on answering" in record.getMessage()
    # It was being copied: the rest has come.
    next(second.rglob("vectors.npy")).write_bytes(content)
    current.look()
    assert name_of(current) == first  # not yet: opening costs, so it is not tried at every look
    monkeypatch.setattr(current_run, "RETRY_S", 0)
    current._retry_at_s = 0
    current.look()
    assert (name_of(current), current.is_refused) == (second.name, False)


def test_going_back_to_the_old_run_ends_the_refusal(artifacts: Path):
    current = CurrentRun(artifacts)
    current.look()
    first = name_of(current)
    damage(publish(artifacts, seed=1).run.folder)
    current.look()
    (artifacts / "current").write_text(first)
    current.look()
    assert (name_of(current), current.is_refused) == (first, False)


@pytest.mark.parametrize("vanishes", ["run", "current", "all"])
def test_a_run_that_vanishes_goes_on_answering(artifacts: Path, vanishes: str):
    current = CurrentRun(artifacts)
    current.look()
    assert current.recommender is not None
    wanted = current.recommender.recommend(3, 5)
    if vanishes == "current":
        (artifacts / "current").unlink()
    else:
        shutil.rmtree(current.recommender.run.folder if vanishes == "run" else artifacts)
    current.look()
    assert current.is_refused
    assert current.recommender.recommend(3, 5) == wanted


def test_one_run_is_followed_nowhere(artifacts: Path):
    run = artifacts / (artifacts / "current").read_text().strip()
    assert (run / MANIFEST).exists()
    current = CurrentRun(run)
    current.look()
    publish(artifacts, seed=1)
    current.look()
    assert name_of(current) == run.name


def test_it_looks_by_itself(artifacts: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(current_run, "LOOK_S", 0.01)
    is_swapped, own = threading.Event(), os.getpriority(os.PRIO_PROCESS, 0)
    current = CurrentRun(artifacts, lambda is_taken: is_swapped.set())
    current.start()
    first = name_of(current)
    is_swapped.clear()
    publish(artifacts, seed=1)
    assert is_swapped.wait(60)
    if sys.platform == "linux":
        assert os.getpriority(os.PRIO_PROCESS, current._thread.native_id) >= current_run.PRIORITY
        assert os.getpriority(os.PRIO_PROCESS, 0) == own
    current.stop()
    assert name_of(current) != first
