"""Writing to disks: checks before work starts, a clear error where one is full, bytes that survive a crash."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from belfry.dataset.errors import BelfryError, InputError
from belfry.pipeline.runs.manifest import MANIFEST

MEBIBYTE = 1 << 20


def check_writable(folder: Path, *, needed_bytes: int = MEBIBYTE) -> None:
    """Refuse, before any work starts, a folder in which nothing could be published at its end.

    A folder that does not exist yet is fine where its parent can take it; nothing is created here.

    Raises:
        InputError: it is a file or a published run, its parent is missing, it cannot be written, or the disk is full.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is a file, a folder is wanted; name another place")
    if (folder / MANIFEST).exists():
        raise InputError(f"{folder}: is a published run, which nothing may be added to; name another folder")
    place = folder if folder.exists() else folder.absolute().parent
    if not place.is_dir():
        raise InputError(f"{folder}: its parent {place} is not a folder; create it first or name another place")
    try:
        with tempfile.TemporaryFile(dir=place) as probe:
            probe.write(b"belfry")
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror}); mend that or name another place") from error
    free_bytes = shutil.disk_usage(place).free
    if free_bytes < needed_bytes:
        raise InputError(
            f"{folder}: the disk has {free_bytes:,} bytes free and at least {needed_bytes:,} are needed; "
            "free some or name another place"
        )


@contextmanager
def explain_full_disk(folder: Path) -> Iterator[None]:
    """Turn the error of a disk that fills up while `folder` is written into a message that says so.

    Raises:
        BelfryError: the disk is full; names the file, where the system told it, and the bytes that are free.
    """
    try:
        yield
    except OSError as error:
        free_bytes = shutil.disk_usage(folder).free
        # NumPy reports a write that was cut short without an error number.
        full = error.errno in (errno.ENOSPC, errno.EDQUOT) or (error.errno is None and free_bytes < MEBIBYTE)
        if not full:
            raise
        raise BelfryError(
            f"{error.filename or folder}: the disk is full ({free_bytes:,} bytes free by now); free some and run "
            "again; what was published before is untouched"
        ) from error


def write_together(folder: Path, texts: dict[str, str]) -> None:
    """Write the files named in `texts` into `folder`, which is made where it is missing; old ones stay until all are.

    Raises:
        InputError: `folder` cannot be written.
        BelfryError: the disk is full.
    """
    check_writable(folder)
    folder.mkdir(exist_ok=True)
    with explain_full_disk(folder), tempfile.TemporaryDirectory(dir=folder, prefix=".writing-") as aside:
        for name, text in texts.items():
            path = Path(aside) / name
            path.write_text(text, encoding="utf-8")
            sync(path)
        for name in texts:
            (Path(aside) / name).replace(folder / name)
        sync(folder)


def sync(path: Path) -> None:
    """Have the system put a file, or the entries of a folder, on the disk before this returns."""
    if os.name == "nt" and path.is_dir():
        return  # Windows opens no folders.
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(path: Path) -> None:
    """Remove whatever is there, if anything: a file, a folder with all in it, or a link, and not what it leads to."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
