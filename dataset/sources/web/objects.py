"""Object storage by fsspec: what an address is, and what goes wrong there, in words."""

import errno
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

from belfry.dataset.errors import BelfryError, InputError, cause_of, needed, pip_install

# A path of this kind has lost one of its slashes. One letter is a drive.
_ADDRESS = re.compile(r"(s3|s3a|gs|gcs|az|abfs|abfss|memory|file):/+(?=[^/])")
_OF_THIS_MACHINE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# s3fs repeats each request five times by itself.
S3_ASKING = MappingProxyType({"connect_timeout": 5, "read_timeout": 60, "retries": {"total_max_attempts": 1}})


def address_of(source: str | Path) -> str | None:
    """`s3://BUCKET/NAME` and the like, where that is what the source is; None for a file of this machine."""
    if not (found := _ADDRESS.match(str(source))):
        return None
    return f"{found[1]}://{'/' if found[1] == 'file' else ''}{str(source)[found.end() :]}"


def place_of(source: str | Path) -> str:
    """What messages call a path or an address: as it is, without a password."""
    return re.sub(r"//[^/]*@", "//", address_of(source) or str(source))


def connected(address: str, deed: str, s3_options: Mapping[str, Any] = S3_ASKING) -> tuple[Any, str]:
    """The file system of fsspec that an address is in, and its path there; nothing is asked of it yet.

    Args:
        deed: what is to be done there, for the message: "read" or "written".

    Raises:
        InputError: there is no library for it, or the address holds a password, which its messages would tell.
    """
    place = place_of(address)
    if re.match(r"\w+://[^/@]*:[^/]*@", address):
        raise InputError(
            f"{place}: its address holds a password; leave it out, credentials are read of the environment"
        )
    fsspec = needed("fsspec", "cloud", place)
    options = {"config_kwargs": dict(s3_options)} if address.startswith(("s3:", "s3a:")) else {}
    try:
        files, root = fsspec.core.url_to_fs(address, use_listings_cache=False, **options)
    except (ImportError, ValueError) as error:
        remedy = f"run: {pip_install('cloud')} for s3, or the library that this names"
        raise InputError(f"{place}: cannot be {deed}, {cause_of(error)}; {remedy}") from error
    return files, root.rstrip("/")


@contextmanager
def storage_in_words(place: str, rights: str, room: str) -> Iterator[None]:
    """Turn what fsspec raises into words.

    Args:
        rights: that are needed there, such as "list and read".
        room: what to do where the disk of this machine is full.

    Raises:
        InputError: nothing is there, the rights are missing, nobody answers, or the disk is full.
    """
    try:
        yield
    except BelfryError:
        raise
    except Exception as error:  # whatever a library of a storage raises
        if isinstance(error, FileNotFoundError):
            remedy = "check bucket and name"
        elif isinstance(error, PermissionError):
            remedy = f"mend the credentials, or the rights to {rights} there"
        elif isinstance(error, OSError) and error.errno in _OF_THIS_MACHINE:
            remedy = f"free some, or {room}"
        else:
            remedy = "mend the address, the endpoint or the credentials"
        raise InputError(f"{place}: {cause_of(error)}; {remedy}") from error


def try_to_write(files: Any, path: str) -> None:
    """Write an object, read it and delete it."""
    files.pipe_file(path, b"belfry")
    files.cat_file(path)
    files.rm_file(path)
