"""Open published runs: only when every byte is as it was published."""

import logging
import os
from dataclasses import dataclass, replace
from pathlib import Path

from belfry.dataset.concurrency.cached import cached_property
from belfry.dataset.errors import ArtifactError
from belfry.pipeline.runs.files import is_plain_file, list_files
from belfry.pipeline.runs.manifest import (
    CURRENT,
    MANIFEST,
    REMEDY,
    SAFE_NAME,
    SIGNATURE,
    Manifest,
    listed,
    read_manifest,
)
from belfry.pipeline.runs.remote.copies import fetch, local_folder
from belfry.pipeline.runs.remote.store import RunStore, store_of
from belfry.pipeline.runs.sealed import SealedFiles, SealedPath, explain_unreadable
from belfry.pipeline.runs.signature import SIGNATURE_BYTES, Signer, TrustedKey, trusted_key

_CHOOSE = "make a run the current one: belfry runs rollback RUN --artifacts DIR"  # where `current` names none

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    """A published run: its manifest is whole, its folder holds the files that this lists, and no other."""

    folder: Path
    manifest: Manifest
    trusted: TrustedKey | None = None  # whose signature was required, and is there
    signature: bytes | None = None
    address: str | None = None  # of what the folder is a copy of

    @property
    def name(self) -> str:
        return self.manifest.name

    @cached_property
    def files(self) -> SealedFiles:
        """Its files, each of which is checked when it is read."""
        return SealedFiles(self.folder, self.manifest)

    @property
    def place(self) -> Path:
        """Where it lies: its folder, or its address."""
        return Path(self.address or self.folder)

    @property
    def root(self) -> SealedPath:
        """Its folder, to read from."""
        return SealedPath(self.files)

    def path(self, relative: str) -> SealedPath:
        """A file, or a folder of files, to read from.

        Raises:
            ArtifactError: the manifest lists no such thing.
        """
        found = self.root / relative
        if not (found.exists() or found.names()):
            raise ArtifactError(f"run {self.name}: holds no {relative!r}; it is of another kind, train again")
        return found

    def tell_who_signs(self, successor: Signer | None) -> None:
        """Warn of a run made of this one whose signature says less, or more, than is known of this one."""
        if successor is None and self.signature is not None:
            log.warning(
                "note: run %s is signed, and what is made of it will not be; sign it too: --sign KEY", self.name
            )
        if successor is None or self.trusted is not None:
            return
        try:
            successor.public.check(self.manifest.to_json().encode(), self.signature, self.folder)
        except ArtifactError:
            log.warning(
                "note: run %s is not signed by %s, and what is made of it will be; where others may write to it, name "
                "who must have signed it: --require-signature KEY",
                self.name,
                successor.path,
            )


def default_artifacts() -> Path:
    """The artifacts folder where none is named: `BELFRY_ARTIFACTS`, else `artifacts` in the working folder."""
    return Path(os.environ.get("BELFRY_ARTIFACTS") or "artifacts")


def is_run(path: Path) -> bool:
    """Whether a run lies there, rather than a folder of runs."""
    store = store_of(path)
    return (path / MANIFEST).exists() if store is None else store.has(MANIFEST)


def is_artifacts(path: Path) -> bool:
    """Whether a folder of runs lies there, one of which is the current one."""
    store = store_of(path)
    return (path / CURRENT).exists() if store is None else store.has(CURRENT)


def named_run(path: Path) -> Path:
    """The folder of the run that lies there, or is current there; of an address that of its copy, which may be missing.

    Cheap: looks at nothing inside it.

    Raises:
        ArtifactError: as `current_run`.
    """
    if store := store_of(path):
        home, name = _located(store)
        return local_folder(Path(home.address)) / name
    return path if is_run(path) else current_run(path)


@explain_unreadable()
def current_run(artifacts: Path) -> Path:
    """The folder of the run that `artifacts/current` names; of an address as `named_run`. Cheap, as that.

    Raises:
        ArtifactError: `artifacts` is no artifacts folder, or its `current` names no run in it.
    """
    if store := store_of(artifacts):
        return local_folder(artifacts) / _current_name(store, store.read(CURRENT))
    _check_is_folder(artifacts)
    current = artifacts / CURRENT
    if not os.path.lexists(current):
        runs = sorted(path.parent.name for path in artifacts.glob(f"*/{MANIFEST}"))
        if not runs:
            raise ArtifactError(
                f"{artifacts}: not an artifacts folder, or one without a run: neither {CURRENT!r} nor {MANIFEST!r} is "
                "in it; train first (belfry train), or name another folder"
            )
        raise ArtifactError(f"{artifacts}: {CURRENT!r} is missing; {_CHOOSE}; there are {', '.join(runs)}")
    if not is_plain_file(current):
        what = "a link" if current.is_symlink() else "not a plain file"
        raise ArtifactError(f"{current}: is {what}; write the name of a run beside it into a file of that name")
    name = _name_in(current.read_bytes(), current)
    run = artifacts / name
    if not (run / MANIFEST).is_file():
        is_link = run.is_symlink()
        what = "it is a link that leads to no run" if is_link else "there is no whole run of that name beside it"
        raise ArtifactError(f"{current}: names {name!r}, and {what}; {_CHOOSE}")
    return run


