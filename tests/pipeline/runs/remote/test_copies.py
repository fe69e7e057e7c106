"""Copies of runs on this machine: fetched once, whole, and never in the way."""

import os
import shutil
import subprocess
import threading
import time
from collections import namedtuple
from pathlib import Path

import pytest

from belfry.dataset.errors import ArtifactError, InputError
from belfry.pipeline.runs.reader import open_run
from belfry.pipeline.runs.remote import copies
from belfry.pipeline.runs.remote.store import RunStore
from belfry.pipeline.runs.signature import Signer
from tests.pipeline.runs.remote.conftest import Place

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def other_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Its cache, which tests turn to once something is published."""
    return tmp_path / "other"


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Runs, whenever one is fetched."""
    names: list[str] = []
    get = RunStore.get

    def noting(self: RunStore, run: str, files: list[str], folder: Path) -> None:
        names.append(run)
        get(self, run, files, folder)

    monkeypatch.setattr(RunStore, "get", noting)
    return names


@pytest.fixture
def published(place: Place, other_machine: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a run of another machine."""
    name = place.publish("x").name
    monkeypatch.setenv("BELFRY_CACHE", str(other_machine))
    return name


def damage(path: Path) -> None:
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1] + b"?")


def test_a_run_is_fetched_once(place: Place, published: str, fetched: list[str]) -> None:
    assert open_run(place.path).folder == open_run(place.path).folder
    assert fetched == [published]
    newer = place.publish("y").name
    assert open_run(place.path).name == newer
    assert fetched == [published]  # the other was written here


def test_readers_at_once_fetch_it_once(memory_place: Place, other_machine: Path, fetched, monkeypatch) -> None:
    name = memory_place.publish("x").name
    monkeypatch.setenv("BELFRY_CACHE", str(other_machine))
    opened: list[str] = []
    readers = [threading.Thread(target=lambda: opened.append(open_run(memory_place.path).name)) for _ in range(4)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert opened == [name] * 4
    assert fetched == [name]


@pytest.mark.parametrize(
    "what", ["changed", "cut", "removed", "added", "manifest", "pipe", "endless", "nothing but a folder"]
)
def test_a_damaged_copy_is_fetched_again(place: Place, published: str, fetched: list[str], what: str) -> None:
    copy = open_run(place.path).folder
    weights = copy / "weights.bin"
    match what:
        case "changed":
            damage(weights)
        case "cut":
            weights.write_bytes(b"")
        case "removed":
            weights.unlink()
        case "added":
            (copy / "more.bin").touch()
        case "manifest":
            damage(copy / "manifest.json")
        case "pipe":
            (copy / "manifest.json").unlink()
            os.mkfifo(copy / "manifest.json")
        case "endless":
            (copy / "manifest.json").unlink()
            (copy / "manifest.json").symlink_to("/dev/zero")
        case _:
            shutil.rmtree(copy)
            copy.mkdir()
    assert open_run(place.path).path("weights.bin").read_bytes() == bytes(100)
    assert fetched == [published] * 2


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("weights.bin", bytes(99) + b"?", "file 'weights.bin' has 100 bytes and SHA-256 .*publish again"),
        ("weights.bin", bytes(50), r"1 file\(s\) \('weights.bin'\) missing, or of another size than was published"),
        ("weights.bin", None, r"1 file\(s\) \('weights.bin'\) missing, or of another size"),
        ("manifest.json", b"{", r"manifest\.json: not readable as JSON"),
        ("manifest.json", b"", r"manifest\.json: not readable as JSON"),
        ("manifest.json", None, "there is no whole run 'default-"),
    ],
)
def test_a_damaged_object_is_refused_and_leaves_nothing(
    place: Place, published: str, other_machine: Path, name: str, content: bytes | None, told: str
) -> None:
    good = place.read(f"{published}/{name}")
    place.remove(f"{published}/{name}") if content is None else place.write(f"{published}/{name}", content)
    for _ in range(2):
        with pytest.raises(ArtifactError, match=rf"^{place.address}.*{told}") as caught:
            open_run(place.path)
    assert str(other_machine) not in str(caught.value)
    assert not [path for path in other_machine.rglob("*") if path.is_file() and path.name != ".fetching.lock"]
    place.write(f"{published}/{name}", good)
    assert open_run(place.path).name == published


def test_an_object_that_is_damaged_after_it_was_fetched_changes_no_copy(place: Place, published: str) -> None:
    open_run(place.path)
    place.write(f"{published}/weights.bin", b"")
    assert open_run(place.path).path("weights.bin").read_bytes() == bytes(100)


def test_a_run_that_was_removed_is_not_opened_from_its_copy(place: Place, published: str) -> None:
    open_run(place.path)
    place.remove(published)
    with pytest.raises(ArtifactError, match=f"there is no whole run '{published}'"):
        open_run(place.path)


@pytest.mark.parametrize(
    ("current", "told"),
    [
        (b"default-nothing", "there is no whole run 'default-nothing'"),
        (b"../default-nothing", "current: '../default-nothing' is not the name of a run beside it"),
        (b".fetching", "current: '.fetching' is not the name"),
        (b"\xff" * 9, "is not the name of a run"),
        (b"", "current: '' is not the name of a run"),
        (None, "'current' is not in it; train first"),
    ],
)
def test_a_current_that_names_nothing(place: Place, published: str, current: bytes | None, told: str) -> None:
    place.remove("current") if current is None else place.write("current", current)
    with pytest.raises(ArtifactError, match=f"^{place.address}.*{told}"):
        open_run(place.path)


def test_a_run_under_the_name_of_another(place: Place, published: str) -> None:
    for name in ("manifest.json", "weights.bin", "index/vectors.npy"):
        place.write(f"renamed/{name}", place.read(f"{published}/{name}"))
    assert open_run(place.path / "renamed").name == published
    place.write("current", b"renamed")
    with pytest.raises(ArtifactError, match=f"run renamed: its manifest is that of run {published}"):
        open_run(place.path)


def test_an_address_that_leaves_its_prefix(memory_place: Place, tmp_path: Path) -> None:
    memory_place.publish("x")
    for name in ("..", "."):
        memory_place.write(f"sub/{name}/manifest.json", b"{}")
        with pytest.raises(ArtifactError):
            open_run(f"{memory_place.address}/sub/{name}")


def test_a_disk_without_room_for_it(place: Place, published: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(copies.shutil, "disk_usage", lambda path: Usage(2**30, 2**30 - 100, 100))
        patched.setattr("belfry.pipeline.runs.disk.NEEDED_BYTES", 1)
        with pytest.raises(InputError, match=r"has 101 bytes, and 100 are free in .*; let BELFRY_CACHE name another"):
            open_run(place.path)
    assert open_run(place.path).name == published


def test_a_disk_that_fills_up_meanwhile(memory_place, other_machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory_place.publish("x")
    monkeypatch.setenv("BELFRY_CACHE", str(other_machine))

    def full(*_arguments: object, **_options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(memory_place.files), "get_file", full)
    with pytest.raises(InputError, match="No space left on device; free some, or let BELFRY_CACHE name another place"):
        open_run(memory_place.path)


def test_what_a_killed_process_has_left_does_not_count(place: Place, published: str) -> None:
    folder = copies.local_folder(place.path)
    (folder / ".fetching").mkdir(parents=True)
    (folder / ".fetching" / "weights.bin").write_bytes(b"half")
    assert open_run(place.path).name == published
    assert not (folder / ".fetching").exists()


def test_a_copy_that_nobody_opens_goes(place: Place, published: str) -> None:
    older = open_run(place.path).folder
    place.publish("y")
    week_ago = time.time() - copies.KEPT_S
    os.utime(older, (week_ago - 60, week_ago - 60))
    newer = open_run(place.path).folder
    assert not older.exists()
    assert newer.exists()
    assert open_run(place.path / published).folder == older


def test_signatures_come_along(place: Place, other_machine: Path, tmp_path: Path, monkeypatch) -> None:
    pytest.importorskip("cryptography")
    key, public = tmp_path / "key.pem", tmp_path / "key.pub.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", key], check=True)
    subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-out", public], check=True)
    name = place.publish("x", Signer.read(key)).name
    monkeypatch.setenv("BELFRY_CACHE", str(other_machine))
    assert open_run(place.path, public).name == name
    place.write(f"{name}/manifest.json.sig", bytes(64))
    with pytest.raises(ArtifactError, match="is no signature of this manifest"):
        open_run(place.path, public)
    place.remove(f"{name}/manifest.json.sig")
    with pytest.raises(ArtifactError, match=f"^{place.address}/{name}: the run is not signed"):
        open_run(place.path, public)
    assert open_run(place.path).name == name
    assert open_run(place.path).signature is None
