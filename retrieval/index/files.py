"""The folder of an index: its arrays and `index.json`, which names every file with its hash.

A library in C++ may abort the whole process over a damaged file, so nothing is opened before all of it is checked.
"""

import hashlib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from belfry.dataset.errors import ArtifactError
from belfry.retrieval.index.config import Effort

MANIFEST = "index.json"
ITEM_NUM = "item_num.npy"


class IndexManifest(BaseModel):
    """What `index.json` holds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    mode: str
    n_items: int
    dim: int
    effort: Effort | None = None  # of an approximate index
    hashes: dict[str, str]  # file name -> SHA-256


def new_folder(directory: Path) -> None:
    """Make `directory`, which must be empty if it is there: a file of another index would make it unreadable."""
    directory.mkdir(parents=True, exist_ok=True)
    if any(directory.iterdir()):
        raise ArtifactError(f"index: {directory} is not empty; save into a new folder")


def write_manifest(
    directory: Path, *, kind: str, mode: str, n_items: int, dim: int, effort: Effort | None = None
) -> None:
    """Write the manifest, with the hashes of all other files, which must be written by now."""
    hashes = {path.name: _hash(path) for path in sorted(directory.iterdir())}
    manifest = IndexManifest(kind=kind, mode=mode, n_items=n_items, dim=dim, effort=effort, hashes=hashes)
    (directory / MANIFEST).write_text(manifest.model_dump_json(indent=2))


def peek_manifest(directory: Path) -> IndexManifest:
    """The manifest alone, the other files unread.

    Raises:
        ArtifactError: it is missing or damaged.
    """
    if not (directory / MANIFEST).is_file():
        raise ArtifactError(f"index: {directory / MANIFEST} is missing; build the index again")
    try:
        return IndexManifest.model_validate_json((directory / MANIFEST).read_bytes())
    except ValidationError as error:
        raise ArtifactError(f"index: {directory / MANIFEST} is damaged; build the index again") from error


def read_manifest(directory: Path) -> IndexManifest:
    """The manifest of a folder that holds its files, all of them, unharmed, and no other.

    Raises:
        ArtifactError: it does not; the message names the file.
    """
    manifest = peek_manifest(directory)
    present = {path.name for path in directory.iterdir()} - {MANIFEST}
    for name in sorted(manifest.hashes.keys() - present):
        raise ArtifactError(f"index: {directory / name} is missing; build the index again")
    for name in sorted(present - manifest.hashes.keys()):
        raise ArtifactError(f"index: {directory / name} is no file of an index; remove it")
    for name, wanted in manifest.hashes.items():
        found = _hash(directory / name)
        if found != wanted:
            raise ArtifactError(
                f"index: {directory / name} is damaged: SHA-256 {found[:12]}, {MANIFEST} says {wanted[:12]}; "
                "build the index again"
            )
    return manifest


def check_kind(directory: Path, manifest: IndexManifest, kind: str, names: frozenset[str]) -> None:
    """Refuse a folder of another kind of index, or one whose manifest lists other files than that kind has."""
    if manifest.kind != kind or manifest.hashes.keys() != names:
        raise ArtifactError(
            f"index: {directory} holds kind {manifest.kind!r} with {sorted(manifest.hashes)}; "
            f"wanted kind {kind!r} with {sorted(names)}"
        )


def _hash(path: Path) -> str:
    if not path.is_file() or path.is_symlink():
        raise ArtifactError(f"index: {path} is no plain file; remove it")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
