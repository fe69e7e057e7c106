"""What a process may fork beside: it forks before or after what is guarded here, never in between.

A child has only the thread that forked. A lock that another thread held would stay locked in it for ever, and so would
those that an import, or an allocator of a library, held at that moment.
"""

import os
import threading
import time
from contextlib import AbstractContextManager

_PAUSE_S = 0.0002  # between two looks at what still runs


class WorkBesideForks:
    """Work that threads do at once, and that a fork waits for: `with work:` around each piece.

    While a fork waits, no thread begins another piece; the child knows of none. A piece must not wait for a lock.
    """

    def __init__(self) -> None:
        self._gate = threading.RLock()
        self._threads: list[int] = []  # of the pieces that run; to append and to remove are single steps
        if hasattr(os, "register_at_fork"):
            release = self._gate.release
            os.register_at_fork(before=self._wait, after_in_parent=release, after_in_child=release)

    def __enter__(self) -> None:
        with self._gate:
            self._threads.append(threading.get_ident())

    def __exit__(self, *error: object) -> None:
        self._threads.remove(threading.get_ident())

    def _wait(self) -> None:
        self._gate.acquire()
        forking = threading.get_ident()
        while any(thread != forking for thread in self._threads.copy()):
            time.sleep(_PAUSE_S)


def lock_beside_forks() -> AbstractContextManager[bool]:
    """A lock of this process; of two that are held together, the one that is taken second is made first."""
    lock = threading.RLock()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release)
    return lock


# Made before every lock of `lock_beside_forks`: a thread may hold one of those and wait for this.
graphs = WorkBesideForks()
