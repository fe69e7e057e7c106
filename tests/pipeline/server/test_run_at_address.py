"""A server whose runs lie at an address: swaps, and a storage that goes away."""

import threading
from pathlib import Path

import pytest

from belfry.pipeline.server import current_run
from belfry.pipeline.server.current_run import CurrentRun
from tests.pipeline.runs.remote.conftest import Place, memory_place, own_cache  # noqa: F401
from tests.pipeline.server.conftest import publish
from tests.pipeline.server.test_current_run import name_of


def test_a_new_run_is_taken_up(memory_place: Place, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setattr(current_run, "LOOK_AT_ADDRESS_S", 0.01)
    is_swapped, first = threading.Event(), publish(memory_place.path)
    current = CurrentRun(Path(memory_place.address), lambda is_taken: is_swapped.set())
    current.start()
    assert name_of(current) == first.run.name
    is_swapped.clear()
    second = publish(memory_place.path, seed=1)
    assert is_swapped.wait(60)
    current.stop()
    assert name_of(current) == second.run.name


def test_a_storage_that_goes_away_and_comes_back(memory_place: Place, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    first = publish(memory_place.path).run.name
    current = CurrentRun(memory_place.path)
    current.look()

    def away(*_arguments: object, **_options: object) -> None:
        raise OSError("nobody answers")

    with monkeypatch.context() as patched:
        patched.setattr(type(memory_place.files), "cat_file", away)
        current.look()
    assert (name_of(current), current.is_refused) == (first, True)
    current.look()
    assert (name_of(current), current.is_refused) == (first, False)
