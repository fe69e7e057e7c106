"""Tables in object storage: fetched to this machine for as long as they are read."""

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

from belfry.dataset.errors import BelfryError, InputError, TableError, cause_of, needed, pip_install, printable

# A path of this kind has lost one of its slashes. One letter is a drive.
_ADDRESS = re.compile(r"(s3|s3a|gs|gcs|az|abfs|abfss|memory|file):/+(?=[^/])")
_S3_ASKING = {"connect_timeout": 5, "read_timeout": 60, "retries": {"total_max_attempts": 1}}  # s3fs tries again itself


def address_of(source: str | Path) -> str | None:
    """`s3://BUCKET/NAME` and the like, where that is what the source is; None for a file of this machine."""
    if not (found := _ADDRESS.match(str(source))):
        return None
    return f"{found[1]}://{'/' if found[1] == 'file' else ''}{str(source)[found.end() :]}"


@contextmanager
def fetched(address: str) -> Iterator[Path]:
    """A copy of an object, or of all objects below a prefix; what goes wrong with it names the address.

    Raises:
        InputError: there is nothing there, no right to read it, no library for it, or no room on the disk.
    """
    shown = re.sub(r"//[^/]*@", "//", address)  # without a password
    if address.startswith("file:"):
        yield Path(unquote(address.removeprefix("file://")))
        return
    with tempfile.TemporaryDirectory(prefix="belfry-") as folder:
        place = Path(folder) / PurePosixPath(address.rstrip("/")).name
        _fetch(address, shown, place)
        try:
            yield place
        except BelfryError as error:
            raise type(error)(str(error).replace(str(place), shown)) from error


def _fetch(address: str, shown: str, place: Path) -> None:
    fsspec = needed("fsspec", "cloud", shown)
    try:
        options = {"config_kwargs": _S3_ASKING} if address.startswith(("s3:", "s3a:")) else {}
        files, root = fsspec.core.url_to_fs(address, use_listings_cache=False, **options)
    except (ImportError, ValueError) as error:
        remedy = f"run: {pip_install('cloud')} for s3, or the library that this names"
        raise InputError(f"{shown}: cannot be read, {cause_of(error)}; {remedy}") from error
    try:
        found: dict[str, dict[str, Any]] = files.find(root, detail=True)
        if not found:
            raise InputError(f"{shown}: no such object, and none below it; check bucket and name")
        n_bytes, free = sum(int(one.get("size") or 0) for one in found.values()), shutil.disk_usage(place.parent).free
        if n_bytes > free:
            raise InputError(f"{shown}: has {n_bytes:,} bytes, and {free:,} are free in {place.parent}; set TMPDIR")
        for name in found:
            part = PurePosixPath(name.removeprefix(root.rstrip("/")).lstrip("/"))
            if ".." in part.parts:
                raise TableError(f"{shown}: holds an object whose name leaves it ({printable(name, 100)}); rename it")
            target = place / part
            target.parent.mkdir(parents=True, exist_ok=True)
            files.get_file(name, str(target))
    except BelfryError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"{shown}: {cause_of(error)}; check bucket and name") from error
    except PermissionError as error:
        raise InputError(
            f"{shown}: {cause_of(error)}; mend the credentials, or the rights to list and read there"
        ) from error
    except Exception as error:  # whatever a library of a storage raises
        raise InputError(f"{shown}: {cause_of(error)}; mend the address, the endpoint or the credentials") from error
