"""Blocks of users answered on several cores, by threads of this process.

Almost all of an answer are NumPy's, ONNX Runtime's and ScaNN's long calls, which hold no lock of the interpreter's. So
threads come close to as many processes, and need no start, no second copy of the run, and cannot be killed one by one.
"""

import logging
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import TypeVar

import pyarrow as pa

from belfry.dataset.concurrency.blas import one_thread
from belfry.dataset.concurrency.machine import available_bytes, workers_to_use
from belfry.dataset.errors import BelfryError

USERS_PER_BLOCK = 256  # scored together; a job that is stopped waits for no more than one of these on each core
BLOCK_BYTES = 256 << 20  # of memory at most while it is scored

log = logging.getLogger(__name__)
Item = TypeVar("Item")
Result = TypeVar("Result")
Answer = Callable[[pa.Array], pa.Table]  # users -> their lists


def answer_together(answer: Answer, users: pa.Array, workers: int | None, size: int) -> pa.Table:
    """One table of the lists of all users, in their order, answered by at most `workers` threads.

    Blocks hold `size` users, or `USERS_PER_BLOCK` where that is less.

    Raises:
        InputError: `workers` is no count.
    """
    if workers is not None:
        workers = workers_to_use(workers)
    size = min(size, USERS_PER_BLOCK)
    if len(users) <= size:
        return answer_within_memory(answer, users)
    tables = answer_blocks(answer, blocks_of(users, size), workers_within_memory(workers))
    with closing(tables):
        return pa.concat_tables(tables).combine_chunks()


def blocks_of(users: pa.Array, size: int) -> Iterator[pa.Array]:
    """All users in order, in blocks that do not depend on how many work."""
    for start in range(0, len(users), size):
        yield users[start : start + size]


def answer_blocks(answer: Answer, blocks: Iterable[pa.Array], workers: int) -> Generator[pa.Table]:
    """The answer of each block, in order."""
    return in_order(lambda block: answer_within_memory(answer, block), blocks, workers)


def workers_within_memory(wanted: int | None) -> int:
    """As `workers_to_use`, and no more than there is memory for."""
    workers, free_bytes = workers_to_use(wanted), available_bytes()
    if free_bytes is None or workers * BLOCK_BYTES <= free_bytes:
        return workers
    fitting = max(1, free_bytes // BLOCK_BYTES)
    if fitting < workers:
        sizes = f"{free_bytes >> 20:,} MiB of memory are free and each worker may need {BLOCK_BYTES >> 20:,}"
        log.warning("%s: %d will work rather than %d", sizes, fitting, workers)
    return fitting


def in_order(function: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Generator[Result]:
    """`function` of each item, by `workers` threads, in the order of the items; with one, by none but this thread.

    At most `workers + 1` results wait to be taken, and items are asked for no sooner than they are needed. Close the
    iterator where it is left early: then what is under way is waited for, and nothing else is begun.
    """
    with one_thread:  # a thread for each worker; and sums keep their order, however many work
        if workers == 1:
            yield from map(function, items)
            return
        pending: deque[Future[Result]] = deque()
        with ThreadPoolExecutor(workers, thread_name_prefix="belfry") as pool:
            try:
                for item in items:
                    pending.append(pool.submit(function, item))
                    if len(pending) > workers:
                        yield pending.popleft().result()
                while pending:
                    yield pending.popleft().result()
            finally:
                for future in pending:
                    future.cancel()


def answer_within_memory(answer: Answer, users: pa.Array) -> pa.Table:
    """The answer; where memory is short, that of each half."""
    try:
        return answer(users)
    except MemoryError as error:
        if len(users) == 1:
            raise BelfryError("there is not enough memory for the list of one user; free some, run again") from error
    half = len(users) // 2
    log.warning("there is not enough memory for %d users at once; %d at once are tried", len(users), half)
    return pa.concat_tables([answer_within_memory(answer, part) for part in (users[:half], users[half:])])
