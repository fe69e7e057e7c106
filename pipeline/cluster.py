"""Cluster: tasks on other machines, by Ray. All read one shared object; a task whose machine is lost is begun again.

Ray carries objects between its processes as pickles, so whoever can speak to a cluster can run programs on it: it
belongs into a network of its own, as its makers say.
"""

import logging
import os
import socket
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from typing import Any, NoReturn, TypeVar

from belfry.dataset.concurrency.machine import workers_to_use
from belfry.dataset.errors import BelfryError, InputError, cause_of, needed, printable

AUTO = "auto"  # the address of a cluster that this machine is already a part of
_RETRIES = 20  # of a task whose process or machine was lost
_ANSWERS_WITHIN_S = 5.0
_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"  # of a caller of gRPC
_SETTINGS = b"\4"  # type of the frame that its server sends first
_LOOK_AFTER_S = 10.0  # of waiting for a task: whether the cluster is still there
_SILENT_LOOKS = 3  # in a row are its end
_OF_RAY = {  # settings of its own, unless the caller's environment has them
    "RAY_USAGE_STATS_ENABLED": "0",  # else Ray reports to its makers
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",  # else stdout too, with the command lines of whoever takes memory
    "RAY_task_oom_retries": "6",  # of a task that was ended because memory ran out, a minute in all; else for ever
    "RAY_get_check_signal_interval_milliseconds": "20",  # else a result from elsewhere may be seen a second late
}
_PATIENT = {"RAY_gcs_rpc_server_reconnect_timeout_s": "86400"}  # else it ends this process when the cluster is gone

Shared = TypeVar("Shared")
Item = TypeVar("Item")
Result = TypeVar("Result")
_kept: dict[str, Any] = {}  # in a process of the cluster: the shared object of the work that it is at


class ClusterError(BelfryError):
    """The cluster went away, or lost a task too often; what was done so far is kept."""


class Cluster:
    """A cluster that this process has joined."""

    def __init__(self, ray: Any, address: str, at_once: int | None) -> None:
        """The cluster at HOST:PORT; `at_once` tasks at most, None: one for each core, and as many that wait for one.

        Raises:
            InputError: there is no core, so that every task would wait for ever.
        """
        n_cores = int(ray.cluster_resources().get("CPU", 0))
        if not n_cores:
            raise InputError("the cluster has no core to work on; add a machine by `ray start --address=HOST:PORT`")
        self._ray, self._address = ray, address
        self._at_once = at_once or 2 * n_cores

    def in_order(
        self, function: Callable[[Shared, Item], Result], shared: Shared, key: str, items: Iterable[Item]
    ) -> Generator[Result]:
        """`function(shared, item)` for each item, in their order; items are taken no sooner than there is room.

        Args:
            key: no other work's; a process of the cluster unpickles `shared` once for it.

        Raises:
            ClusterError: the cluster went away.
        """
        task, held = self._task(_apply), [self._ray.put(shared)]  # in a list, or each task would unpickle it
        pending: deque[Any] = deque()
        try:
            for item in items:
                pending.append(task.remote(function, key, held, item))
                if len(pending) == self._at_once:
                    yield self._result(self._ray.get, pending.popleft())
            while pending:
                yield self._result(self._ray.get, pending.popleft())
        finally:
            with suppress(Exception):  # the cluster may be gone
                for reference in pending:
                    self._ray.cancel(reference)

    def submitter(
        self, function: Callable[[Shared, Item], Result], shared: Shared
    ) -> Callable[[Item], Callable[[], Result]]:
        """What begins `function(shared, item)` for an item, and gives what waits for its result.

        That raises as `in_order`.
        """
        task, held = self._task(function), self._ray.put(shared)

        def submit(item: Item) -> Callable[[], Result]:
            future: Future[Result] = task.remote(held, item).future()
            return lambda: self._result(future.result)

        return submit

    def _task(self, function: Callable[..., object]) -> Any:
        return self._ray.remote(max_retries=_RETRIES, num_cpus=1)(function)

    def _result(self, get: Callable[..., Result], *arguments: object) -> Result:
        n_silent = 0
        while True:
            try:
                return get(*arguments, timeout=_LOOK_AFTER_S)
            except self._ray.exceptions.RayTaskError as error:
                raise error.cause from None
            except TimeoutError:
                n_silent = 0 if self._is_there() else n_silent + 1
                if n_silent == _SILENT_LOOKS:
                    raise ClusterError(
                        f"the cluster went away, nobody answers at {self._address} any more; make the same call again "
                        "when it is back"
                    ) from None
            except (self._ray.exceptions.RayError, ConnectionError) as error:
                raise ClusterError(
                    f"the cluster lost a task and did not get over it: {cause_of(error)}; make the same call again "
                    "when the cluster is whole and has memory"
                ) from error

    def _is_there(self) -> bool:
        try:
            _call(self._address).close()
        except OSError:
            return False
        return True


