"""MovieLens by name: from a folder of yours, from the cache, or from its publisher over https."""

import hashlib
import http.client
import os
import re
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path
from typing import IO

from belfry.dataset.errors import DownloadError, InputError
from belfry.dataset.sources.web.cache import cache_folder
from belfry.dataset.sources.web.slow_answers import Patience, TooSlowError

# Checksums as GroupLens publishes them. The "latest" sets change there: theirs is fetched beside the file.
MD5_BY_NAME: dict[str, str | None] = {
    "ml-100k": "0e33842e24a9c977be4e0107933c0723",
    "ml-1m": "c4d9eecfca2ab87c1945afe126590906",
    "ml-latest-small": None,
    "ml-latest": None,
    "ml-20m": "cd245b17a1ae2cc31bb14903e1204af3",
    "ml-25m": "6b51fb2759a8657d3bfcbfc42b592ada",
    "ml-32m": "d472be332d4daa821edc399621853b57",
}
CHUNK = 2**18  # bytes


@dataclass(frozen=True)
class Publisher:
    """Where the files are, and how patient to be."""

    base_url: str = "https://files.grouplens.org/datasets/movielens/"
    timeout_s: float = 30  # for the next bytes
    patience: Patience = field(default_factory=Patience)  # for all of them
    attempts: int = 3
    pause_s: float = 2  # before the second attempt; doubles after that
    max_bytes: int = 2**30


GROUPLENS = Publisher()


def find(name: str, *, data_folder: Path | None = None, publisher: Publisher = GROUPLENS) -> Path:
    """A folder or zip with the data set `name`, fetched if need be.

    Looked for as `name` or `name.zip` in `data_folder` (or, without one, in `BELFRY_DATA`), then in the cache
    (`BELFRY_CACHE` or ~/.cache/belfry). What is found is taken as it is; only downloads are compared with a checksum.

    Raises:
        InputError: an unknown name, a data folder that is not there, or a cache that cannot be used.
        DownloadError: it is nowhere here and could not be fetched; the message says where to put it by hand.
    """
    if name not in MD5_BY_NAME:
        raise InputError(f"no data set {name!r}; there are {', '.join(MD5_BY_NAME)}")
    folder = data_folder or (Path(os.environ["BELFRY_DATA"]) if os.environ.get("BELFRY_DATA") else None)
    if folder is not None and not folder.is_dir():
        raise InputError(f"{folder}: no such data folder; correct --data-folder or BELFRY_DATA")
    cache = cache_folder()
    try:
        for place in (folder, cache):
            for path in () if place is None else (place / name, place / f"{name}.zip"):
                if path.exists():
                    return path
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{error.filename}: cannot be used ({error.strerror}); mend that, or let BELFRY_CACHE name another place, "
            f"or BELFRY_DATA a folder that holds {name}.zip"
        ) from error
    return _download(name, cache, publisher)


def _download(name: str, cache: Path, publisher: Publisher) -> Path:
    """Fetch into the cache, visible only when whole and checked."""
    file_name = f"{name}.zip"
    url = publisher.base_url + file_name
    problem: Exception | None = None
    for attempt in range(publisher.attempts):
        if attempt:
            time.sleep(publisher.pause_s * 2 ** (attempt - 1))
        try:
            return _fetch(name, url, cache / file_name, publisher)
        except (OSError, http.client.HTTPException, _WrongFileError, TooSlowError) as error:
            problem = error
            if isinstance(error, urllib.error.HTTPError):
                error.close()
            if _is_final(error):
                break
    raise DownloadError(
        f"could not download {url}: {problem or type(problem).__name__}. Get that file by other means and put it at "
        f"{cache / file_name}, or name a folder that holds {file_name} in BELFRY_DATA"
    ) from problem


class _WrongFileError(Exception):
    """What came is not the file that was asked for."""


class _RefusedRedirectError(urllib.error.URLError):
    """The publisher pointed to an address without https."""


class _HttpsRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> urllib.request.Request | None:
        if not newurl.lower().startswith("https://"):
            fp.close()
            raise _RefusedRedirectError(f"it redirects to {newurl}, which is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


def _is_final(error: Exception) -> bool:
    """Whether another attempt would meet the same answer."""
    is_refusal = isinstance(error, urllib.error.HTTPError) and 400 <= error.code < 500 and error.code not in (408, 429)
    return is_refusal or isinstance(error, _RefusedRedirectError | TooSlowError)


def _fetch(name: str, url: str, target: Path, publisher: Publisher) -> Path:
    opener = urllib.request.build_opener(_HttpsRedirects, *publisher.patience.handlers())
    md5 = MD5_BY_NAME[name]
    if md5 is None:
        with opener.open(f"{url}.md5", timeout=publisher.timeout_s) as response:
            found = re.search(rb"\b[0-9a-fA-F]{32}\b", response.read(4096))
        if not found:
            raise _WrongFileError(f"{url}.md5 holds no checksum")
        md5 = found[0].decode().lower()
    aside = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with opener.open(url, timeout=publisher.timeout_s) as response, aside.open("wb") as part:
            came = _copy(response, part, name, publisher.max_bytes)
        if came != md5:
            raise _WrongFileError(f"what came has the MD5 {came} instead of {md5}")
        aside.replace(target)
    finally:
        aside.unlink(missing_ok=True)
    return target


def _copy(response: http.client.HTTPResponse, part: IO[bytes], name: str, max_bytes: int) -> str:
    """Copy with a progress bar on the error stream; gives the MD5 of what was copied."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    # MD5 is what the publisher offers; the connection vouches for the rest.
    digest = hashlib.md5(usedforsecurity=False)
    size = response.length or 0  # 0 where the publisher does not say
    if size > max_bytes:
        raise _WrongFileError(f"it has {size} bytes, more than {max_bytes}")
    bars = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    n_bytes = 0
    with Progress("{task.description}", *bars, console=Console(stderr=True)) as progress:
        task = progress.add_task(name, total=size or None)
        while chunk := response.read1(CHUNK):
            n_bytes += len(chunk)
            if n_bytes > max_bytes:
                raise _WrongFileError(f"it has more than {max_bytes} bytes")
            digest.update(chunk)
            part.write(chunk)
            progress.update(task, completed=n_bytes)
    if size and n_bytes != size:
        raise _WrongFileError(f"only {n_bytes} of {size} bytes came")
    return digest.hexdigest()
