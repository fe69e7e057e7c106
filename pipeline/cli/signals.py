"""Ctrl-C and SIGTERM: the process stops within seconds, wherever they find it, and leaves nothing half written.

An exception alone does not do that. The collector of garbage, destructors and callbacks from C drop it, an import may
make another of it, and a long call into C lets nothing through. So a thread watches as well: it sends an exception that
was dropped once more, and ends the process where the main thread has not come to an end in time. Before and after the
work, where an exception would find nobody to catch it, the handler ends the process itself.
"""

import atexit
import gc
import os
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM)
GRACE_S = 2.5  # for the main thread to come to its end
_LOOK_S = 0.2  # how often the watcher looks

_STOPPED = "belfry: stopped; nothing is half published and what was published before stays; run it again to go on\n"
_SHOW_CURSOR = "\x1b[?25h"  # which progress bars hide
_ending = threading.Lock()  # held by the thread that ends the process


class Interrupted(KeyboardInterrupt):
    """A signal on its way through the main thread; unlike its parent, something can tell when it was dropped."""


class Interrupts:
    """Signals that came in: at work they raise in the main thread, before and after it they end the process.

    `is_at_work` is set as the first step inside of the `try` that catches what they raise, and taken back as the first
    one outside: a signal comes in at calls and jumps, never between the two.
    """

    def __init__(self) -> None:
        self.is_at_work = False
        self.number: int | None = None  # of the first one
        self._sent: weakref.ref[Interrupted] | None = None
        try:
            self._stderr = os.dup(sys.stderr.fileno())  # of its own: the other one is sent nowhere now and then
        except (OSError, ValueError):
            self._stderr = -1
        self._is_over = threading.Event()

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Stop the main thread, unless it is stopping already: its cleaning is not to be disturbed."""
        self.number = self.number or number
        # Whatever fails from here on fails because of the signal: no tracebacks beside the one line.
        sys.unraisablehook = lambda _: None
        threading.excepthook = lambda _: None
        if not self.is_at_work:
            self.end(self.number)
        if self._sent is not None and self._sent() is not None:
            return
        error = Interrupted()
        self._sent = weakref.ref(error)
        try:
            raise error
        finally:
            del error  # else its own traceback would keep it

    def watch(self, descriptor: int) -> None:
        """End the process in time once a signal's number can be read from `descriptor`."""
        numbers: list[int] = []
        while not numbers:
            numbers = [number for number in os.read(descriptor, 64) if number in SIGNALS]
            if self._is_over.is_set():
                return
        deadline_s = time.monotonic() + GRACE_S
        while time.monotonic() < deadline_s:
            if self._is_over.wait(_LOOK_S):
                return
            if self._sent is not None and self._sent() is None:
                _send_to_main_thread(numbers[0])
        self.end(self.number or numbers[0])

    def stop_watching(self, descriptor: int) -> None:
        """`descriptor`: what the watcher reads from is written here."""
        self._is_over.set()
        with suppress(OSError):
            os.write(descriptor, b"\0")

    def close(self) -> None:
        with suppress(OSError):
            os.close(self._stderr)

    def end(self, number: int) -> NoReturn:
        """Remove temporary folders, say that the job has stopped, and end at once with every thread: 128 + `number`."""
        is_main = threading.current_thread() is threading.main_thread()
        for ignored in SIGNALS if is_main else ():
            signal.signal(ignored, signal.SIG_IGN)
        if not _ending.acquire(blocking=False):
            while True:  # The other thread ends us both.
                time.sleep(GRACE_S)
        if is_main:
            with suppress(Exception):
                sys.stdout.flush()
        _remove_temporary_folders()
        with suppress(OSError):  # nobody may be there to read it
            os.write(self._stderr, f"{_SHOW_CURSOR if os.isatty(self._stderr) else ''}{_STOPPED}".encode())
        os._exit(128 + number)


@contextmanager
def interrupts() -> Iterator[Interrupts]:
    """Have SIGINT and SIGTERM end the process in time; a signal that this process was told to ignore stays ignored.

    Outside of the main thread, which alone may set handlers, nothing is changed.
    """
    found = Interrupts()
    if threading.current_thread() is not threading.main_thread():
        try:
            yield found
        finally:
            found.close()
        return
    read, write = os.pipe()
    os.set_blocking(write, False)
    watcher = threading.Thread(target=found.watch, args=(read,), name="belfry-signals", daemon=True)
    watcher.start()
    earlier_descriptor = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    heard = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, found.handle) for number in heard}
    try:
        yield found
    finally:
        found.stop_watching(write)
        watcher.join()
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(earlier_descriptor)
        os.close(read)
        os.close(write)
        found.close()


def leave(code: int) -> NoReturn:
    """End the process, whose work is done, with an exit code; called while signals are still handled.

    What Python would take down after `atexit`, TensorFlow above all, takes its time, and a signal that comes in then
    would end the process without a word.
    """
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    os._exit(code)


def _remove_temporary_folders() -> None:
    """All of this process, whoever made them and whatever still writes there.

    Each is moved away first, in one step: a run that another thread is about to publish from it is moved whole or not
    at all.
    """
    tempfile, shutil = sys.modules.get("tempfile"), sys.modules.get("shutil")
    if tempfile is None or shutil is None:  # so there are none; and an import could wait for the main thread
        return
    for one in gc.get_objects():
        if type(one) is getattr(tempfile, "TemporaryDirectory", None):
            aside = f"{one.name}.stopped"
            with suppress(OSError):
                os.rename(one.name, aside)  # noqa: PTH104
                shutil.rmtree(aside, ignore_errors=True)


_send_to_main_thread: Callable[[int], None]
if sys.platform == "win32":
    import _thread

    _send_to_main_thread = _thread.interrupt_main
else:

    def _send_to_main_thread(number: int) -> None:
        """As the system would: a call that waits for something is woken up."""
        ident = threading.main_thread().ident
        assert ident is not None
        signal.pthread_kill(ident, number)
