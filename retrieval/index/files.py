"""The folder of an index: `index.json`, and what a library keeps beside the vectors, each file known by its hash.

A library in C++ may abort the whole process over a damaged file, so nothing is handed to it before all is checked. The
vectors themselves lie elsewhere, once.
"""

import hashlib
from pathlib import Path

from pydantic import Field

from belfry.dataset.errors import ArtifactError
from belfry.layers.config import Settings
from belfry.layers.saved.files import ReadablePath, read_settings
from belfry.retrieval.index.config import Effort

MANIFEST = "index.json"


class IndexManifest(Settings):
    """What `index.json` holds."""

    kind: str
    mode: str
    n_items: int = Field(ge=1)
    dim: int = Field(ge=1)
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
    hashes = {path.name: _hash(path.read_bytes()) for path in sorted(directory.iterdir())}
    manifest = IndexManifest(kind=kind, mode=mode, n_items=n_items, dim=dim, effort=effort, hashes=hashes)
    (directory / MANIFEST).write_text(manifest.model_dump_json(indent=2))


def read_manifest(directory: ReadablePath) -> IndexManifest:
    """The manifest alone, the other files unread.

    Raises:
        ArtifactError: it is missing or damaged.
    """
    if not (directory / MANIFEST).exists():
        raise ArtifactError(f"index: {directory / MANIFEST} is missing; build the index again")
    return read_settings(directory / MANIFEST, IndexManifest)


def read_files(directory: ReadablePath, manifest: IndexManifest, names: frozenset[str]) -> dict[str, bytes]:
    """The files that such an index has, by name: these are read, and no other.

    Raises:
        ArtifactError: one is missing or damaged, or the manifest has others; the message names it.
    """
    if manifest.hashes.keys() != names:
        raise ArtifactError(
            f"index: {directory} holds {sorted(manifest.hashes)[:9]}, wanted {sorted(names)}; build the index again"
        )
    contents = {}
    for name, wanted in sorted(manifest.hashes.items()):
        if not (directory / name).exists():
            raise ArtifactError(f"index: {directory / name} is missing; build the index again")
        content = contents[name] = (directory / name).read_bytes()
        if (found := _hash(content)) != wanted:
            raise ArtifactError(
                f"index: {directory / name} is damaged: SHA-256 {found[:12]}, {MANIFEST} says {wanted[:12]}; "
                "build the index again"
            )
    return contents


def check_fits(directory: ReadablePath, manifest: IndexManifest, n_items: int, dim: int) -> None:
    """Refuse an index that was built of other vectors.

    Raises:
        ArtifactError: names both shapes.
    """
    if (manifest.n_items, manifest.dim) != (n_items, dim):
        raise ArtifactError(
            f"index: {directory} is of {manifest.n_items:,} items of {manifest.dim} dimensions, the vectors are "
            f"{n_items:,} of {dim}; build the index again"
        )


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
