"""Writing to disks: checks before work starts, a clear error where a write fails, bytes that survive a crash."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from belfry.dataset.errors import BelfryError, InputError
from belfry.pipeline.runs.lock import hold
from belfry.pipeline.runs.manifest import MANIFEST

NEEDED_BYTES = 1 << 20  # that a disk must have free, at least
ALIVE = "alive"  # held by the owner of a temporary folder as long as it lives


def check_writable(folder: Path, *, remedy: str = "mend that or name another place") -> None:
    """Refuse, before any work starts, a folder in which nothing could be published at its end.

    A folder that does not exist yet is fine where its parent can take it; nothing is created here.

    Args:
        remedy: what to do where it cannot be written, such as the option that names another place.

    Raises:
        InputError: it is a file, a link to nothing or a published run, its parent is missing, it cannot be written, or
            the disk is full.
    """
    place = folder
    try:
        _check_kind(folder)
        place = folder if folder.exists() else folder.absolute().parent
        if not place.is_dir():
            raise InputError(f"{folder}: its parent {place} is not a folder; create it first or name another place")
        with tempfile.TemporaryFile(dir=place) as probe:
            probe.write(b"belfry")
    except OSError as error:
        what = "cannot be written" if place == folder else f"cannot be made, for {place} cannot be written"
        raise InputError(f"{folder}: {what} ({error.strerror}); {remedy}") from error
    free_bytes = shutil.disk_usage(place).free
    if free_bytes < NEEDED_BYTES:
        raise InputError(
            f"{folder}: the disk has {free_bytes:,} bytes free and at least {NEEDED_BYTES:,} are needed; "
            "free some or name another place"
        )


def _check_kind(folder: Path) -> None:
    if folder.is_symlink() and not folder.exists():
        target = folder.readlink()
        raise InputError(f"{folder}: is a link to {str(target)!r}, where nothing is; remove it or name another place")
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is a file, a folder is wanted; name another place")
    if (folder / MANIFEST).exists():
        raise InputError(f"{folder}: is a published run, which nothing may be added to; name another folder")


def make_writable(folder: Path, *, remedy: str) -> None:
    """Make a folder, with those above it, and refuse as `check_writable` does."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be made ({error.strerror}); {remedy}") from error
    check_writable(folder, remedy=remedy)


@contextmanager
def explain_failed_writes(path: Path) -> Iterator[None]:
    """Turn the error of a write that could not be done into a message that says why.

    Around the writing of one file it also counts what is free before anybody cleans up.

    Args:
        path: the file, or the folder, that is written; another file is named where the system told one.

    Raises:
        BelfryError: the disk is full, a limit or a quota is reached, or the place was removed, moved or closed.
    """
    try:
        yield
    except OSError as error:
        place = Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else path
        is_here = place == path or path in place.parents
        cause = _cause(error, place) if is_here else None
        if cause is None:
            raise
        raise BelfryError(f"{place}: {cause} and run again; what was published before is untouched") from error


def _cause(error: OSError, place: Path) -> str | None:
    """What happened and what to do about it; None where the system says nothing of it."""
    there = next((folder for folder in (place, *place.absolute().parents) if folder.exists()), Path())
    free_bytes = shutil.disk_usage(there).free
    was_cut = error.errno is None and "requested and" in str(error)  # so NumPy tells it, without a number
    if error.errno == errno.ENOSPC or (error.errno is None and free_bytes < NEEDED_BYTES):
        return f"the disk is full ({free_bytes:,} bytes free by now); free some"
    if error.errno == errno.EDQUOT:
        return f"the quota of this disk is used up ({free_bytes:,} bytes free for others); remove some files"
    if error.errno == errno.EFBIG or was_cut:
        return f"the file would be larger than this process may write ({_file_limit()}); raise the limit"
    is_moved = error.filename is None or not place.parent.exists()
    if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ESTALE, errno.ELOOP) and is_moved:
        return "it, or the folder it is in, was removed, moved or replaced while it was written; leave it alone"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO, errno.EEXIST, errno.EISDIR):
        return f"cannot be written any more ({error.strerror}, {free_bytes:,} bytes free); mend that"
    return None


def _file_limit() -> str:
    """The limit on the size of a file, as the system tells it."""
    if os.name == "nt":
        return "unknown"
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    return "no limit of its own" if limit == resource.RLIM_INFINITY else f"{limit:,} bytes, see ulimit -f"


def write_together(folder: Path, texts: dict[str, str]) -> None:
    """Write the files named in `texts` into `folder`, which is made where it is missing; old ones stay until all are.

    Raises:
        InputError: `folder` cannot be written.
        BelfryError: the disk is full, or `folder` was removed meanwhile.
    """
    check_writable(folder)
    folder.mkdir(exist_ok=True)
    with explain_failed_writes(folder), temporary_folder(folder, ".writing-") as aside:
        for name, text in texts.items():
            path = aside / name
            with explain_failed_writes(path):
                path.write_text(text, encoding="utf-8")
                sync(path)
        for name in texts:
            (aside / name).replace(folder / name)
        sync(folder)


@contextmanager
def temporary_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """A folder in `parent`, gone with all in it when its owner stops; that of a killed one goes with the next."""
    for alive in parent.glob(f"{prefix}*/{ALIVE}"):
        with suppress(InputError), hold(alive):
            shutil.rmtree(alive.parent, ignore_errors=True)
    with ExitStack() as stack:
        made = tempfile.TemporaryDirectory(dir=parent, prefix=prefix, ignore_cleanup_errors=True)
        folder = Path(stack.enter_context(made))
        stack.enter_context(hold(folder / ALIVE))
        yield folder


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
        with suppress(FileNotFoundError, NotADirectoryError):
            path.unlink()
