"""Tables in object storage: fetched to this machine for as long as they are read."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

from belfry.dataset.errors import BelfryError, InputError, TableError, printable
from belfry.dataset.sources.web.objects import connected, place_of, storage_in_words


@contextmanager
def fetched(address: str) -> Iterator[Path]:
    """A copy of an object, or of all objects below a prefix; what goes wrong with it names the address.

    Raises:
        InputError: there is nothing there, no right to read it, no library for it, or no room on the disk.
    """
    if address.startswith("file:"):
        yield Path(unquote(address.removeprefix("file://")))
        return
    shown = place_of(address)
    with tempfile.TemporaryDirectory(prefix="belfry-") as folder:
        place = Path(folder) / PurePosixPath(address.rstrip("/")).name
        with storage_in_words(shown, "list and read", "set TMPDIR"):
            _fetch(address, shown, place)
        try:
            yield place
        except BelfryError as error:
            raise type(error)(str(error).replace(str(place), shown)) from error


def _fetch(address: str, shown: str, place: Path) -> None:
    files, root = connected(address, "read")
    found: dict[str, dict[str, Any]] = files.find(root, detail=True)
    if not found:
        raise InputError(f"{shown}: no such object, and none below it; check bucket and name")
    n_bytes, free = sum(int(one.get("size") or 0) for one in found.values()), shutil.disk_usage(place.parent).free
    if n_bytes > free:
        raise InputError(f"{shown}: has {n_bytes:,} bytes, and {free:,} are free in {place.parent}; set TMPDIR")
    for name in found:
        part = PurePosixPath(name.removeprefix(root).lstrip("/"))
        if ".." in part.parts:
            raise TableError(f"{shown}: holds an object whose name leaves it ({printable(name, 100)}); rename it")
        target = place / part
        target.parent.mkdir(parents=True, exist_ok=True)
        files.get_file(name, str(target))