def open_run(path: Path | str, require_signature: Path | None = None) -> Run:
    """The current run of an artifacts folder, or the run of a run folder, with every file checked.

    Both may be addresses such as s3://BUCKET/PREFIX, whose run is copied to this machine first.

    Raises:
        ArtifactError: as `find_run`; or a file is not as it was published.
    """
    run = find_run(path, require_signature)
    run.files.check_unread()
    return run


@explain_unreadable()
def find_run(path: Path | str, require_signature: Path | None = None) -> Run:
    """As `open_run`, with each file checked when it is read: whoever reads calls `check_unread` for the rest.

    Args:
        require_signature: a public key whose owner must have signed the run; by default the one that
            `BELFRY_REQUIRE_SIGNATURE` names, else none.

    Raises:
        ArtifactError: nothing is there, or it is incomplete, foreign, of another version, or lacks the signature.
        InputError: there is no such key.
    """
    folder, trusted = Path(path), trusted_key(require_signature)
    if store := store_of(folder):
        home, name = _located(store)
        is_current = home is store
        run = replace(_find_in(fetch(home, name, trusted), trusted), address=f"{home.address}/{name}")
    else:
        _check_is_folder(folder)
        is_current = not os.path.lexists(folder / MANIFEST)
        run = _find_in(current_run(folder) if is_current else folder, trusted)
    if is_current and run.name != run.folder.name:
        raise ArtifactError(f"run {run.folder.name}: its manifest is that of run {run.name}; {REMEDY}")
    return run


def _located(store: RunStore) -> tuple[RunStore, str]:
    """Where the run of an address lies, and its name there: `store` itself where it is the current one of several."""
    current = store.read(CURRENT)
    if current is None and store.has(MANIFEST):
        return store.parent, store.name
    return store, _current_name(store, current)


def _current_name(store: RunStore, content: bytes | None) -> str:
    if content is None:
        raise ArtifactError(
            f"{store}: no artifacts folder, or one without a run in use: {CURRENT!r} is not in it; train first (belfry "
            "train), or check bucket and name"
        )
    return _name_in(content, f"{store}/{CURRENT}")


def _name_in(content: bytes, current: object) -> str:
    name = content.decode("utf-8", errors="replace").removesuffix("\n")
    if not SAFE_NAME.fullmatch(name):
        raise ArtifactError(f"{current}: {name[:100]!r} is not the name of a run beside it; {_CHOOSE}")
    return name


def _find_in(folder: Path, trusted: TrustedKey | None) -> Run:
    found = list_files(folder)
    signature = _read_signature(found.pop(SIGNATURE, None))

    def check(content: bytes) -> None:
        if trusted:
            trusted.check(content, signature, folder)

    manifest = read_manifest(found.pop(MANIFEST, folder / MANIFEST), check)
    if missing := sorted(manifest.files.keys() - found.keys()):
        raise ArtifactError(f"run {manifest.name}: {listed(missing)} missing; {REMEDY}")
    if unexpected := sorted(found.keys() - manifest.files.keys()):
        raise ArtifactError(
            f"run {manifest.name}: {listed(unexpected)} unexpected, not in its manifest; remove what does not belong "
            f"there, or copy the run afresh"
        )
    return Run(folder, manifest, trusted, signature)


def _read_signature(path: Path | None) -> bytes | None:
    if path is None:
        return None
    with path.open("rb") as file:
        content = file.read(SIGNATURE_BYTES + 1)
    if len(content) != SIGNATURE_BYTES:
        raise ArtifactError(f"{path}: is no signature, which has {SIGNATURE_BYTES} bytes; {REMEDY}")
    return content


def _check_is_folder(path: Path) -> None:
    if not path.exists():
        raise ArtifactError(f"{path}: no such folder; train first (belfry train), or name another folder")
    if not path.is_dir():
        raise ArtifactError(f"{path}: is a file; an artifacts folder or a run folder is wanted")
