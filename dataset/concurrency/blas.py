"""One thread for products of matrices, whatever the machine has.

The threads of OpenBLAS wait for work by spinning, and products as small as those of one list give them none: with two,
a list takes twice the CPU time and no less by the clock, and a training a fifth more. And sums keep their order.
"""

import sys
from functools import cache
from typing import Any

from belfry.dataset.concurrency.forks import lock_beside_forks


class OneThread:
    """`with one_thread:` around products; by several threads at once, and one inside another."""

    def __init__(self) -> None:
        self._lock = lock_beside_forks()
        self._n_inside = 0
        self._before: list[tuple[Any, int]] = []  # libraries, and how many threads they had

    def __enter__(self) -> None:
        with self._lock:
            for library in _libraries("scipy.linalg" in sys.modules):
                if (count := library.get_num_threads()) != 1:
                    self._before.append((library, count))
                    library.set_num_threads(1)
            self._n_inside += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._n_inside -= 1
            while not self._n_inside and self._before:
                library, count = self._before.pop()
                library.set_num_threads(count)


@cache
def _libraries(with_scipy: bool) -> list[Any]:
    """Those that are loaded: NumPy's, and SciPy's own from the moment that it is there."""
    from threadpoolctl import ThreadpoolController

    return [library for library in ThreadpoolController().lib_controllers if library.user_api == "blas"]


one_thread = OneThread()
