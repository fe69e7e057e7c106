"""Locks that a process may fork beside: it forks before or after what they guard, never in between.

A child has only the thread that forked. A lock that another thread held would stay locked in it for ever, and so would
those that an import or a library held at that moment.
"""

import os
import threading
from contextlib import AbstractContextManager


def lock_beside_forks() -> AbstractContextManager[bool]:
    """A lock of this process; of two that are held together, the one that is taken second is made first."""
    lock = threading.RLock()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release)
    return lock
