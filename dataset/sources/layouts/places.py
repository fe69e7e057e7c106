"""Where a layout is looked for: a folder, a zip, or one file; its files are read by name."""

import bz2
import json
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import IO, Protocol

from belfry.dataset.errors import TableError
from belfry.dataset.sources.archive import SafeZip
from belfry.dataset.sources.kinds import open_content
from belfry.dataset.sources.reading import RawTable, Reading
from belfry.dataset.sources.text.csv_table import read_csv
from belfry.dataset.sources.text.json_lines import read_json_lines

_HEAD = 1 << 16


class Files(Protocol):
    """Named files, in a folder or in a zip."""

    @property
    def names(self) -> frozenset[str]: ...

    def open(self, name: str) -> IO[bytes]: ...


@dataclass(frozen=True)
class OnDisk:
    """The files of a folder, or one of them."""

    folder: Path
    names: frozenset[str]

    def open(self, name: str) -> IO[bytes]:
        return (self.folder / name).open("rb")


@dataclass(frozen=True)
class Place:
    """Files by name, read as tables."""

    label: str
    files: Files

    @classmethod
    @contextmanager
    def at(cls, path: Path) -> Iterator["Place"]:
        if path.is_dir():
            names = frozenset(entry.name for entry in path.iterdir() if entry.is_file() and entry.name[0] not in "._")
            yield cls(str(path), OnDisk(path, names))
        elif path.suffix.lower() == ".zip":
            with SafeZip(path) as archive:
                yield cls(str(path), archive)
        else:
            yield cls(str(path), OnDisk(path.parent, frozenset({path.name})))

    def matching(self, *patterns: str) -> list[str]:
        """The files whose names match one of the patterns, whatever their case and packing."""
        wanted = [*patterns, *(f"{pattern}.gz" for pattern in patterns)]
        return sorted(
            name for name in self.files.names if any(fnmatchcase(name.lower(), one.lower()) for one in wanted)
        )

    def content(self, name: str) -> bytes:
        """The unpacked content of a file.

        Raises:
            TableError: it is damaged.
        """
        label = f"{self.label}: {name}"
        try:
            with self.files.open(name) as file:
                content = file.read()
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
            raise TableError(f"{label}: is damaged; fetch it again") from error
        return open_content(label, name, content).content or b""

    def read(self, name: str, reading: Reading) -> RawTable:
        """One table of text."""
        content = self.content(name)
        read = read_json_lines if content.lstrip().startswith(b"{") else read_csv
        return read(f"{self.label}: {name}", content, reading)

    def first_names(self, name: str) -> frozenset[str]:
        """What the first line of a file names: the columns of a CSV file, the keys of an object."""
        line = self.first_line(name)
        if line.startswith("{"):
            try:
                return frozenset(json.loads(line))
            except (ValueError, RecursionError):
                return frozenset()
        return frozenset(part.strip(' "') for part in re.split("[,;\t|]", line))

    def first_line(self, name: str) -> str:
        """Empty where the file cannot be read, which is told by whoever reads all of it."""
        try:
            with self.files.open(name) as file:
                head = file.read(_HEAD)
            if head.startswith(b"\x1f\x8b"):
                head = zlib.decompressobj(31).decompress(head, _HEAD)
            elif head.startswith(b"BZh"):
                head = bz2.BZ2Decompressor().decompress(head, _HEAD)
        except (OSError, EOFError, ValueError, zlib.error, zipfile.BadZipFile, NotImplementedError):
            return ""
        return next(iter(head.removeprefix(b"\xef\xbb\xbf").splitlines()), b"").decode("latin-1")
