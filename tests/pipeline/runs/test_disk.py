"""Temporary folders: gone with their owner, however it ends, and nobody else's."""

import os
import signal
from pathlib import Path

import pytest

from belfry.pipeline.runs.disk import temporary_folder, write_together

PREFIX = ".working-"


def test_a_folder_goes_with_its_owner(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), temporary_folder(tmp_path, PREFIX) as folder:
        (folder / "lists.parquet").write_bytes(b"x")
        raise KeyboardInterrupt
    assert not [*tmp_path.iterdir()]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_that_of_a_killed_owner_goes_with_the_next_and_that_of_a_living_one_stays(tmp_path: Path) -> None:
    if not (child := os.fork()):
        with temporary_folder(tmp_path, PREFIX) as folder:
            (folder / "lists.parquet").write_bytes(b"x")
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    (left,) = tmp_path.iterdir()
    with temporary_folder(tmp_path, PREFIX) as first:
        assert not left.exists()
        with temporary_folder(tmp_path, PREFIX) as second:
            assert first.is_dir() and second.is_dir() and first != second
    assert not [*tmp_path.iterdir()]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_what_a_killed_writer_leaves_goes_with_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not (child := os.fork()):
        monkeypatch.setattr("belfry.pipeline.runs.disk.sync", lambda path: os.kill(os.getpid(), signal.SIGKILL))
        write_together(tmp_path, {"evaluation.json": "{}"})
    os.waitpid(child, 0)
    assert [path.name[:9] for path in tmp_path.iterdir()] == [".writing-"]
    write_together(tmp_path, {"evaluation.json": "{}"})
    assert [path.name for path in tmp_path.iterdir()] == ["evaluation.json"]
