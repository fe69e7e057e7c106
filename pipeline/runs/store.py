"""Run folders: written aside, hashed, moved into place, opened only when every byte is as it was published.

artifacts/
├── current                 one line, the name of the run in use
├── default-3f9a0c12be77/   a run: files and their manifest.json, never edited
└── .writing-x7k2/          a run being written; removed when its writer stops, or by the next one
"""

import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from pydantic import JsonValue

from belfry.dataset.errors import ArtifactError, InputError
from belfry.pipeline.runs.disk import check_writable, explain_full_disk, sync
from belfry.pipeline.runs.gate import NOT_EVALUATED, Gate
from belfry.pipeline.runs.lock import hold, wait_and_hold
from belfry.pipeline.runs.manifest import (
    FORMAT_VERSION,
    MANIFEST,
    MAX_PRESET,
    SAFE_NAME,
    FileEntry,
    Manifest,
    RunInfo,
    is_preset_name,
    read_manifest,
)

CURRENT = "current"

_PUBLISHING = ".lock"  # held while a run moves into place
_WRITING = ".writing-"
_ALIVE = "alive"  # held by the writer of a `.writing-*` folder as long as it lives
_REMEDY = "publish again, or copy the run afresh"


@contextmanager
def _explain_unreadable() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ArtifactError(f"{error.filename}: cannot be read ({error.strerror}); mend that") from error


@dataclass(frozen=True)
class Run:
    """A published run whose every file has been checked."""

    folder: Path
    manifest: Manifest

    @property
    def name(self) -> str:
        return self.manifest.name

    def path(self, relative: str) -> Path:
        """Where a file, or a folder of files, of this run lies.

        Raises:
            ArtifactError: the manifest lists no such thing.
        """
        files = self.manifest.files
        if relative not in files and not any(name.startswith(f"{relative}/") for name in files):
            raise ArtifactError(f"run {self.name}: holds no {relative!r}; it is of another kind, train again")
        return self.folder / relative


@dataclass
class RunWriter:
    """A run that is being written: fill `folder`, note what was measured; `published` is set at the end."""

    folder: Path
    gate: Gate = NOT_EVALUATED
    notes: dict[str, JsonValue] = field(default_factory=dict)
    published: Path | None = None


def default_artifacts() -> Path:
    """The artifacts folder where none is named: `BELFRY_ARTIFACTS`, else `artifacts` in the working folder."""
    return Path(os.environ.get("BELFRY_ARTIFACTS") or "artifacts")


@contextmanager
def publish(artifacts: Path, info: RunInfo) -> Iterator[RunWriter]:
    """Publish what the body writes into the writer's folder as a run, and make it the current one.

    Readers see the run whole or not at all. When the body fails or is interrupted, nothing of it is left.

    Raises:
        InputError: nothing can be written to `artifacts`, or the preset's name cannot name a folder.
        BelfryError: the disk filled up.
    """
    if not is_preset_name(info.preset):
        raise InputError(
            f"preset {info.preset!r} cannot name a run; use at most {MAX_PRESET} letters, digits, '.', '_', '-'"
        )
    if (artifacts / MANIFEST).exists():
        raise InputError(f"{artifacts}: is a published run, which is sealed; name the artifacts folder around it")
    check_writable(artifacts)
    artifacts.mkdir(exist_ok=True)
    with ExitStack() as stack, explain_full_disk(artifacts):
        with wait_and_hold(artifacts / _PUBLISHING):
            _remove_dead(artifacts)
            aside = Path(tempfile.mkdtemp(prefix=_WRITING, dir=artifacts))
            stack.callback(shutil.rmtree, aside, ignore_errors=True)
            stack.enter_context(hold(aside / _ALIVE))
        writer = RunWriter(aside / "run")
        writer.folder.mkdir()
        yield writer

        name = _seal(writer, info)
        (aside / CURRENT).write_text(f"{name}\n", encoding="utf-8")
        sync(aside / CURRENT)
        # From here on no byte is needed from the disk: a full one cannot stop between the two.
        with wait_and_hold(artifacts / _PUBLISHING):
            target = artifacts / name
            if not target.exists():  # Else it is this very run: the name is the hash of its manifest.
                writer.folder.rename(target)
            sync(artifacts)
            (aside / CURRENT).replace(artifacts / CURRENT)
            sync(artifacts)
        writer.published = target


