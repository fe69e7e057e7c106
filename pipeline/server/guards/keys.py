"""API keys: names and hashes out of a file; keys are long and random, so that a plain hash is enough."""

import hashlib
import hmac
import re
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

from belfry.dataset.errors import InputError

SHORTEST_KEY = 20  # signs
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_HASHED = re.compile(r"sha256:([0-9a-f]{64})")
_KEY = re.compile(r"[A-Za-z0-9._~+/=-]+")  # what a Bearer token may be made of
_MAX_BYTES = 1 << 20


@dataclass(frozen=True)
class ApiKeys:
    """Who may ask; empty: nobody needs a key."""

    digests: tuple[tuple[str, bytes], ...]  # name of the client, SHA-256 of the key

    def __bool__(self) -> bool:
        return bool(self.digests)

    def owner(self, key: bytes) -> str | None:
        """The name of the client whose key it is; takes as long whatever the key."""
        digest, found = hashlib.sha256(key).digest(), None
        for name, known in self.digests:
            if hmac.compare_digest(known, digest):
                found = name
        return found


NO_KEYS = ApiKeys(())


def read_keys(path: Path) -> ApiKeys:
    """Those of a file of lines `NAME KEY` or `NAME sha256:HASH`; `#` begins a remark.

    Raises:
        InputError: a line is neither, a key is short or stands twice, or others may read a file of plain keys.
    """
    try:
        with path.open("rb") as file:
            mode, content = path.stat().st_mode, file.read(_MAX_BYTES + 1)
        lines = content.decode("utf-8").splitlines()
    except OSError as error:
        raise InputError(f"{path}: the API keys cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise InputError(f"{path}: is no text; wanted lines such as: shop sha256:9f86d0...") from error
    digests: dict[bytes, str] = {}
    for number, line in enumerate(lines, 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        where = f"{path}, line {number}"  # the line itself is a secret
        if len(words) != 2 or not _NAME.fullmatch(words[0]):
            raise InputError(f"{where}: wanted NAME and KEY, or NAME and sha256:HASH (64 hexadecimal digits)")
        name, text = words
        if hashed := _HASHED.fullmatch(text):
            digest = bytes.fromhex(hashed[1])
        elif text.startswith("sha256:") or not _KEY.fullmatch(text) or len(text) < SHORTEST_KEY:
            raise InputError(
                f"{where}: wanted a key of at least {SHORTEST_KEY} letters, digits or . _ ~ + / = -, as `openssl rand "
                "-hex 24` makes them, or sha256: and 64 hexadecimal digits"
            )
        elif sys.platform != "win32" and stat.S_IMODE(mode) & 0o077:
            raise InputError(f"{path}: others may read it, and line {number} is a plain key; chmod 600 it, or hash it")
        else:
            digest = hashlib.sha256(text.encode()).digest()
        if digest in digests:
            raise InputError(f"{where}: the key of {digests[digest]!r} once more; each line needs its own")
        digests[digest] = name
    if len(content) > _MAX_BYTES or not digests:
        raise InputError(f"{path}: holds {'too much' if digests else 'no'} API keys; wanted lines: NAME sha256:HASH")
    return ApiKeys(tuple((name, digest) for digest, name in digests.items()))
