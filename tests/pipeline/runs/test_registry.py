"""The runs of an artifacts folder: which there are, which is in use, which may go."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from belfry.dataset.errors import ArtifactError, InputError
from belfry.pipeline.runs import writer as writer_module
from belfry.pipeline.runs.manifest import Manifest, RunInfo, read_manifest
from belfry.pipeline.runs.reader import current_run, find_run
from belfry.pipeline.runs.registry import listed
from belfry.pipeline.runs.registry.differences import differences
from belfry.pipeline.runs.registry.listed import ListedRun, list_runs, remove_runs, roll_back, to_prune
from belfry.pipeline.runs.writer import publish

START = datetime(2026, 1, 1, tzinfo=UTC)


def info(seed: int) -> RunInfo:
    return RunInfo(
        preset="default",
        seed=seed,
        holdout="time",
        config={"retrieval": {"epochs": 20, "genres": ["a"]}, "folds": seed},
        versions={"numpy": "2"},
        input_hash="0" * 64,
    )


@pytest.fixture
def three(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of three runs in `tmp_path`, a day apart, the oldest first."""
    names = []
    for day in range(3):

        class Clock(datetime):
            @classmethod
            def now(cls, tz=None, day=day):
                return START + timedelta(days=day)

        monkeypatch.setattr(writer_module, "datetime", Clock)
        with publish(tmp_path, info(day)) as writer:
            (writer.folder / "weights.bin").write_bytes(bytes(100 + day))
        assert writer.published is not None
        names.append(writer.published.name)
    monkeypatch.undo()
    return names


def names_of(runs: list[ListedRun]) -> list[str]:
    return [run.name for run in runs]


def test_the_newest_is_first_and_the_current_one_marked(tmp_path, three):
    found = list_runs(tmp_path)
    assert names_of(found) == three[::-1]
    assert [run.is_current for run in found] == [True, False, False]
    assert [run.n_bytes for run in found] == [102, 101, 100]
    assert found[0].to_dict()["seed"] == 2


def test_a_run_that_cannot_be_read_is_listed_last_with_its_reason(tmp_path, three):
    manifest = tmp_path / three[2] / "manifest.json"
    manifest.chmod(0o644)
    manifest.write_text("{")
    found = list_runs(tmp_path)
    assert names_of(found) == [three[1], three[0], three[2]]
    assert "not readable as JSON" in found[2].damage
    assert found[2].to_dict() == {"name": three[2], "is_current": True, "n_bytes": 0, "damage": found[2].damage}


def test_runs_that_are_pruned_while_they_are_listed_are_left_out(tmp_path, three, monkeypatch):
    def read(path: Path) -> Manifest:
        remove_runs(tmp_path, [path.parent.name])
        return read_manifest(path)

    monkeypatch.setattr(listed, "read_manifest", read)
    assert names_of(list_runs(tmp_path)) == [three[2]]


def test_what_the_system_refuses_is_told_in_words(tmp_path, three, monkeypatch):
    with pytest.raises(ArtifactError, match=r"x/current: cannot be read \(File name too long\); mend that"):
        list_runs(tmp_path / ("x" * 300))

    def read(path: Path) -> Manifest:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(listed, "read_manifest", read)
    assert {run.damage for run in list_runs(tmp_path)} == {
        f"{tmp_path / name}/manifest.json: cannot be read (Permission denied); mend that" for name in three
    }


def test_a_folder_without_a_run_says_so(tmp_path):
    with pytest.raises(ArtifactError, match="train first"):
        list_runs(tmp_path)


def test_rolling_back_goes_one_further_each_time(tmp_path, three):
    assert roll_back(tmp_path) == (three[2], three[1])
    assert current_run(tmp_path).name == three[1]
    assert roll_back(tmp_path) == (three[1], three[0])
    with pytest.raises(
        InputError, match=f"no run was published before {three[0]}; name one of {', '.join(three[:0:-1])}$"
    ):
        roll_back(tmp_path)
    assert roll_back(tmp_path, three[2]) == (three[0], three[2])
    assert current_run(tmp_path).name == three[2]
    assert {path.name for path in tmp_path.iterdir()} == {".lock", "current", *three}


