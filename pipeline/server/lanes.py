"""Lanes: threads that score, and how many requests may wait for them.

Scoring is NumPy and ONNX Runtime between stretches of Python, so that threads of one process gain little over one
another (docs/results/serving.md): each lane has one, cores are used by processes, and the loop of events stays free to
refuse, to tell its health, and to give up on what takes too long.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from belfry.pipeline.server.errors import RefusedError

T = TypeVar("T")


class Lane:
    """One thread and a queue before it."""

    def __init__(self, name: str, *, max_waiting: int, timeout_s: float) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=f"belfry-{name}")
        self._max_waiting, self._timeout_s = max_waiting, timeout_s
        self._lock = threading.Lock()
        self.n_waiting = 0  # with the one that is scored

    async def run(self, call: Callable[[], T]) -> T:
        """What `call` gives, in its turn.

        Raises:
            RefusedError: too many wait already, or it was not done in time; what has not begun by then never is.
        """
        with self._lock:
            if self.n_waiting >= self._max_waiting:
                raise RefusedError(
                    503, "overloaded", "too many requests wait for an answer; try again", retry_after_s=1
                )
            self.n_waiting += 1
        future = self._pool.submit(call)
        future.add_done_callback(self._leave)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), self._timeout_s)
        except TimeoutError:
            raise RefusedError(503, "timeout", "the answer took too long; try again", retry_after_s=1) from None

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _leave(self, future: Future[T]) -> None:
        with self._lock:
            self.n_waiting -= 1
