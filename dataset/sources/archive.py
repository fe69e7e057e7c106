"""Zip archives from outside: every member is checked before any is read, and nothing is ever unpacked to disk."""

import stat
import zipfile
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath
from typing import IO

from belfry.dataset.errors import InputError

MAX_MEMBERS = 10_000
MAX_BYTES = 8 * 2**30  # of all members together; the largest MovieLens has 2 GiB
MAX_RATIO = 200  # unpacked to packed; text of ratings packs about 5 to 1
SMALL_BYTES = 2**20  # below this a high ratio does no harm


class SafeZip(AbstractContextManager["SafeZip"]):
    """A zip whose members are read by name, without the one folder that may stand on top.

    Use it in a `with` statement. A member never gives more bytes than the archive declares, and those are capped.
    """

    def __init__(self, path: Path, *, max_bytes: int = MAX_BYTES) -> None:
        """Open and check every entry.

        Raises:
            InputError: `path` is no zip, or holds something that a data set never does: a path that leads outside, a
                link or device, a name twice, an encrypted member, more than `max_bytes`.
        """
        self.path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise InputError(f"{path}: cannot be read as a zip archive: {error}; fetch it again") from error
        try:
            infos = _checked(path, self._zip.infolist(), max_bytes)
        except InputError:
            self._zip.close()
            raise
        tops = {PurePosixPath(info.filename).parts[0] for info in infos}
        nested = all("/" in info.filename for info in infos)
        prefix = f"{tops.pop()}/" if len(tops) == 1 and nested else ""
        self._members = {info.filename.removeprefix(prefix): info for info in infos}

    @property
    def names(self) -> frozenset[str]:
        """The files, without folders."""
        return frozenset(self._members)

    def open(self, name: str) -> IO[bytes]:
        """A stream of one member; damage shows as `zipfile.BadZipFile` or `zlib.error` while reading."""
        return self._zip.open(self._members[name])

    def __exit__(self, *_: object) -> None:
        self._zip.close()


def _checked(path: Path, infos: list[zipfile.ZipInfo], max_bytes: int) -> list[zipfile.ZipInfo]:
    """The members that are files; folders need no entry."""
    if len(infos) > MAX_MEMBERS:
        raise InputError(f"{path}: has {len(infos)} members, more than {MAX_MEMBERS}; this is no data set")
    names: set[str] = set()
    total = 0
    for info in infos:
        problem = _problem(info)
        name = str(PurePosixPath(info.filename)).casefold()
        if name in names:
            problem = "is there twice"
        names.add(name)
        if problem:
            raise InputError(f"{path}: member {info.filename!r} {problem}; nothing was read")
        total += info.file_size
    if total > max_bytes:
        raise InputError(f"{path}: would unpack to {total} bytes, more than {max_bytes}; nothing was read")
    return [info for info in infos if not info.is_dir()]


def _problem(info: zipfile.ZipInfo) -> str | None:
    # `orig_filename` is what the archive says; zipfile cuts `filename` at a NUL.
    name = info.orig_filename
    parts = name.split("/")
    if name.startswith("/") or "\\" in name or "\0" in name or ":" in parts[0] or ".." in parts or not name:
        return "has a path that leads outside of the archive"
    if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link or a device"
    if info.flag_bits & 1:
        return "is encrypted"
    if info.file_size > SMALL_BYTES and info.file_size > MAX_RATIO * max(info.compress_size, 1):
        return f"unpacks to {info.file_size} bytes from {info.compress_size}, as an archive bomb does"
    return None