def test_rolling_back_to_the_current_run_is_refused(tmp_path, three):
    with pytest.raises(InputError, match=f"{three[2]} is the current run already; name another"):
        roll_back(tmp_path, three[2])
    remove_runs(tmp_path, three[:2])
    with pytest.raises(InputError, match=f"no run was published before {three[2]}, and there is no other$"):
        roll_back(tmp_path)
    assert current_run(tmp_path).name == three[2]


@pytest.mark.parametrize("content", [None, "gone-0123456789ab", "../x", "a link"])
def test_rolling_back_by_name_mends_a_current_that_names_no_run(tmp_path, three, content):
    current = tmp_path / "current"
    current.unlink()
    if content == "a link":
        current.symlink_to(three[1])
    elif content is not None:
        current.write_text(content)
    with pytest.raises(ArtifactError, match="current"):
        roll_back(tmp_path)
    assert roll_back(tmp_path, three[0]) == (None, three[0])
    assert current_run(tmp_path).name == three[0]


def test_rolling_back_to_a_damaged_run_changes_nothing(tmp_path, three):
    weights = tmp_path / three[1] / "weights.bin"
    weights.chmod(0o644)
    weights.write_bytes(bytes(100))
    with pytest.raises(ArtifactError, match=r"weights\.bin"):
        roll_back(tmp_path)
    assert current_run(tmp_path).name == three[2]


def test_rolling_back_to_a_run_that_is_pruned_meanwhile_changes_nothing(tmp_path, three, monkeypatch):
    def write_current(folder: Path, name: str) -> None:
        assert remove_runs(tmp_path, [three[1]]) == [three[1]]
        writer_module.write_current(folder, name)

    monkeypatch.setattr(listed, "write_current", write_current)
    with pytest.raises(ArtifactError, match=f"{three[1]}: was removed while it was checked; name another run"):
        roll_back(tmp_path)
    assert current_run(tmp_path).name == three[2]
    assert {path.name for path in tmp_path.iterdir()} == {".lock", "current", three[0], three[2]}


@pytest.mark.parametrize("name", ["../x", "nothing", "", ".lock"])
def test_a_name_that_is_no_run(tmp_path, three, name):
    with pytest.raises(InputError, match=f"there is no run .*{three[0]}"):
        listed.folder_of(tmp_path, name)


def test_pruning_keeps_the_newest_the_current_and_the_unreadable(tmp_path, three):
    roll_back(tmp_path, three[0])
    assert names_of(to_prune(tmp_path, 1)) == [three[1]]
    assert to_prune(tmp_path, 3) == []
    (tmp_path / three[1] / "manifest.json").chmod(0o644)
    (tmp_path / three[1] / "manifest.json").write_text("{")
    assert to_prune(tmp_path, 1) == []
    with pytest.raises(InputError, match="keep=0"):
        to_prune(tmp_path, 0)


def test_pruning_by_age(tmp_path, three, monkeypatch):
    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return START + timedelta(days=3)

    monkeypatch.setattr(listed, "datetime", Clock)
    assert names_of(to_prune(tmp_path, 1, timedelta(days=2, hours=1))) == [three[0]]
    assert names_of(to_prune(tmp_path, 1, timedelta(days=1))) == [three[1], three[0]]


def test_removed_runs_are_gone_and_nothing_else(tmp_path, three):
    assert remove_runs(tmp_path, [three[0], three[2], "nothing"]) == [three[0]]
    assert {path.name for path in tmp_path.iterdir()} == {".lock", "current", three[1], three[2]}


def test_what_a_killed_prune_leaves_goes_with_the_next_and_a_sealed_folder_is_refused(tmp_path, three, monkeypatch):
    (tmp_path / three[0]).rename(tmp_path / f".writing-{three[0]}")
    assert remove_runs(tmp_path, three) == [three[1]]
    assert {path.name for path in tmp_path.iterdir()} == {".lock", "current", three[2]}
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(InputError, match="cannot be written; mend that"):
        remove_runs(tmp_path, three)


def test_differences_are_those_of_settings_and_data(tmp_path, three):
    a, b = (find_run(tmp_path / name).manifest for name in three[:2])
    assert differences(a, b) == {"seed": (0, 1), "config.folds": (0, 1)}
    assert differences(a, a) == {}
    more = b.model_copy(update={"notes": {"epochs": 3}})
    assert differences(b, more) == {"notes.epochs": (None, 3)}
