"""Blocks of users answered on all cores: by this process, and by workers that have opened the same run.

Workers are processes, not threads: much of an answer is short calls that hold the interpreter's lock. They are no
copies of this process either (ONNX Runtime's and Arrow's threads survive no fork), and do not run the caller's script
again, as those of `multiprocessing` do. Starting one costs about a second, so none is started before the work that is
left is known to be worth it.
"""

import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from time import perf_counter
from typing import Generic, TypeVar

import pyarrow as pa

from belfry.dataset.errors import BelfryError
from belfry.pipeline.machine import available_bytes, workers_to_use
from belfry.pipeline.runs.reader import Run

USERS_PER_BLOCK = 1_024
SECONDS_PER_WORKER = 3.0  # of work for this process alone: each worker has to save that much
WORKER_BYTES = 400 << 20  # of its libraries and one block; the run comes on top
BYTES_PER_FILE_BYTE = 3  # of a run in memory
READY = b"."  # what a worker says once

log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True)
class Asking:
    """How a block of users is answered."""

    answer: Callable[[pa.Array], pa.Table]  # in this process
    run: Run | None  # what a worker opens to answer equally; None: none can
    options: Mapping[str, object]  # of `recommend_many`, for workers


@dataclass(frozen=True)
class Block:
    """Users who are answered together."""

    number: int
    users: pa.Array


def blocks_of(users: pa.Array, size: int) -> Iterator[Block]:
    """All users in order, `size` to a block."""
    for number, start in enumerate(range(0, len(users), size)):
        yield Block(number, users[start : start + size])


def answer_blocks(
    blocks: Iterable[Block],
    asking: Asking,
    *,
    workers: int,
    keep: Callable[[Block, pa.Table], T],
    told: Callable[[Block, T], None],
) -> int:
    """Answer every block, in any order; returns how many processes worked.

    At most `workers` blocks are in memory at a time, besides what `keep` returns.

    Args:
        workers: processes at most, this one included.
        keep: what becomes of an answer; called from several threads.
        told: called in this thread when a block is done.
    """
    from threadpoolctl import threadpool_limits

    team = _Team(deque(blocks), asking, keep)
    with threadpool_limits(1, "blas"):  # one thread for each process; and sums keep their order
        try:
            return team.work(workers, told)
        finally:
            team.stop()


def answer_together(users: pa.Array, asking: Asking, workers: int | None) -> pa.Table:
    """One table of the answers for all users, in their order; `workers` as in `workers_to_use`."""
    n_workers = 1 if workers is None and len(users) <= USERS_PER_BLOCK else workers_to_use(workers)
    if len(users) <= USERS_PER_BLOCK:
        return _answer_in_memory(asking.answer, users)
    tables: dict[int, pa.Table] = {}

    def told(block: Block, table: pa.Table) -> None:
        tables[block.number] = table

    blocks = blocks_of(users, USERS_PER_BLOCK)
    answer_blocks(blocks, asking, workers=n_workers, keep=lambda block, table: table, told=told)
    return pa.concat_tables(tables[number] for number in sorted(tables))


