"""A run folder that was damaged, mixed or tampered with is refused in words, and nothing in it is run."""

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from belfry.dataset.errors import ArtifactError
from belfry.pipeline.runs.manifest import FORMAT_VERSION, RunInfo
from belfry.pipeline.runs.reader import find_run, open_run
from belfry.pipeline.runs.writer import publish

INFO = RunInfo(preset="default", seed=0, holdout="time", config={"dim": 32}, versions={}, input_hash="0" * 64)
FILES = {"vocabulary.arrow": b"abc" * 50, "index/vectors.npy": b"\x93NUMPY" * 99, "index/config.pb": b"x" * 10}


def publish_files(artifacts: Path, **changed: bytes) -> Path:
    with publish(artifacts, INFO) as writer:
        for name, content in FILES.items():
            path = writer.folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(changed.get(path.stem, content))
    assert writer.published is not None
    return writer.published


@pytest.fixture
def run(tmp_path):
    return publish_files(tmp_path)


def refuse(run: Path, match: str) -> None:
    """Both ways in must refuse."""
    for path in (run.parent, run):
        with pytest.raises(ArtifactError, match=match):
            open_run(path)


def edit_manifest(run: Path, edit: Callable[[dict], object]) -> None:
    content = json.loads((run / "manifest.json").read_text())
    edit(content)
    (run / "manifest.json").write_text(json.dumps(content, indent=2))


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("where", [0.0, 0.5, 0.999])
def test_a_flipped_byte(run, name, where):
    path = run / name
    content = bytearray(path.read_bytes())
    content[int(len(content) * where)] ^= 1
    path.write_bytes(content)
    refuse(run, rf"run {run.name}: file '{name}' has .* SHA-256 [0-9a-f]{{64}}, published were .* [0-9a-f]{{64}};")


def test_every_flipped_byte_of_the_manifest(run):
    path = run / "manifest.json"
    content = path.read_bytes()
    for position in range(len(content)):
        flipped = bytearray(content)
        flipped[position] ^= (0x01, 0x07, 0x80)[position % 3]
        path.write_bytes(flipped)
        with pytest.raises(ArtifactError):
            open_run(run)
    path.write_bytes(content)
    open_run(run)


@pytest.mark.parametrize("name", FILES)
def test_a_deleted_and_a_cut_file(run, name):
    path = run / name
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    refuse(run, rf"'{name}' has {len(content) // 2:,} bytes and SHA-256 \w+, published were {len(content):,} bytes")
    path.unlink()
    refuse(run, rf"1 file\(s\) \('{name}'\) missing")


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_longer_is_not_read(run, name):
    """Of a hole of a tebibyte at its end."""
    size = (run / name).stat().st_size
    (run / name).chmod(0o644)
    os.truncate(run / name, 1 << 40)
    refuse(run, rf"'{name}' has 1,099,511,627,776 bytes, published were {size:,} bytes and SHA-256")
    opened = find_run(run)
    for read in (opened.files.read, opened.files.map):
        with pytest.raises(ArtifactError, match=rf"'{name}' has 1,099,511,627,776 bytes"):
            read(name)


