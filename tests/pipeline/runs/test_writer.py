"""Run folders: what is published is what is opened, whole, and `current` names the last of them."""

import errno
import shutil
from pathlib import Path

import pytest

from belfry.dataset.errors import ArtifactError, BelfryError, InputError
from belfry.pipeline.runs import writer as writer_module
from belfry.pipeline.runs.disk import check_writable
from belfry.pipeline.runs.lock import hold
from belfry.pipeline.runs.manifest import RunInfo
from belfry.pipeline.runs.reader import current_run, default_artifacts, open_run
from belfry.pipeline.runs.writer import publish

INFO = RunInfo(
    preset="default",
    seed=7,
    holdout="time",
    config={"retrieval": {"dim": 32, "rate": 1e-7, "genres": ["a", "b"]}},
    versions={"numpy": "2.4.6"},
    input_hash="0" * 64,
)


def publish_text(artifacts: Path, text: str, info: RunInfo = INFO) -> Path:
    with publish(artifacts, info) as writer:
        (writer.folder / "index").mkdir()
        (writer.folder / "index" / "vectors.npy").write_text(text)
        (writer.folder / "weights.bin").write_bytes(b"\0" * 100)
        writer.notes["gate"] = {"kept": True, "ndcg": float("nan")}
    assert writer.published is not None
    return writer.published


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_published_run_opens_by_either_folder(tmp_path):
    published = publish_text(tmp_path, "x")
    for run in (open_run(tmp_path), open_run(published), open_run(str(tmp_path))):
        assert run.folder == published
        assert run.name == published.name
        assert run.manifest.seed == 7
        assert run.manifest.config == INFO.config
        assert run.manifest.notes == {"gate": {"kept": True, "ndcg": None}}
        assert set(run.manifest.files) == {"index/vectors.npy", "weights.bin"}
        assert run.path("index/vectors.npy").read_bytes() == b"x"
        assert (run.path("index") / "vectors.npy").exists()


def test_nothing_but_the_run_is_left(tmp_path):
    published = publish_text(tmp_path, "x")
    assert names_in(tmp_path) == {".lock", "current", published.name}
    assert names_in(published) == {"index", "weights.bin", "manifest.json"}
    assert (tmp_path / "current").read_text() == f"{published.name}\n"


def test_the_artifacts_folder_is_made_beneath_an_existing_parent(tmp_path):
    publish_text(tmp_path / "artifacts", "x")
    assert open_run(tmp_path / "artifacts").name.startswith("default-")


def test_current_moves_to_the_last_published_and_keeps_the_earlier(tmp_path):
    first, second = publish_text(tmp_path, "first"), publish_text(tmp_path, "second")
    assert first != second
    assert current_run(tmp_path) == second
    assert open_run(first).path("index/vectors.npy").read_bytes() == b"first"


