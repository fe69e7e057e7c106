"""A fork waits for pieces of work, and pieces that begin wait for the fork."""

import os
import signal
import threading
import time

import pytest

from belfry.dataset.concurrency.forks import WorkBesideForks

work = WorkBesideForks()  # one for all tests: what a fork calls stays for the life of the process

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")


def fork_and_work() -> int:
    """How the child ended, after a piece of its own."""
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        with work:
            os._exit(3)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # that it has threads, from Python 3.12 on
def test_a_fork_waits_for_what_runs() -> None:
    has_begun, ended = threading.Event(), []

    def piece() -> None:
        with work:
            has_begun.set()
            time.sleep(0.3)
            ended.append(True)

    thread = threading.Thread(target=piece)
    thread.start()
    assert has_begun.wait(20)
    assert fork_and_work() == 3
    assert ended == [True]
    thread.join()


def test_a_fork_inside_a_piece_of_its_own_thread() -> None:
    with work, work:
        assert fork_and_work() == 3
    assert fork_and_work() == 3


def test_pieces_run_at_once() -> None:
    both = threading.Barrier(2, timeout=20)

    def piece() -> None:
        with work:
            both.wait()

    threads = [threading.Thread(target=piece) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not both.broken


def test_an_error_ends_a_piece() -> None:
    with pytest.raises(ValueError, match="no"), work:
        raise ValueError("no")
    assert fork_and_work() == 3