def test_a_manifest_that_is_gone_cut_or_no_json(run):
    path = run / "manifest.json"
    content = path.read_bytes()
    for damaged in (content[: len(content) // 2], b"", b"\xff\xfe", b"[" * 100_000):
        path.write_bytes(damaged)
        refuse(run, "not readable as JSON")
    for other in (b"[]", b"7", b"{}"):
        path.write_bytes(other)
        refuse(run, f"format version None, this Belfry reads {FORMAT_VERSION}")
    path.unlink()
    with pytest.raises(ArtifactError, match="there is no whole run of that name beside it"):
        open_run(run.parent)
    with pytest.raises(ArtifactError, match="not an artifacts folder"):
        open_run(run)


class Payload:
    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.canary,)


def test_an_extra_pickle_is_refused_and_does_not_run(run, tmp_path):
    canary = tmp_path / "canary"
    (run / "index" / "scann_docids.pkl").write_bytes(pickle.dumps(Payload(canary)))
    refuse(run, r"'index/scann_docids.pkl'\) unexpected, not in its manifest")
    assert not canary.exists()


def test_a_newer_format_names_both_versions(run):
    edit_manifest(run, lambda content: content.update(format_version=FORMAT_VERSION + 1, novelty=[]))
    refuse(run, f"format version {FORMAT_VERSION + 1}, this Belfry reads {FORMAT_VERSION}")


@pytest.mark.parametrize(
    "name", ["../x", "/etc/hostname", "a/../../x", "a\\b", "./a", "a//b", "", "manifest.json", ".DS_Store", "x" * 10**5]
)
def test_file_names_that_leave_the_folder(run, name):
    edit_manifest(run, lambda content: content["files"].update({name: {"sha256": "0", "size": 1}}))
    refuse(run, "files: .*is not a plain path inside the run folder")


@pytest.mark.parametrize("preset", ["../x", "/etc", "a/b", "a\\b", ".", "..", "", "a\n", "x" * 101])
def test_a_preset_that_leaves_the_folder(run, preset):
    """The name of a run starts with its preset."""
    edit_manifest(run, lambda content: content.update(preset=preset))
    refuse(run, "preset: .*cannot name a run")


def test_a_manifest_edited_by_hand(run):
    edit_manifest(run, lambda content: content.update(seed=1))
    refuse(run, rf"was changed after publishing: its content gives the name 'default-\w+', it says '{run.name}'")
    edit_manifest(run, lambda content: content.update(trusted=True))
    refuse(run, "trusted: Extra inputs are not permitted")


def test_parts_of_two_runs(tmp_path):
    first, second = publish_files(tmp_path), publish_files(tmp_path, vectors=b"other")
    shutil.copy(second / "index" / "vectors.npy", first / "index" / "vectors.npy")
    with pytest.raises(ArtifactError, match=r"'index/vectors\.npy' has 5 bytes"):
        open_run(first)
    shutil.rmtree(second)
    publish_files(tmp_path / "other").rename(second)
    with pytest.raises(ArtifactError, match=f"run {second.name}: its manifest is that of run default-"):
        open_run(tmp_path)


@pytest.mark.parametrize("text", ["../outside", "/etc", "..", ".", "", "a/b", "\0", "a\nb", " x", "\udcff"])
def test_a_current_that_leads_elsewhere(run, text):
    (run.parent / "current").write_bytes(text.encode("utf-8", errors="surrogateescape"))
    with pytest.raises(ArtifactError, match="is not the name of a run beside it"):
        open_run(run.parent)


def test_a_current_that_names_nothing_or_is_gone(run):
    (run.parent / "current").write_text("default-000000000000\n")
    with pytest.raises(ArtifactError, match="names 'default-000000000000', and there is no whole run"):
        open_run(run.parent)
    (run.parent / "current").unlink()
    with pytest.raises(
        ArtifactError, match=f"'current' is missing; make a run .*belfry runs rollback RUN .*; there are {run.name}"
    ):
        open_run(run.parent)


@pytest.mark.parametrize("name", [*FILES, "manifest.json", "index"])
def test_links_inside_a_run(run, tmp_path, name):
    aside = tmp_path / "aside"
    (run / name).rename(aside)
    (run / name).symlink_to(aside)
    refuse(run, rf"'{name}' is a link, and a run holds plain files; put what it leads to in its place")


def test_links_and_devices_instead_of_files(run, tmp_path):
    os.mkfifo(run / "pipe")
    refuse(run, "'pipe' is a pipe or a device")
    (run / "pipe").unlink()

    (tmp_path / "current").rename(tmp_path / "elsewhere")
    (tmp_path / "current").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ArtifactError, match="current: is a link; write the name of a run beside it into a file"):
        open_run(tmp_path)


def test_a_link_to_a_run_is_opened_by_what_it_leads_to(run, tmp_path):
    run.rename(tmp_path / "aside")
    run.symlink_to(tmp_path / "aside")
    for path in (tmp_path, run):
        assert open_run(path).name == run.name

    other = publish_files(tmp_path / "elsewhere", vectors=b"other")
    (tmp_path / "current").write_text(f"{run.name}\n")
    run.unlink()
    run.symlink_to(other)
    with pytest.raises(ArtifactError, match=f"run {run.name}: its manifest is that of run {other.name}"):
        open_run(tmp_path)
    run.unlink()
    run.symlink_to(tmp_path / "nowhere")
    with pytest.raises(ArtifactError, match="it is a link that leads to no run"):
        open_run(tmp_path)


LITTER = [
    ".DS_Store",
    ".nfs000001",
    ".ipynb_checkpoints/x-checkpoint.json",
    "index/.hidden.npy",
    "Thumbs.db",
    "index/desktop.ini",
    "@eaDir/x.png",
]


@pytest.mark.parametrize("name", LITTER)
def test_what_file_managers_leave_is_ignored_with_a_line(run, name, caplog):
    (run / name).parent.mkdir(exist_ok=True)
    (run / name).write_bytes(b"x")
    opened = open_run(run)
    assert f"{run}: 1 file(s) ('{name.partition('/x')[0]}') ignored, as no part of a run" in caplog.text
    with pytest.raises(ArtifactError, match="holds no"):
        opened.path(name)


def test_litter_is_not_followed(run, tmp_path):
    (run / ".link").symlink_to(tmp_path / "nowhere")
    (run / ".folder").symlink_to(tmp_path)
    os.mkfifo(run / ".pipe")
    open_run(run)


@pytest.mark.parametrize("name", ["history.json~", "copy of vectors.npy", "_new", "index/scann_docids.pkl", "x/y"])
def test_what_could_be_a_part_stays_refused(run, name):
    (run / name).parent.mkdir(exist_ok=True)
    (run / name).write_bytes(b"x")
    refuse(run, r"1 file\(s\) .* unexpected, not in its manifest; remove what does not belong there")


def test_what_is_no_run_at_all(tmp_path):
    with pytest.raises(ArtifactError, match="missing: no such folder; train first"):
        open_run(tmp_path / "missing")
    for name in ("model.keras", "model.h5", "model.pkl"):
        (tmp_path / name).write_bytes(b"")
        with pytest.raises(ArtifactError, match=f"{name}: is a file; an artifacts folder or a run folder is wanted"):
            open_run(tmp_path / name)
    with pytest.raises(ArtifactError, match="not an artifacts folder, or one without a run"):
        open_run(tmp_path)


def test_what_may_not_be_read(run, monkeypatch):
    def refuse_to_open(path, *arguments, **options):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "open", refuse_to_open)
    with pytest.raises(ArtifactError, match=r"cannot be read \(Permission denied\)"):
        open_run(run)
