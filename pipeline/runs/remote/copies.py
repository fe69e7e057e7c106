"""Runs of object storage on this machine: fetched into the cache once, and checked byte by byte at each opening.

BELFRY_CACHE/runs/1b4f0e985197/    of an address
├── default-3f9a0c12be77/          a run, fetched from there or published there; gone some days after its last opening
├── .fetching.lock                 held by whoever fetches, for which others wait
└── .fetching/                     a run that is being fetched; that of a killed process goes with the next
"""

import hashlib
import os
import shutil
import time
from pathlib import Path

from belfry.dataset.errors import ArtifactError, InputError, printable
from belfry.dataset.sources.web.cache import cache_folder
from belfry.pipeline.runs.disk import explain_failed_writes, make_writable, remove
from belfry.pipeline.runs.files import list_files
from belfry.pipeline.runs.lock import wait_and_hold
from belfry.pipeline.runs.manifest import MANIFEST, REMEDY, SAFE_NAME, SIGNATURE, listed, read_manifest
from belfry.pipeline.runs.remote.store import RunStore, address_of_runs
from belfry.pipeline.runs.sealed import SealedFiles
from belfry.pipeline.runs.signature import TrustedKey

KEPT_S = 7 * 86_400  # how long a copy stays that nobody opens
_FETCHING = ".fetching"


def local_folder(artifacts: Path) -> Path:
    """The folder of this machine where runs of `artifacts` are written: itself, or that of the copies of an address."""
    address = address_of_runs(artifacts)
    if address is None:
        return artifacts
    return cache_folder() / "runs" / hashlib.sha256(address.encode()).hexdigest()[:12]


def copies_of(store: RunStore) -> Path:
    """The folder of the copies, made where it is missing.

    Raises:
        InputError: it cannot be written.
    """
    folder = local_folder(Path(store.address))
    make_writable(folder, remedy="let BELFRY_CACHE name another place")
    return folder


def fetch(store: RunStore, run: str, trusted: TrustedKey | None = None) -> Path:
    """The copy of a run, whole; fetched where there is none, or one that is damaged or of another run.

    Args:
        trusted: who must have signed the run; else nothing of it is looked at.

    Raises:
        ArtifactError: there is no such run, it is damaged, or lacks the signature.
        InputError: it cannot be read, or there is no room for it.
    """
    return _fetch(store, run, trusted, anew=False)


def fetch_anew(store: RunStore, run: str) -> Path:
    """As `fetch`, of every byte as it lies there now."""
    return _fetch(store, run, None, anew=True)


def _fetch(store: RunStore, run: str, trusted: TrustedKey | None, *, anew: bool) -> Path:
    if not SAFE_NAME.fullmatch(run):
        raise ArtifactError(f"{store}: {printable(run, 100)!r} is not the name of a run; {REMEDY}")
    copies = copies_of(store)
    copy, aside = copies / run, copies / _FETCHING
    with wait_and_hold(copies / f"{_FETCHING}.lock"), explain_failed_writes(copies):
        sizes = store.sizes(run)
        found = {name: store.read(f"{run}/{name}") for name in (MANIFEST, SIGNATURE) if name in sizes}
        seals = {name: content for name, content in found.items() if content is not None}
        if MANIFEST not in seals:
            raise ArtifactError(f"{store}: there is no whole run {run!r}; {REMEDY}")
        if trusted:
            trusted.check(seals[MANIFEST], seals.get(SIGNATURE), f"{store}/{run}")
        if anew or not _is_whole(copy, seals):
            try:
                _download(store, run, aside, sizes, seals)
                remove(copy)
                aside.rename(copy)
            except ArtifactError as error:
                raise ArtifactError(f"{store}/{run}: {str(error).replace(f'{aside}/', '')}") from error
            finally:
                remove(aside)
        os.utime(copy)
        _remove_unused(copies)
    return copy


def _is_whole(copy: Path, seals: dict[str, bytes]) -> bool:
    try:
        found = list_files(copy)  # plain files alone: a pipe would never be read to its end
        for name, seal in seals.items():
            if found[name].stat().st_size != len(seal) or found[name].read_bytes() != seal:
                return False
        manifest = read_manifest(copy / MANIFEST)
        SealedFiles(copy, manifest).check_unread()
        return found.keys() == manifest.files.keys() | seals.keys()
    except (OSError, KeyError, ArtifactError):
        return False


def _download(store: RunStore, run: str, aside: Path, sizes: dict[str, int], seals: dict[str, bytes]) -> None:
    remove(aside)
    aside.mkdir()
    for name, content in seals.items():
        (aside / name).write_bytes(content)
    manifest = read_manifest(aside / MANIFEST)
    if wrong := sorted(name for name, entry in manifest.files.items() if sizes.get(name) != entry.size):
        raise ArtifactError(f"{listed(wrong)} missing, or of another size than was published; {REMEDY}")
    n_bytes, free = sum(entry.size for entry in manifest.files.values()), shutil.disk_usage(aside).free
    if n_bytes > free:
        raise InputError(
            f"{store}/{run}: has {n_bytes:,} bytes, and {free:,} are free in {aside.parent}; let BELFRY_CACHE name "
            "another place"
        )
    store.get(run, [*manifest.files], aside)
    SealedFiles(aside, manifest).check_unread()


def _remove_unused(copies: Path) -> None:
    """Remove copies that nobody has opened for long."""
    for manifest in copies.glob(f"[!.]*/{MANIFEST}"):
        if time.time() - manifest.parent.stat().st_mtime > KEPT_S:
            remove(manifest.parent)
