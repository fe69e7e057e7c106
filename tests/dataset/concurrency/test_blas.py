"""One thread for products: inside, nested, by several threads; and as many as before afterwards."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from threadpoolctl import ThreadpoolController

from belfry.dataset.concurrency.blas import OneThread, one_thread


def counts() -> list[int]:
    libraries = ThreadpoolController().lib_controllers
    return [library.get_num_threads() for library in libraries if library.user_api == "blas"]


@pytest.fixture
def many():
    """Three threads for each library."""
    libraries = [one for one in ThreadpoolController().lib_controllers if one.user_api == "blas"]
    before = counts()
    for library in libraries:
        library.set_num_threads(3)
    yield
    for library, count in zip(libraries, before, strict=True):
        library.set_num_threads(count)


@pytest.mark.usefixtures("many")
def test_inside_there_is_one_thread_and_afterwards_as_many_as_before() -> None:
    assert np.ones(2) @ np.ones(2) == 2
    before = counts()
    assert set(before) == {3}
    with one_thread:
        with one_thread:
            assert set(counts()) == {1}
        assert set(counts()) == {1}
    assert counts() == before
    with pytest.raises(ValueError, match="within"), one_thread:
        raise ValueError("within")
    assert counts() == before


@pytest.mark.usefixtures("many")
def test_threads_that_overlap_leave_what_was_there_before_the_first() -> None:
    limit, first_is_in, second_is_in = OneThread(), threading.Event(), threading.Event()

    def second() -> None:
        first_is_in.wait()
        with limit:
            second_is_in.set()

    thread = threading.Thread(target=second)
    thread.start()
    with limit:
        first_is_in.set()
        second_is_in.wait()
        assert set(counts()) == {1}
    thread.join()
    assert set(counts()) == {3}


CHILD = """
import os, sys
from belfry.pipeline.cli import main
assert "numpy" not in sys.modules, "it would have read the environment already"
sys.argv = ["belfry", "--version"]
main.leave = lambda code: print(os.environ["OPENBLAS_NUM_THREADS"])
main.main()
"""


@pytest.mark.parametrize(("given", "expected"), [({}, "1"), ({"OPENBLAS_NUM_THREADS": "2"}, "2")])
def test_a_verb_asks_for_one_thread_unless_it_is_told(given: dict[str, str], expected: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"} | given
    told = subprocess.run([sys.executable, "-c", CHILD], env=environment, capture_output=True, text=True, check=True)
    assert told.stdout.split()[-1] == expected