class _Team(Generic[T]):
    """This process and its workers, who take blocks from one queue."""

    def __init__(self, todo: deque[Block], asking: Asking, keep: Callable[[Block, pa.Table], T]) -> None:
        self._todo, self._asking, self._keep = todo, asking, keep
        self._finished: SimpleQueue[tuple[Block, T] | Exception | None] = SimpleQueue()
        self._workers: list[_Worker] = []
        self._threads: list[threading.Thread] = []
        self._stopping = False

    def work(self, workers: int, told: Callable[[Block, T], None]) -> int:
        n_left, n_own, started = len(self._todo), 0, perf_counter()
        while n_left:
            if block := self._next():
                self._finished.put((block, self._keep(block, _answer_in_memory(self._asking.answer, block.users))))
                n_own += 1
                if not self._workers and workers > 1:
                    workers = self._start((perf_counter() - started) / n_own, workers)
            for finished in self._finished_so_far():
                told(*finished)
                n_left -= 1
        return 1 + len(self._workers)

    def stop(self) -> None:
        """End all workers. Nothing is lost by that: what they have answered is kept by this process."""
        self._stopping = True
        self._todo.clear()
        for worker in self._workers:
            worker.kill()
        for thread in self._threads:
            thread.join()
        for worker in self._workers:
            worker.close()

    def _start(self, seconds_per_block: float, workers: int) -> int:
        """Start the workers that the blocks left are worth; returns how many processes are to work from now on."""
        n_left, run = len(self._todo), self._asking.run
        wanted = min(workers - 1, n_left - 1, int(n_left * seconds_per_block / SECONDS_PER_WORKER))
        if run is None or wanted < 1:
            return workers
        fitting = _that_fit_in_memory(run, wanted)
        try:
            for _ in range(fitting):
                self._workers.append(_Worker(run, self._asking.options))
        except OSError as error:
            log.warning("no further worker process can be started (%s); %d work", error, 1 + len(self._workers))
        for worker in self._workers:
            self._threads.append(threading.Thread(target=self._serve, args=(worker,), daemon=True))
            self._threads[-1].start()
        return 1 + len(self._workers)

    def _serve(self, worker: "_Worker") -> None:
        """Have a worker answer blocks until none is left, or until it is lost."""
        block = None
        try:
            worker.wait_until_ready()
            while block := self._next():
                self._finished.put((block, self._keep(block, worker.answer(block.users))))
        except _WorkerLostError as error:
            if self._stopping:
                return
            log.warning("worker process %s; the others go on with its users", error)
            if block:
                self._todo.appendleft(block)
            self._finished.put(None)  # wakes whoever waits: there is a block again
        except Exception as error:
            self._finished.put(error)

    def _next(self) -> Block | None:
        try:
            return self._todo.popleft()
        except IndexError:
            return None

    def _finished_so_far(self) -> Iterator[tuple[Block, T]]:
        """What is finished by now; where no block is left to take up, waits for one that is finished or given back."""
        wait = not self._todo
        try:
            while True:
                # For a moment at a time: on Windows nobody can interrupt a longer one.
                finished = self._finished.get(block=wait, timeout=0.2)
                wait = False
                if isinstance(finished, Exception):
                    raise finished
                if finished is not None:
                    yield finished
        except Empty:
            return


class _WorkerLostError(Exception):
    """A worker has ended before its work has."""


class _Worker:
    """One process that answers from a run."""

    def __init__(self, run: Run, options: Mapping[str, object]) -> None:
        """Start it; while it opens the run, nobody waits."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "belfry.pipeline.serving.worker_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)},
            process_group=0,  # Ctrl-C is for this process alone
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._input, self._output = self._process.stdin, self._process.stdout
        self._job = {"run": str(run.folder.absolute()), "name": run.name, "options": options}

    def wait_until_ready(self) -> None:
        self._send(self._job)
        if self._output.read(len(READY)) != READY:
            raise self._lost()

    def answer(self, users: pa.Array) -> pa.Table:
        self._send(users.to_pylist())
        try:
            with pa.ipc.open_stream(self._output) as stream:
                return stream.read_all()
        except (OSError, ValueError) as error:  # Arrow's are among these
            raise self._lost() from error

    def kill(self) -> None:
        self._process.kill()

    def close(self) -> None:
        self._process.wait()
        self._output.close()
        try:
            self._input.close()
        except OSError:
            return  # a line that it did not read any more

    def _send(self, document: object) -> None:
        try:
            self._input.write(json.dumps(document, default=int).encode() + b"\n")  # int: NumPy's integers
            self._input.flush()
        except OSError as error:
            raise self._lost() from error

    def _lost(self) -> _WorkerLostError:
        try:
            code = self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        if code == -signal.SIGKILL:
            return _WorkerLostError(f"{self._process.pid} was killed, by somebody or for want of memory")
        return _WorkerLostError(f"{self._process.pid} has ended with code {code}")


def _that_fit_in_memory(run: Run, wanted: int) -> int:
    """How many of the wanted workers there is memory for."""
    free_bytes = available_bytes()
    if free_bytes is None:
        return wanted
    of_run = sum(file.size for name, file in run.manifest.files.items() if not name.startswith("training/"))
    needed_bytes = WORKER_BYTES + BYTES_PER_FILE_BYTE * of_run
    fitting = min(wanted, free_bytes // needed_bytes)
    if fitting < wanted:
        sizes = f"{free_bytes >> 20:,} MiB of memory are free and a worker process needs about {needed_bytes >> 20:,}"
        log.warning("%s: %d work rather than %d", sizes, 1 + fitting, 1 + wanted)
    return fitting


def _answer_in_memory(answer: Callable[[pa.Array], pa.Table], users: pa.Array) -> pa.Table:
    """The answer; where memory is short, that of each half."""
    try:
        return answer(users)
    except MemoryError as error:
        if len(users) == 1:
            raise BelfryError("there is not enough memory for the list of one user; free some, run again") from error
    half = len(users) // 2
    log.warning("there is not enough memory for %d users at once; %d at once are tried", len(users), half)
    return pa.concat_tables([_answer_in_memory(answer, users[:half]), _answer_in_memory(answer, users[half:])])
