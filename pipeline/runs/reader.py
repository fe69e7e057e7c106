"""Open published runs: only when every byte is as it was published."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from belfry.dataset.errors import ArtifactError
from belfry.pipeline.runs.files import file_entry, is_plain_file, list_files
from belfry.pipeline.runs.manifest import MANIFEST, REMEDY, SAFE_NAME, Manifest, read_manifest

CURRENT = "current"  # the file that names the run in use


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


def default_artifacts() -> Path:
    """The artifacts folder where none is named: `BELFRY_ARTIFACTS`, else `artifacts` in the working folder."""
    return Path(os.environ.get("BELFRY_ARTIFACTS") or "artifacts")


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
    if not is_plain_file(current):
        raise ArtifactError(f"{current}: not a plain file; {REMEDY}")
    name = current.read_bytes().decode("utf-8", errors="replace").removesuffix("\n")
    if not SAFE_NAME.fullmatch(name):
        raise ArtifactError(f"{current}: {name[:100]!r} is not the name of a run beside it; {REMEDY}")
    run = artifacts / name
    if run.is_symlink() or not (run / MANIFEST).is_file():
        raise ArtifactError(f"{current}: names {name!r}, and there is no whole run of that name beside it; {REMEDY}")
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
        raise ArtifactError(f"run {folder.name}: its manifest is that of run {run.name}; {REMEDY}")
    return run


def _open_folder(folder: Path) -> Run:
    found = list_files(folder)
    manifest = read_manifest(found.pop(MANIFEST, folder / MANIFEST))
    if missing := sorted(manifest.files.keys() - found.keys()):
        raise ArtifactError(f"run {manifest.name}: {_listed(missing)} missing; {REMEDY}")
    if unexpected := sorted(found.keys() - manifest.files.keys()):
        raise ArtifactError(f"run {manifest.name}: {_listed(unexpected)} unexpected, not in its manifest; {REMEDY}")
    for relative, published in manifest.files.items():
        entry = file_entry(found[relative])
        if entry != published:
            raise ArtifactError(
                f"run {manifest.name}: file {relative!r} has {entry.size:,} bytes and SHA-256 {entry.sha256}, "
                f"published were {published.size:,} bytes and {published.sha256}; {REMEDY}"
            )
    return Run(folder, manifest)


def _check_is_folder(path: Path) -> None:
    if not path.exists():
        raise ArtifactError(f"{path}: no such folder; train first (belfry train), or name another folder")
    if not path.is_dir():
        raise ArtifactError(f"{path}: is a file; an artifacts folder or a run folder is wanted")


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{len(names)} file(s) ({', '.join(map(repr, names[:3]))}{more})"
