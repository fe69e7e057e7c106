"""Row 26: Ctrl-C and SIGTERM at any moment of `train` and `batch`: the job stops at once and nothing is half there."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from belfry.pipeline.runs.reader import open_run

ROOT = Path(__file__).parents[2]
LIMIT_S = 5.0
STOPPED = "belfry: stopped; nothing is half published and what was published before stays; run it again to go on\n"
TRAIN = ["--quiet", "--set", "retrieval.epochs=2", "--set", "folds=2"]
LIGHT = ["--quiet", "--set", "retrieval.kind=pure_svd", "--set", "ranker=none", "--set", "sources=[]"]

# `python -m belfry` that writes down when it has come to its end: all that is left to do then is the system's.
NOTED = """
import os, sys, time
path, own, leave = sys.argv.pop(1), os.getpid(), os._exit
def end(code):
    if os.getpid() == own:
        with open(path, "w") as file:
            file.write(str(time.monotonic()))
    leave(code)
os._exit = end
from belfry.pipeline.cli.main import main
main()
"""


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 users with 8 events each, of 40 items, half of them of the user's own kind."""
    random_ = np.random.default_rng(0)
    users = np.repeat(np.arange(60), 8)
    items = np.where(
        random_.random(480) < 0.8, random_.integers(0, 20, 480) * 2 + users % 2, random_.integers(0, 40, 480)
    )
    path = tmp_path_factory.mktemp("events") / "events.parquet"
    pq.write_table(pa.table({"user_id": users, "item_id": items + 100, "timestamp_s": np.arange(480) + 10**9}), path)
    return path


def start(arguments: list[object], end: Path | str = os.devnull) -> "subprocess.Popen[str]":
    """Writes to `end`, as it ends, what `time.monotonic` says."""
    return subprocess.Popen(
        [sys.executable, "-c", NOTED, str(end), *map(str, arguments)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # tests in the background ignore it
    )


def wait_for_handlers(job: "subprocess.Popen[str]") -> None:
    """Before Belfry's first lines, while Python itself starts, a signal ends it as it ends any program."""
    status = Path(f"/proc/{job.pid}/status")
    if not status.exists():
        time.sleep(1)
        return
    caught = 0
    while not caught >> (signal.SIGTERM - 1) & 1 and job.poll() is None:
        time.sleep(0.001)
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("SigCgt"))
        caught = int(line.split()[1], 16)


def seconds_of(arguments: list[object]) -> float:
    started = time.monotonic()
    _, errors = (job := start(arguments)).communicate(timeout=300)
    assert job.returncode == 0, errors
    return time.monotonic() - started


def interrupt_often(n: int, arguments: list[object], longest_s: float, check: Callable[[], None], folder: Path) -> None:
    """Send `n` signals at random moments, each to a job of its own; `check` looks at what a job has left behind.

    A signal that was sent after the last step of its job does not count: its work was done, and the system was taking
    the process down.
    """
    moments, failures, n_stopped, end = random.Random(n), [], 0, folder / "end"
    for _ in range(2 * n):
        if n_stopped + len(failures) == n:
            break
        number = moments.choice((signal.SIGINT, signal.SIGTERM))
        end.unlink(missing_ok=True)
        job = start(arguments, end)
        wait_for_handlers(job)
        time.sleep(moments.uniform(0, longest_s))
        if job.poll() is not None:  # done before
            job.communicate()
            continue
        sent = time.monotonic()
        job.send_signal(number)
        try:
            _, errors = job.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            job.kill()
            job.communicate()
            errors = "still running after a minute"
        took_s = time.monotonic() - sent
        check()
        if (job.returncode, errors) == (128 + number, STOPPED) and took_s < LIMIT_S:
            n_stopped += 1
        elif (job.returncode, errors) != (0, "") or not end.exists() or float(end.read_text()) > sent:
            failures.append((number.name, job.returncode, f"{took_s:.1f} s", errors))
    assert (n_stopped, failures) == (n, [])


def interrupt_training(n: int, events: Path, folder: Path, settings: list[str]) -> None:
    artifacts = folder / "artifacts"
    seconds_of(["train", "--interactions", events, "--artifacts", artifacts, *LIGHT])
    published = open_run(artifacts).name
    job: list[object] = ["train", "--interactions", events, "--artifacts", artifacts, "--seed", 1, *settings]
    longest_s = seconds_of([*job[:4], folder / "other", *job[5:]])

    def check() -> None:
        assert not list(artifacts.glob(".writing-*"))
        nonlocal published
        if (current := open_run(artifacts).name) != published:  # whole: the signal found the last moments
            published = current

    interrupt_often(n, job, longest_s, check, folder)


def interrupt_batch(n: int, events: Path, folder: Path) -> None:
    artifacts, out = folder / "artifacts", folder / "out"
    seconds_of(["train", "--interactions", events, "--artifacts", artifacts, *LIGHT])
    longest_s = seconds_of(["batch", "--artifacts", artifacts, "--out", folder / "whole", "--quiet"])
    whole = (folder / "whole" / "recommendations.parquet").read_bytes()

    def check() -> None:
        assert not (out / "recommendations.parquet").exists() or (
            (out / "recommendations.parquet").read_bytes() == whole
        )

    job: list[object] = ["batch", "--artifacts", artifacts, "--out", out, "--quiet"]
    interrupt_often(n, job, longest_s, check, folder)
    seconds_of(job)
    assert (out / "recommendations.parquet").read_bytes() == whole
    assert sorted(path.name for path in out.iterdir()) == [".lock", "_left_out.json", "recommendations.parquet"]


def test_row_26_a_few_interrupts_of_train(events: Path, tmp_path: Path) -> None:
    interrupt_training(4, events, tmp_path, LIGHT)


def test_row_26_a_few_interrupts_of_batch(events: Path, tmp_path: Path) -> None:
    interrupt_batch(4, events, tmp_path)


@pytest.mark.slow
def test_row_26_a_hundred_interrupts_of_train(events: Path, tmp_path: Path) -> None:
    interrupt_training(100, events, tmp_path, TRAIN)


@pytest.mark.slow
def test_row_26_a_hundred_interrupts_of_batch(events: Path, tmp_path: Path) -> None:
    interrupt_batch(100, events, tmp_path)