@contextmanager
def joined(address: str | None, workers: int | None) -> Iterator[Cluster]:
    """The cluster at `address` (`HOST:PORT`, `ray://HOST:PORT` or `auto`), or one on this machine, for this block.

    A process that has joined one already stays in it.

    Args:
        workers: tasks at once; None: as many as the cluster has cores.

    Raises:
        InputError: Ray is not installed, or nothing answers at the address.
    """
    ray = _import_ray(_OF_RAY if address is None else _OF_RAY | _PATIENT)
    is_member = ray.is_initialized()
    if not is_member:
        _join(ray, address, workers)
    try:
        own = ray.get_runtime_context().gcs_address if address in (None, AUTO) else address
        yield Cluster(ray, own, workers)
    finally:
        if not is_member:
            ray.shutdown()


def _import_ray(settings: dict[str, str]) -> Any:
    for name, value in settings.items():
        os.environ.setdefault(name, value)
    needed("ray.exceptions", "ray", "cluster")
    return needed("ray", "ray", "cluster")


def _join(ray: Any, address: str | None, workers: int | None) -> None:
    how: dict[str, object] = {"logging_level": logging.ERROR, "log_to_driver": False}
    if address is None:
        ray.init(address="local", num_cpus=workers_to_use(workers), include_dashboard=False, **how)
        return
    if address != AUTO:
        _knock(address)
    try:
        ray.init(address=address, **how)
    except (ray.exceptions.RayError, OSError, RuntimeError, ValueError) as error:
        _refuse(address, error)


def _knock(address: str) -> None:
    """Ray would try for minutes where nobody answers, or somebody else."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        raise InputError(f"--address {printable(address)}: wanted HOST:PORT, ray://HOST:PORT or {AUTO}")
    try:
        with _call(address) as there:
            if os.environ.get("RAY_USE_TLS", "0") != "1":
                there.sendall(_HELLO)
                if there.recv(9)[3:4] != _SETTINGS:
                    raise ConnectionError("what answers there is not Ray")
    except (OSError, OverflowError) as error:
        _refuse(address, error)


def _call(address: str) -> socket.socket:
    host, _, port = address.removeprefix("ray://").rpartition(":")
    return socket.create_connection((host.strip("[]"), int(port)), _ANSWERS_WITHIN_S)


def _refuse(address: str, error: Exception) -> NoReturn:
    raise InputError(
        f"--address {printable(address)}: no cluster lets us in there: {cause_of(error)}; start one there by `ray "
        "start --head`, set RAY_AUTH_MODE=token here where it asks for a token, or leave the address out to work on "
        "this machine"
    ) from error


def _apply(function: Callable[[Shared, Item], Result], key: str, held: list[Any], item: Item) -> Result:
    """In a process of the cluster."""
    if key not in _kept:
        import ray

        shared = ray.get(held[0])  # while what is kept is still there: a run that both hold is opened once
        _kept.clear()
        _kept[key] = shared
    return function(_kept[key], item)
