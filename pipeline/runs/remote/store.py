"""RunStore: an artifacts folder in object storage, where nothing can be renamed and `current` is written last.

s3://BUCKET/PREFIX/
├── current                  one line, the name of the run in use
└── default-3f9a0c12be77/    a run; its manifest.json is written after its other files
"""

import secrets
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

from belfry.dataset.errors import BelfryError, InputError
from belfry.dataset.sources.web.objects import address_of, connected, place_of, storage_in_words, try_to_write
from belfry.pipeline.runs.manifest import CURRENT, MANIFEST, MAX_BYTES, SAFE_NAME, SIGNATURE, read_manifest

_READING, _WRITING = "list and read", "list, read, write and delete"  # rights


@dataclass(frozen=True)
class RunStore:
    """What lies below the address. Not to be kept over a fork: connections are those of this process."""

    address: str
    files: Any  # the file system of fsspec
    root: str

    def __str__(self) -> str:
        return place_of(self.address)

    @property
    def parent(self) -> "RunStore":
        """Where the run lies, of the address of a run."""
        return RunStore(self.address.rpartition("/")[0], self.files, self.root.rpartition("/")[0])

    @property
    def name(self) -> str:
        return PurePosixPath(self.root).name

    def read(self, name: str) -> bytes | None:
        """The content of a small object; None where there is none of that name."""
        with self._in_words():
            try:
                end = min(int(self.files.info(self._path(name))["size"] or 0), MAX_BYTES + 1)
                content: bytes = self.files.cat_file(self._path(name), start=0, end=end) if end else b""
            except FileNotFoundError:
                return None
            return content

    def write(self, name: str, content: bytes) -> None:
        with self._in_words(_WRITING):
            self.files.pipe_file(self._path(name), content)

    def has(self, name: str) -> bool:
        with self._in_words():
            return bool(self.files.exists(self._path(name)))

    def check(self) -> None:
        """Refuse, before any work starts, a place in which nothing could be published: all that is needed is tried.

        Raises:
            InputError: it cannot be listed, written, read or deleted in, or is a published run.
        """
        if self.has(MANIFEST):
            raise InputError(f"{self}: is a published run, which nothing may be added to; name another address")
        with self._in_words(_WRITING):
            try_to_write(self.files, self._path(f".probe-{secrets.token_hex(4)}"))
        self.names()

    def names(self) -> list[str]:
        """Of what may be runs."""
        with self._in_words():
            self.files.invalidate_cache()
            try:
                found = self.files.ls(self.root, detail=True)
            except FileNotFoundError:
                return []
        names = (PurePosixPath(entry["name"]).name for entry in found if entry["type"] == "directory")
        return sorted(name for name in names if SAFE_NAME.fullmatch(name))

    def sizes(self, run: str) -> dict[str, int]:
        """POSIX path inside of a run -> bytes, of every object of it."""
        folder = self._path(run)
        with self._in_words():
            self.files.invalidate_cache()
            found: dict[str, dict[str, Any]] = self.files.find(folder, detail=True)
        return {path.removeprefix(f"{folder}/"): int(one.get("size") or 0) for path, one in found.items()}

    def get(self, run: str, names: list[str], folder: Path) -> None:
        """Fetch files of a run into `folder`."""
        with self._in_words():
            self.files.get([self._path(f"{run}/{name}") for name in names], [str(folder / name) for name in names])

    def publish(self, folder: Path) -> None:
        """Bring the run in `folder` here, and make it the current one. Until then nobody sees anything of it.

        Raises:
            BelfryError: the place failed or went away.
        """
        run = folder.name
        sealed = [*read_manifest(folder / MANIFEST).files]
        sealed += [SIGNATURE] if (folder / SIGNATURE).exists() else []
        try:
            with self._in_words(_WRITING):
                self.files.put(
                    [str(folder / name) for name in sealed], [self._path(f"{run}/{name}") for name in sealed]
                )
            self.write(f"{run}/{MANIFEST}", (folder / MANIFEST).read_bytes())
            self.switch(run)
        except InputError as error:
            raise BelfryError(
                f"{error}. The run is not published there, an earlier one stays current. It is whole in {folder}: copy "
                f"that folder to {self}/{run}, {MANIFEST} last, then: belfry runs rollback {run} --artifacts {self}"
            ) from error

    def switch(self, run: str) -> None:
        """Make a run the current one."""
        self.write(CURRENT, f"{run}\n".encode())

    def remove(self, run: str) -> None:
        """Remove a run; its manifest goes first, so that nobody sees half of it."""
        with self._in_words(_WRITING):
            self.files.rm_file(self._path(f"{run}/{MANIFEST}"))
            with suppress(FileNotFoundError):  # that was all of it
                self.files.rm(self._path(run), recursive=True)

    @contextmanager
    def outlined(self) -> Iterator[Path]:
        """An artifacts folder that has nothing of the runs but their manifests, for as long as the body runs."""
        with TemporaryDirectory(prefix="belfry-") as folder:
            outline = Path(folder)
            for name in (CURRENT, *(f"{run}/{MANIFEST}" for run in self.names())):
                if (content := self.read(name)) is not None:
                    (outline / name).parent.mkdir(exist_ok=True)
                    (outline / name).write_bytes(content)
            yield outline

    def _path(self, name: str) -> str:
        return f"{self.root}/{name}"

    def _in_words(self, rights: str = _READING) -> AbstractContextManager[None]:
        return storage_in_words(str(self), rights, "let BELFRY_CACHE name another place")


def address_of_runs(artifacts: Path) -> str | None:
    """The address that it is, without a slash at the end; None of a folder of this machine."""
    address = address_of(artifacts)
    return None if address is None or address.startswith("file:") else address.rstrip("/")


def store_of(artifacts: Path) -> RunStore | None:
    """What lies at an address; None of a folder of this machine.

    Raises:
        InputError: there is no library for it.
    """
    address = address_of_runs(artifacts)
    return RunStore(address, *connected(address, "used")) if address else None
