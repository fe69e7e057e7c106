"""Locks between processes: one writer at a time; a dead owner's lock is free by itself."""

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from belfry.dataset.errors import BelfryError, InputError, printable

if sys.platform == "win32":
    import msvcrt
    import time

    _LOCKED_BYTE = 1 << 20  # Behind the owner's line: what is locked cannot be read by others.

    def _try_lock(file: TextIO) -> bool:
        os.lseek(file.fileno(), _LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _wait_for_lock(file: TextIO) -> None:
        while not _try_lock(file):
            time.sleep(0.05)

    def _unlock(file: TextIO) -> None:
        os.lseek(file.fileno(), _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _try_lock(file: TextIO) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _wait_for_lock(file: TextIO) -> None:
        fcntl.flock(file, fcntl.LOCK_EX)

    def _unlock(file: TextIO) -> None:
        fcntl.flock(file, fcntl.LOCK_UN)


LONGEST_OWNER = 200  # signs of what a lock file says of its owner


@dataclass(frozen=True)
class Lock:
    """A lock file that is held."""

    path: Path
    file: TextIO

    def check(self) -> None:
        """Refuse to go on where the file was taken away: another job may hold one of the same name by now.

        Raises:
            BelfryError: it was removed or replaced.
        """
        try:
            is_there = os.path.samestat(os.fstat(self.file.fileno()), os.lstat(self.path))
        except OSError:
            is_there = False
        if not is_there:
            raise BelfryError(
                f"{self.path}: the lock was removed or replaced while the job was at work, so that another one may be "
                "too; nothing was published, leave the file alone and run again"
            )


@contextmanager
def hold(path: Path) -> Iterator[Lock]:
    """Hold the lock file `path`, or stop at once where another process (or another `hold` here) has it.

    The system frees the lock when its owner dies, however it dies. The file itself stays, empty.

    Raises:
        InputError: somebody else holds it, named by process, host and time; or the file cannot be opened.
    """
    with _open(path) as file:
        if not _try_lock(file):
            owner = printable(file.readline(2 * LONGEST_OWNER).strip(), LONGEST_OWNER) or "another process"
            raise InputError(f"{path.parent}: in use by {owner}; wait until it is done, or stop it (lock {path.name})")
        with _signed(file):
            yield Lock(path, file)


@contextmanager
def wait_and_hold(path: Path) -> Iterator[None]:
    """Hold the lock file `path` as soon as it is free; for sections that are over in moments."""
    with _open(path) as file:
        _wait_for_lock(file)
        with _signed(file):
            yield


_NO_LINK = getattr(os, "O_NOFOLLOW", 0)  # a link in the lock's place could have us write into any file


def _open(path: Path) -> TextIO:
    try:
        return os.fdopen(
            os.open(path, os.O_RDWR | os.O_CREAT | _NO_LINK, 0o666), "r+", encoding="utf-8", errors="replace"
        )
    except OSError as error:
        why = error.strerror or "it is no plain file"
        raise InputError(f"{path}: the lock file cannot be opened ({why}); mend that") from error


@contextmanager
def _signed(file: TextIO) -> Iterator[None]:
    """Leave the owner's name in a locked file, for whoever comes second; unlock it at the end."""
    try:
        since = datetime.now(UTC).isoformat(timespec="seconds")
        file.truncate(0)
        with suppress(OSError):  # it is held without a name too, where the disk is full
            os.lseek(file.fileno(), 0, os.SEEK_SET)
            os.write(file.fileno(), f"process {os.getpid()} on {socket.gethostname()} since {since}\n".encode())
        yield
    finally:
        file.truncate(0)
        _unlock(file)