def test_equal_content_published_twice_gives_two_names_whatever_the_clock_says(tmp_path, monkeypatch):
    class StandingClock(writer_module.datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(2020, 1, 1, tzinfo=tz)

    first = publish_text(tmp_path, "same")
    second = publish_text(tmp_path, "same")
    assert first != second
    monkeypatch.setattr(writer_module, "datetime", StandingClock)  # set back by years, and standing still
    third, fourth = publish_text(tmp_path, "third"), publish_text(tmp_path, "fourth")
    assert len({first, second, third, fourth}) == 4
    assert current_run(tmp_path) == fourth
    assert publish_text(tmp_path, "third") == third  # the same to the last bit: the same run
    assert current_run(tmp_path) == third


def test_a_copied_and_renamed_run_opens(tmp_path):
    published = publish_text(tmp_path / "artifacts", "x")
    shutil.copytree(published, tmp_path / "model")
    assert open_run(tmp_path / "model").name == published.name


def test_a_path_that_the_run_does_not_hold(tmp_path):
    run = open_run(publish_text(tmp_path, "x"))
    for relative in ("ranker.onnx", "../current", "ind", ""):
        with pytest.raises(ArtifactError, match=r"run default-\w{12}: holds no"):
            run.path(relative)


@pytest.mark.parametrize("failure", [RuntimeError("boom"), KeyboardInterrupt(), SystemExit(1)])
def test_a_failing_body_leaves_the_earlier_run_and_nothing_else(tmp_path, failure):
    published = publish_text(tmp_path, "x")
    before = names_in(tmp_path)
    with pytest.raises(type(failure)), publish(tmp_path, INFO) as writer:
        (writer.folder / "half").write_text("half")
        raise failure
    assert names_in(tmp_path) == before
    assert open_run(tmp_path).folder == published


def test_a_dead_writers_folder_is_removed_and_a_living_one_kept(tmp_path):
    dead, alive = tmp_path / ".writing-dead", tmp_path / ".writing-alive"
    dead.mkdir()
    (dead / "run").mkdir()
    (dead / "run" / "weights").write_text("half")
    alive.mkdir()
    with hold(alive / "alive"):
        publish_text(tmp_path, "x")
    assert not dead.exists()
    assert alive.exists()


def test_a_publisher_inside_another_does_not_disturb_it(tmp_path):
    with publish(tmp_path, INFO) as outer:
        (outer.folder / "file").write_text("outer")
        inner = publish_text(tmp_path, "inner")
        assert current_run(tmp_path) == inner
    assert open_run(tmp_path).path("file").read_bytes() == b"outer"


def test_a_writer_that_leaves_a_link_publishes_nothing(tmp_path):
    with (
        pytest.raises(ArtifactError, match="'link' is a link, and a run"),
        publish(tmp_path, INFO) as writer,
    ):
        (writer.folder / "link").symlink_to("/etc/hostname")
    assert names_in(tmp_path) == {".lock"}


@pytest.mark.parametrize("preset", ["../x", "", "a/b", ".hidden", "x" * 101, "a\nb"])
def test_a_preset_that_cannot_name_a_folder_is_refused(tmp_path, preset):
    info = INFO.model_copy(update={"preset": preset})
    with pytest.raises(InputError, match="cannot name a run"):
        publish_text(tmp_path, "x", info)
    assert names_in(tmp_path) == set()


def test_default_artifacts(monkeypatch):
    monkeypatch.delenv("BELFRY_ARTIFACTS", raising=False)
    assert default_artifacts() == Path("artifacts")
    monkeypatch.setenv("BELFRY_ARTIFACTS", "elsewhere")
    assert default_artifacts() == Path("elsewhere")


def test_an_unwritable_place_is_named_before_anything_is_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file, a folder is wanted"):
        check_writable(tmp_path / "file")
    with pytest.raises(InputError, match=r"its parent .*missing is not a folder; create it first"):
        check_writable(tmp_path / "missing" / "artifacts")
    with (
        monkeypatch.context() as patch,
        pytest.raises(InputError, match=r"bytes free and at least 1,\d{3},.* are needed"),
    ):
        patch.setattr("belfry.pipeline.runs.disk.NEEDED_BYTES", 10**18 + 10**15)
        check_writable(tmp_path)

    def refuse(dir):  # noqa: A002 - tempfile's name
        raise PermissionError(errno.EACCES, "Permission denied")

    check_writable(tmp_path / "new")
    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    with pytest.raises(InputError, match=r"cannot be written \(Permission denied\)"):
        publish_text(tmp_path, "x")
    assert names_in(tmp_path) == {"file"}


def test_a_disk_that_fills_up_is_named_with_file_and_bytes(tmp_path):
    published = publish_text(tmp_path, "x")
    before = names_in(tmp_path)
    message = r"run/weights: the disk is full \([\d,]+ bytes free by now\)"
    with pytest.raises(BelfryError, match=message), publish(tmp_path, INFO) as writer:
        raise OSError(errno.ENOSPC, "No space left on device", str(writer.folder / "weights"))
    assert names_in(tmp_path) == before
    assert open_run(tmp_path).folder == published


def test_other_errors_of_the_system_stay_what_they_are(tmp_path):
    with pytest.raises(FileNotFoundError), publish(tmp_path, INFO) as writer:
        (writer.folder / "missing").read_text()
