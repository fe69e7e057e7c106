"""SealedPath: files of a run, checked as they are read or mapped, so that what is used is what was published."""

import hashlib
import mmap
import os
import stat
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path

from belfry.dataset.concurrency.cached import cached_property
from belfry.dataset.errors import ArtifactError
from belfry.pipeline.runs.manifest import REMEDY, FileEntry, Manifest

# Waits for nobody at the other end of a pipe; and follows no link, though its content would have to be the published.
_READING = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_LARGE = 1 << 20  # bytes of a file that is worth a map


@contextmanager
def explain_unreadable() -> Iterator[None]:
    """Turn the system's refusal to read into words."""
    try:
        yield
    except OSError as error:
        raise ArtifactError(f"{error.filename}: cannot be read ({error.strerror}); mend that") from error


@dataclass(frozen=True)
class SealedFiles:
    """The files that a manifest lists, below `folder`."""

    folder: Path
    manifest: Manifest
    checked: list[str] = field(default_factory=list, compare=False)  # those that were found whole, in this order
    _kept: dict[str, bytes] = field(default_factory=dict, compare=False)  # hash -> content that more than one file has
    _maps: dict[str, mmap.mmap] = field(default_factory=dict, compare=False)  # likewise
    _at_hand: dict[str, bytes | mmap.mmap] = field(default_factory=dict, compare=False)  # file -> content

    def read(self, relative: str) -> bytes:
        """The content of a file; files of equal content, such as a table of two models, are in memory once.

        Raises:
            ArtifactError: the manifest has no such file, or the file is not as it was published.
        """
        if relative in self._at_hand:
            return bytes(self._at_hand[relative])
        published = self._published(relative)
        if published.sha256 in self._kept:
            return self._kept[published.sha256]
        with self._opened(relative) as file:
            # A file of another size is refused, so it need not be in memory, nor can its size be a trap.
            content = file.read(published.size + 1) if _size(file) == published.size else None
            digest = hashlib.file_digest(file, "sha256") if content is None else hashlib.sha256(content)
            found = FileEntry(sha256=digest.hexdigest(), size=file.tell())
        self._compare(relative, found)
        assert content is not None  # its size is right
        if self._n_files[published.sha256] > 1:
            self._kept[published.sha256] = content
        return content

    def map(self, relative: str) -> bytes | mmap.mmap:
        """The same, but a large file as a map of what was hashed: processes share its pages, and none holds a copy.

        The map is of the file that was opened, whatever takes its place or removes it.

        Raises:
            ArtifactError: as `read`.
        """
        published = self._published(relative)
        if published.size < _LARGE:
            return self.read(relative)
        if published.sha256 in self._maps:
            return self._maps[published.sha256]
        with self._opened(relative) as file:
            self._compare(relative, _entry_of(file))
            mapped = mmap.mmap(file.fileno(), published.size, access=mmap.ACCESS_READ)
        if self._n_files[published.sha256] > 1:
            self._maps[published.sha256] = mapped
        return mapped

    def keep_at_hand(self, relative: str) -> None:
        """Have a file read or mapped for a `read` to come: nobody who removes or changes it meanwhile reaches that.

        Raises:
            ArtifactError: as `read`.
        """
        self._at_hand[relative] = self.map(relative)

    def _published(self, relative: str) -> FileEntry:
        published = self.manifest.files.get(relative)
        if published is None:
            raise ArtifactError(f"run {self.manifest.name}: holds no {relative!r}; it is of another kind, train again")
        return published

    def check_unread(self) -> None:
        """Check every file that nobody has read; after that, reading is done.

        Raises:
            ArtifactError: one is not as it was published.
        """
        for relative in self.manifest.files.keys() - set(self.checked):
            with self._opened(relative) as file:
                self._compare(relative, _entry_of(file))
        self._kept.clear()
        self._maps.clear()

    @contextmanager
    def _opened(self, relative: str) -> Iterator[BufferedReader]:
        """A file, unless it is longer than was published: a hole at its end takes no room, and hours to hash."""
        with explain_unreadable(), os.fdopen(_open(self.folder / relative), "rb") as file:
            published = self.manifest.files[relative]
            if _size(file) > published.size:
                raise ArtifactError(
                    f"run {self.manifest.name}: file {relative!r} has {_size(file):,} bytes, published were "
                    f"{published.size:,} bytes and SHA-256 {published.sha256}; {REMEDY}"
                )
            yield file

    @cached_property
    def _n_files(self) -> Counter[str]:
        """Of each hash."""
        return Counter(entry.sha256 for entry in self.manifest.files.values())

    def _compare(self, relative: str, found: FileEntry) -> None:
        published = self.manifest.files[relative]
        if found != published:
            raise ArtifactError(
                f"run {self.manifest.name}: file {relative!r} has {found.size:,} bytes and SHA-256 {found.sha256}, "
                f"published were {published.size:,} bytes and {published.sha256}; {REMEDY}"
            )
        self.checked.append(relative)


@dataclass(frozen=True)
class SealedPath:
    """A file or a folder of a run, to read from as from a `pathlib.Path`; a `ReadablePath`."""

    files: SealedFiles
    relative: str = ""  # POSIX path inside the run

    def __truediv__(self, name: str, /) -> "SealedPath":
        return SealedPath(self.files, f"{self.relative}/{name}" if self.relative else name)

    def __str__(self) -> str:
        return str(self.files.folder / self.relative)

    def read_bytes(self) -> bytes:
        """Raises ArtifactError: as `SealedFiles.read`."""
        return self.files.read(self.relative)

    def map_bytes(self) -> bytes | mmap.mmap:
        """Raises ArtifactError: as `SealedFiles.map`."""
        return self.files.map(self.relative)

    def exists(self) -> bool:
        """Whether the manifest lists such a file."""
        return self.relative in self.files.manifest.files

    def names(self) -> list[str]:
        """Of the files below this folder, as paths inside of it."""
        inside = f"{self.relative}/"
        return [name.removeprefix(inside) for name in self.files.manifest.files if name.startswith(inside)]

    def copy(self, target: Path) -> None:
        """Write the content of this file there, byte by byte."""
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(self.read_bytes())


def file_entry(path: Path) -> FileEntry:
    """Size and hash of a file, which need not fit into memory."""
    with os.fdopen(_open(path), "rb") as file:
        return _entry_of(file)


def _entry_of(file: BufferedReader) -> FileEntry:
    digest = hashlib.file_digest(file, "sha256")
    return FileEntry(sha256=digest.hexdigest(), size=file.tell())


def _open(path: Path) -> int:
    descriptor = os.open(path, _READING)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ArtifactError(f"{path}: is no plain file; {REMEDY}")
    return descriptor


def _size(file: BufferedReader) -> int:
    return os.fstat(file.fileno()).st_size
