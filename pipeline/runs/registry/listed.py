"""The runs of an artifacts folder: which there are, which is in use, and those that nobody needs any more."""

import os
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import JsonValue

from belfry.dataset.errors import ArtifactError, InputError
from belfry.dataset.sources.web.objects import place_of
from belfry.pipeline.runs.disk import explain_failed_writes, remove
from belfry.pipeline.runs.manifest import CURRENT, MANIFEST, SAFE_NAME, Manifest, read_manifest
from belfry.pipeline.runs.reader import current_run, is_run, open_run
from belfry.pipeline.runs.remote.copies import fetch_anew, local_folder
from belfry.pipeline.runs.remote.store import store_of
from belfry.pipeline.runs.sealed import explain_unreadable
from belfry.pipeline.runs.writer import (
    WRITING,
    aside,
    check_place,
    publishing,
    remove_dead,
    switch_current,
    write_current,
)

_TOLD = {"preset", "created_at", "seed", "holdout", "gate"}  # of the manifest, in a list


@dataclass(frozen=True)
class ListedRun:
    """A folder with a manifest; only the manifest was looked at."""

    name: str  # of the folder
    is_current: bool
    manifest: Manifest | None  # None where it cannot be read
    damage: str = ""  # why it cannot

    @property
    def n_bytes(self) -> int:
        """Of all files, as the manifest says."""
        return sum(entry.size for entry in self.manifest.files.values()) if self.manifest else 0

    def to_dict(self) -> dict[str, JsonValue]:
        found: dict[str, JsonValue] = {"name": self.name, "is_current": self.is_current, "n_bytes": self.n_bytes}
        if self.manifest is None:
            return found | {"damage": self.damage}
        return found | self.manifest.model_dump(mode="json", include=_TOLD)


@explain_unreadable()
def list_runs(artifacts: Path) -> list[ListedRun]:
    """All of them, the newest first; those without a readable manifest last.

    Raises:
        ArtifactError: there is no run.
    """
    store = store_of(artifacts)
    with nullcontext(artifacts) if store is None else store.outlined() as outline:
        current = outline / CURRENT
        named = current.read_bytes().decode(errors="replace").strip() if current.is_file() else ""
        runs = []
        for folder in sorted(path.parent for path in outline.glob(f"[!.]*/{MANIFEST}")):
            is_current = folder.name == named
            try:
                with explain_unreadable():
                    runs.append(ListedRun(folder.name, is_current, read_manifest(folder / MANIFEST)))
            except ArtifactError as error:
                if is_run(folder):  # else somebody removed it meanwhile
                    damage = str(error).replace(str(outline), place_of(artifacts))
                    runs.append(ListedRun(folder.name, is_current, None, damage))
    if not runs:
        current_run(artifacts)  # says in words what is there instead
    return sorted(runs, key=lambda run: run.manifest.created_at if run.manifest else "", reverse=True)


def folder_of(artifacts: Path, name: str) -> Path:
    """The folder, or the address, of the run of this name.

    Raises:
        InputError: there is none.
    """
    if not SAFE_NAME.fullmatch(name) or not is_run(artifacts / name):
        names = [run.name for run in list_runs(artifacts)]
        raise InputError(f"{place_of(artifacts)}: there is no run {name[:100]!r}; there are {', '.join(names)}")
    return artifacts / name


def folder_anew(artifacts: Path, name: str) -> Path:
    """As `folder_of`; a run at an address is fetched again first, so that what lies there is what is checked."""
    folder = folder_of(artifacts, name)
    if store := store_of(artifacts):
        fetch_anew(store, name)
    return folder


def roll_back(artifacts: Path, name: str | None = None) -> tuple[str | None, str]:
    """Make an earlier run the current one, once every byte of it was checked; returns the run before and the run now.

    With a name, it also mends a `current` that is missing or names no run: then there is none before.

    Args:
        name: of the run; by default the one that was published before the current one.

    Raises:
        ArtifactError: there is no such run, or it is damaged; or without a name, there is no current one.
        InputError: it is the current one already, or the default one is and none is older.
    """
    before = _name_of_current(artifacts)
    if name and name == before:
        raise InputError(
            f"{place_of(artifacts)}: {name} is the current run already; name another, or none for the one before"
        )
    check_place(artifacts)
    run = open_run(folder_anew(artifacts, name or _published_before(artifacts)))
    if run.name != run.folder.name:
        raise ArtifactError(f"run {run.folder.name}: its manifest is that of run {run.name}; copy the run afresh")
    if store := store_of(artifacts):
        store.switch(run.name)
        return before, run.name
    with aside(artifacts) as folder:
        write_current(folder, run.name)
        with publishing(artifacts):
            if not is_run(run.folder):
                raise ArtifactError(f"{run.folder}: was removed while it was checked; name another run")
            switch_current(folder, artifacts)
    return before, run.name


def _name_of_current(artifacts: Path) -> str | None:
    """None where `current` is missing or names no run."""
    try:
        return current_run(artifacts).name
    except ArtifactError:
        return None


def _published_before(artifacts: Path) -> str:
    name = current_run(artifacts).name
    names = [run.name for run in list_runs(artifacts) if run.manifest or run.name == name]
    earlier = names[names.index(name) + 1 :]
    if not earlier:
        later = f"; name one of {', '.join(names[:-1])}" if names[1:] else ", and there is no other"
        raise InputError(f"{place_of(artifacts)}: no run was published before {name}{later}")
    return earlier[0]


def to_prune(artifacts: Path, keep: int, older_than: timedelta | None = None) -> list[ListedRun]:
    """The runs behind the `keep` newest, without the current one and those that cannot be read.

    Raises:
        InputError: `keep` is below 1.
    """
    if keep < 1:
        raise InputError(f"keep={keep}: wanted at least 1")
    readable = [run for run in list_runs(artifacts) if run.manifest]
    return [run for run in readable[keep:] if not run.is_current and (older_than is None or _age(run) > older_than)]


def _age(run: ListedRun) -> timedelta:
    assert run.manifest is not None
    return datetime.now(UTC) - datetime.fromisoformat(run.manifest.created_at)


def remove_runs(artifacts: Path, names: list[str]) -> list[str]:
    """Remove these runs; each is gone whole at once. Who has loaded one keeps it. Returns those that were removed.

    One that became the current run meanwhile stays.
    """
    if store := store_of(artifacts):
        check_place(artifacts)
        there = {run.name for run in list_runs(artifacts) if not run.is_current}
        removed = [name for name in names if name in there]
        for name in removed:
            store.remove(name)
            remove(local_folder(artifacts) / name)
        return removed
    if not os.access(artifacts, os.W_OK | os.X_OK):
        raise InputError(f"{artifacts}: cannot be written; mend that or name another place")
    taken = {}
    try:
        with explain_failed_writes(artifacts), publishing(artifacts):  # no byte is needed: the disk may be full
            remove_dead(artifacts)
            current = current_run(artifacts).name
            for name in names:
                if name != current and (artifacts / name).is_dir():
                    taken[name] = (artifacts / name).rename(artifacts / f"{WRITING}{name}")
    finally:
        for folder in taken.values():
            remove(folder)
    return list(taken)
