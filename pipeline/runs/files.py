"""What a run may hold: plain files. What others leave beside them is no data, and is not looked at."""

import logging
import stat
from pathlib import Path

from belfry.dataset.errors import ArtifactError
from belfry.pipeline.runs.manifest import REMEDY, listed

# Left behind by file managers and network disks; those with a dot in front are known by it.
_LITTER = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "@eadir", "__macosx", "lost+found"})

log = logging.getLogger(__name__)


def list_files(folder: Path) -> dict[str, Path]:
    """POSIX path inside `folder` -> path, of every file below it; anything but plain files and folders is refused.

    What begins with a dot, and what file managers are known to leave, is left out, with all that is in it, and logged:
    no manifest can list it, so it is never opened.
    """
    files: dict[str, Path] = {}
    ignored: list[str] = []
    _list(folder, folder, files, ignored)
    if ignored:
        log.warning("%s: %s ignored, as no part of a run", folder, listed(ignored))
    return files


def _list(place: Path, folder: Path, files: dict[str, Path], ignored: list[str]) -> None:
    for path in sorted(place.iterdir()):
        relative = path.relative_to(folder).as_posix()
        mode = path.lstat().st_mode
        if is_litter(path.name):
            ignored.append(relative)
        elif stat.S_ISREG(mode):
            files[relative] = path
        elif stat.S_ISDIR(mode):
            _list(path, folder, files, ignored)
        elif stat.S_ISLNK(mode):
            raise ArtifactError(
                f"{folder}: {relative!r} is a link, and a run holds plain files; put what it leads to in its place"
            )
        else:
            raise ArtifactError(f"{folder}: {relative!r} is a pipe or a device, and a run holds plain files; {REMEDY}")


def is_litter(name: str) -> bool:
    """Whether a file or folder of this name is no part of a run, whoever put it there."""
    return name.startswith(".") or name.lower() in _LITTER


def is_plain_file(path: Path) -> bool:
    return stat.S_ISREG(path.lstat().st_mode)
