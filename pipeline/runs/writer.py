"""Publish runs: written aside, hashed, moved into place.

artifacts/
├── current                 one line, the name of the run in use
├── default-3f9a0c12be77/   a run: files and their manifest.json, never edited
├── .lock                   held while a run moves into place
└── .writing-x7k2/          a run being written, or removed; gone when that is over, or with the next

A run for an address is published in the folder of its copies on this machine, then sent.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from pydantic import JsonValue

from belfry.dataset.errors import InputError
from belfry.pipeline.runs.disk import ALIVE, check_writable, explain_failed_writes, sync, write_together
from belfry.pipeline.runs.files import list_files
from belfry.pipeline.runs.gate import NOT_EVALUATED, Gate
from belfry.pipeline.runs.lock import hold, wait_and_hold
from belfry.pipeline.runs.manifest import (
    CURRENT,
    FORMAT_VERSION,
    MANIFEST,
    MAX_PRESET,
    SIGNATURE,
    Manifest,
    RunInfo,
    is_preset_name,
)
from belfry.pipeline.runs.remote.copies import copies_of
from belfry.pipeline.runs.remote.store import store_of
from belfry.pipeline.runs.sealed import file_entry
from belfry.pipeline.runs.signature import Signer

_PUBLISHING = ".lock"
WRITING = ".writing-"


@dataclass
class RunWriter:
    """A run that is being written: fill `folder`, note what was measured; `published` is set at the end.

    That is a folder of this machine, for an address too.
    """

    folder: Path
    gate: Gate = NOT_EVALUATED
    notes: dict[str, JsonValue] = field(default_factory=dict)
    published: Path | None = None


def check_place(place: Path, *, remedy: str = "mend that or name another place") -> None:
    """Refuse, before any work starts, a folder or an address at which nothing could be published at its end.

    Raises:
        InputError: as `check_writable`, or `RunStore.check`.
    """
    if store := store_of(place):
        store.check()
        copies_of(store)
    else:
        check_writable(place, remedy=remedy)


def workplace(artifacts: Path) -> Path:
    """The folder of this machine in which runs of `artifacts` are written, made where it is missing."""
    if store := store_of(artifacts):
        return copies_of(store)
    artifacts.mkdir(exist_ok=True)
    return artifacts


def write_texts(place: Path, texts: dict[str, str]) -> None:
    """Write the files named in `texts` into a folder, or below an address.

    Raises:
        InputError, BelfryError: it cannot be written.
    """
    if store := store_of(place):
        for name, text in texts.items():
            store.write(name, text.encode())
    else:
        write_together(place, texts)


@contextmanager
def publish(
    artifacts: Path,
    info: RunInfo,
    *,
    check: Callable[[Path], None] = lambda folder: None,
    last_check: Callable[[], None] = lambda: None,
    signer: Signer | None = None,
) -> Iterator[RunWriter]:
    """Publish what the body writes into the writer's folder as a run, and make it the current one.

    Readers see the run whole or not at all. When the body fails or is interrupted, nothing of it is left.

    Args:
        artifacts: a folder, or an address.
        check: is shown the folder of the sealed run before anybody else can see it, and raises where it is not good.
        last_check: comes behind it, while nobody else can publish, and raises where this run may not either.
        signer: signs the run.

    Raises:
        InputError: nothing can be written to `artifacts`, or the preset's name cannot name a folder.
        BelfryError: the disk filled up, or the address went away.
    """
    if not is_preset_name(info.preset):
        raise InputError(
            f"preset {info.preset!r} cannot name a run; use at most {MAX_PRESET} letters, digits, '.', '_', '-'"
        )
    check_place(artifacts)
    runs = workplace(artifacts)
    with aside(runs) as folder:
        writer = RunWriter(folder / "run")
        writer.folder.mkdir()
        yield writer

        name = _seal(writer, info, signer)
        check(writer.folder)
        write_current(folder, name)
        # From here on no byte is needed from the disk: a full one cannot stop between the two.
        with publishing(runs):
            last_check()
            target = runs / name
            if not target.exists():  # Else it is this very run: the name is the hash of its manifest.
                writer.folder.rename(target)
            sync(runs)
            switch_current(folder, runs)
    if store := store_of(artifacts):
        store.publish(target)
    writer.published = target


@contextmanager
def aside(artifacts: Path) -> Iterator[Path]:
    """A folder beside the runs, gone with all in it when its owner stops; that of a killed one goes with the next.

    Raises:
        BelfryError: a write failed, in the body too; the cause is said.
    """
    with ExitStack() as stack, explain_failed_writes(artifacts):
        with publishing(artifacts):
            remove_dead(artifacts)
            folder = tempfile.TemporaryDirectory(prefix=WRITING, dir=artifacts, ignore_cleanup_errors=True)
            path = Path(stack.enter_context(folder))
            stack.enter_context(hold(path / ALIVE))
        yield path


def publishing(artifacts: Path) -> AbstractContextManager[None]:
    """Held by whoever moves runs or says which is the current one."""
    return wait_and_hold(artifacts / _PUBLISHING)


def write_current(folder: Path, name: str) -> None:
    """Write down in `folder` that `name` is the current run, for `switch_current`."""
    (folder / CURRENT).write_text(f"{name}\n", encoding="utf-8")
    sync(folder / CURRENT)


def switch_current(folder: Path, artifacts: Path) -> None:
    """Make what `folder` says current true in `artifacts`; takes no bytes from the disk."""
    (folder / CURRENT).replace(artifacts / CURRENT)
    sync(artifacts)


def _seal(writer: RunWriter, info: RunInfo, signer: Signer | None) -> str:
    """Hash and write down what the folder holds, which nothing may change; return the name that this gives the run."""
    files = {}
    for relative, path in list_files(writer.folder).items():
        _make_read_only(path)
        files[relative] = file_entry(path)
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
    sealing = {MANIFEST: manifest.to_json().encode()}
    if signer:
        sealing[SIGNATURE] = signer.sign(sealing[MANIFEST])
    for name, content in sealing.items():
        path = writer.folder / name
        path.write_bytes(content)
        _make_read_only(path)
        sync(path)
    for folder in (writer.folder, *(path for path in writer.folder.rglob("*") if path.is_dir())):
        sync(folder)
    return manifest.name


def _make_read_only(path: Path) -> None:
    """A slip cannot rewrite the file in place; who may write to its folder can still remove or replace it."""
    path.chmod(path.stat().st_mode & ~0o222)


def remove_dead(artifacts: Path) -> None:
    """Remove what writers that were killed have left; those that live hold their lock."""
    for folder in artifacts.glob(f"{WRITING}*"):
        with suppress(InputError), hold(folder / ALIVE):
            shutil.rmtree(folder, ignore_errors=True)
