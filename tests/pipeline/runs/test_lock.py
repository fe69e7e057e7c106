"""One holder at a time, named to whoever comes second; a dead holder's lock is free."""

import os
import signal
import subprocess
import sys

import pytest

from belfry.dataset.errors import InputError
from belfry.pipeline.runs.lock import hold, wait_and_hold

HOLDER = """
import sys, time
from pathlib import Path
from belfry.pipeline.runs.lock import hold
with hold(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""


def start_holder(path, seconds):
    process = subprocess.Popen([sys.executable, "-c", HOLDER, path, str(seconds)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout as stdout:
        assert stdout.readline() == "held\n"
    return process


def test_the_second_stops_at_once_and_names_the_owner(tmp_path):
    path = tmp_path / ".lock"
    process = start_holder(path, 60)
    try:
        with (
            pytest.raises(InputError, match=rf"in use by process {process.pid} on \S+ since 20\d\d-.*; wait"),
            hold(path),
        ):
            pass
    finally:
        process.kill()
        process.wait()


def test_a_dead_owners_lock_is_free(tmp_path):
    path = tmp_path / ".lock"
    process = start_holder(path, 60)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert "process" in path.read_text()
    with hold(path):
        assert f"process {os.getpid()} on" in path.read_text()


def test_it_is_free_again_after_use_and_after_a_failure(tmp_path):
    path = tmp_path / ".lock"
    with pytest.raises(RuntimeError), hold(path):
        raise RuntimeError
    with hold(path), pytest.raises(InputError, match=f"process {os.getpid()}"), hold(path):
        pass
    with hold(path):
        pass
    assert path.read_text() == ""


def test_waiting_ends_when_the_holder_does(tmp_path):
    path = tmp_path / ".lock"
    process = start_holder(path, 0.3)
    with wait_and_hold(path):
        assert f"process {os.getpid()} on" in path.read_text()
    assert process.wait() == 0


def test_a_lock_that_cannot_be_made_is_named(tmp_path):
    with pytest.raises(InputError, match=r"missing/.lock: the lock file cannot be opened \(No such file"):  # noqa: SIM117
        with hold(tmp_path / "missing" / ".lock"):
            pass
    os.mkfifo(tmp_path / ".lock")
    with pytest.raises(InputError, match=r"cannot be opened \(it is no plain file\)"), hold(tmp_path / ".lock"):
        pass
