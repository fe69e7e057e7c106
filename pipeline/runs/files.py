"""What a run may hold: plain files, each known by its size and hash."""

import hashlib
import stat
from pathlib import Path

from belfry.dataset.errors import ArtifactError
from belfry.pipeline.runs.manifest import REMEDY, FileEntry


def list_files(folder: Path) -> dict[str, Path]:
    """POSIX path inside `folder` -> path, of every file below it; anything but plain files and folders is refused."""
    files = {}
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder).as_posix()
        if is_plain_file(path):
            files[relative] = path
        elif path.is_symlink() or not path.is_dir():
            raise ArtifactError(f"{folder}: {relative!r} is a link or a device, a run holds plain files; {REMEDY}")
    return files


def is_plain_file(path: Path) -> bool:
    return stat.S_ISREG(path.lstat().st_mode)


def file_entry(path: Path) -> FileEntry:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    return FileEntry(sha256=digest.hexdigest(), size=path.stat().st_size)