@_explain_unreadable()
def current_run(artifacts: Path) -> Path:
    """The folder of the run that `artifacts/current` names. Cheap: looks at nothing inside it.

    Raises:
        ArtifactError: `artifacts` is no artifacts folder, or its `current` names no run in it.
    """
    _check_is_folder(artifacts)
    current = artifacts / CURRENT
    if not os.path.lexists(current):
        runs = sorted(path.parent.name for path in artifacts.glob(f"*/{MANIFEST}"))
        if not runs:
            raise ArtifactError(
                f"{artifacts}: not an artifacts folder, or one without a run: neither {CURRENT!r} nor {MANIFEST!r} is "
                "in it; train first (belfry train), or name another folder"
            )
        raise ArtifactError(f"{artifacts}: {CURRENT!r} is missing; open one of its runs by name: {', '.join(runs)}")
    if not _is_plain_file(current):
        raise ArtifactError(f"{current}: not a plain file; {_REMEDY}")
    name = current.read_bytes().decode("utf-8", errors="replace").removesuffix("\n")
    if not SAFE_NAME.fullmatch(name):
        raise ArtifactError(f"{current}: {name[:100]!r} is not the name of a run beside it; {_REMEDY}")
    run = artifacts / name
    if run.is_symlink() or not (run / MANIFEST).is_file():
        raise ArtifactError(f"{current}: names {name!r}, and there is no whole run of that name beside it; {_REMEDY}")
    return run


@_explain_unreadable()
def open_run(path: Path | str) -> Run:
    """The current run of an artifacts folder, or the run of a run folder, with every file checked.

    Raises:
        ArtifactError: nothing is there, or it is damaged, incomplete, foreign or of another version.
    """
    folder = Path(path)
    _check_is_folder(folder)
    if os.path.lexists(folder / MANIFEST):
        return _open_folder(folder)
    folder = current_run(folder)
    run = _open_folder(folder)
    if run.name != folder.name:
        raise ArtifactError(f"run {folder.name}: its manifest is that of run {run.name}; {_REMEDY}")
    return run


def _seal(writer: RunWriter, info: RunInfo) -> str:
    """Hash and write down what the folder holds; return the name that this gives the run."""
    files = {}
    for relative, path in _list_files(writer.folder).items():
        files[relative] = _entry(path)
        sync(path)
    manifest = Manifest(
        **info.model_dump(),
        format_version=FORMAT_VERSION,
        name="",
        created_at=datetime.now(UTC).isoformat(),
        gate=writer.gate,
        notes=writer.notes,
        files=files,
    ).sealed()
    path = writer.folder / MANIFEST
    path.write_bytes(manifest.to_json().encode())
    sync(path)
    for folder in (writer.folder, *(path for path in writer.folder.rglob("*") if path.is_dir())):
        sync(folder)
    return manifest.name


def _remove_dead(artifacts: Path) -> None:
    """Remove what writers that were killed have left; those that live hold their lock."""
    for aside in artifacts.glob(f"{_WRITING}*"):
        with suppress(InputError), hold(aside / _ALIVE):
            shutil.rmtree(aside, ignore_errors=True)


def _open_folder(folder: Path) -> Run:
    found = _list_files(folder)
    manifest = read_manifest(found.pop(MANIFEST, folder / MANIFEST))
    if missing := sorted(manifest.files.keys() - found.keys()):
        raise ArtifactError(f"run {manifest.name}: {_listed(missing)} missing; {_REMEDY}")
    if unexpected := sorted(found.keys() - manifest.files.keys()):
        raise ArtifactError(f"run {manifest.name}: {_listed(unexpected)} unexpected, not in its manifest; {_REMEDY}")
    for relative, published in manifest.files.items():
        entry = _entry(found[relative])
        if entry != published:
            raise ArtifactError(
                f"run {manifest.name}: file {relative!r} has {entry.size:,} bytes and SHA-256 {entry.sha256}, "
                f"published were {published.size:,} bytes and {published.sha256}; {_REMEDY}"
            )
    return Run(folder, manifest)


def _list_files(folder: Path) -> dict[str, Path]:
    """POSIX path inside `folder` -> path, of every file below it; anything but plain files and folders is refused."""
    files = {}
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder).as_posix()
        if _is_plain_file(path):
            files[relative] = path
        elif path.is_symlink() or not path.is_dir():
            raise ArtifactError(f"{folder}: {relative!r} is a link or a device, a run holds plain files; {_REMEDY}")
    return files


def _check_is_folder(path: Path) -> None:
    if not path.exists():
        raise ArtifactError(f"{path}: no such folder; train first (belfry train), or name another folder")
    if not path.is_dir():
        raise ArtifactError(f"{path}: is a file; an artifacts folder or a run folder is wanted")


def _is_plain_file(path: Path) -> bool:
    return stat.S_ISREG(path.lstat().st_mode)


def _entry(path: Path) -> FileEntry:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    return FileEntry(sha256=digest.hexdigest(), size=path.stat().st_size)


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{len(names)} file(s) ({', '.join(map(repr, names[:3]))}{more})"
