"""The processes of a server: one, or several that share a port; from the first look at the run to a graceful end."""

import multiprocessing
import os
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from multiprocessing.process import BaseProcess

import uvicorn
from starlette.types import ASGIApp
from uvicorn.supervisors import Multiprocess

from belfry.dataset.errors import InputError
from belfry.pipeline.runs.reader import open_run
from belfry.pipeline.server.app import create_app
from belfry.pipeline.server.guards.admission import MAX_HEAD
from belfry.pipeline.server.guards.connections import HEAD_S, GuardedConnection
from belfry.pipeline.server.settings import Settings
from belfry.pipeline.server.telemetry.logs import log_as_json
from belfry.pipeline.server.telemetry.metrics import SHARED_FOLDER

BACKLOG = 512  # connections that wait to be taken up
GRACE_S = 5  # beyond the time that an answer may take, for what is under way when the server is told to stop
HANGS_S = 30  # without a sign of life after which a worker is replaced


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """A signal ends the server as a job that is done; uvicorn would raise it once more."""
        heard = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self.handle_exit) for number in heard}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def create_worker(settings: Settings) -> ASGIApp:
    """The application of a process of its own, which logs."""
    log_as_json()
    if parent := multiprocessing.parent_process():
        threading.Thread(target=_end_with, args=(parent,), name="belfry-parent", daemon=True).start()
    return create_app(settings)


def bind(settings: Settings) -> socket.socket:
    """The socket that all workers take connections from.

    Raises:
        InputError: the address is none of this machine, or in use.
    """
    try:
        family = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((settings.host, settings.port), family=family, backlog=BACKLOG)
    except (OSError, OverflowError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).partition(" (while")[0]
        raise InputError(
            f"cannot listen on {settings.host}:{settings.port} ({reason}); name another --host or --port"
        ) from error


def serve(settings: Settings, listening: socket.socket) -> None:
    """Answer until SIGTERM or SIGINT; then finish what is under way.

    Raises:
        ArtifactError: there is no run to begin with, or it is damaged.
    """
    open_run(settings.artifacts, settings.require_signature)
    config = uvicorn.Config(
        partial(create_worker, settings),
        factory=True,
        workers=settings.workers,
        loop="asyncio",
        http=GuardedConnection,
        ws="none",
        h11_max_incomplete_event_size=MAX_HEAD,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # else any client could give itself another address
        backlog=BACKLOG,
        timeout_keep_alive=HEAD_S,
        timeout_graceful_shutdown=round(settings.timeout_s) + GRACE_S,
        timeout_worker_healthcheck=HANGS_S,
    )
    with _signals_are_the_servers(), ExitStack() as stack:
        if settings.workers == 1:
            _Server(config).run([listening])
            return
        os.environ[SHARED_FOLDER] = stack.enter_context(tempfile.TemporaryDirectory(prefix="belfry-metrics-"))
        Multiprocess(config, [listening]).run()


def _end_with(parent: BaseProcess) -> None:
    """Else a worker whose parent was killed would keep the port."""
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def _signals_are_the_servers() -> Iterator[None]:
    """Nobody else ends the process seconds after a signal, as the console does for jobs."""
    earlier = signal.set_wakeup_fd(-1)
    try:
        yield
    finally:
        signal.set_wakeup_fd(earlier)
