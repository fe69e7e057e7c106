"""FileSink: what it refuses, how a write that fails is told, and what is left behind."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from belfry.dataset.errors import BelfryError, InputError
from belfry.pipeline.jobs.sinks.base import LeftOut, LeftOutUser
from belfry.pipeline.jobs.sinks.file import LEFT_OUT, FileSink

SCHEMA = pa.schema([("user_id", pa.string())])
FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
NOBODY = LeftOut({}, ())


class FailingWriter:
    """Of text; fails when it is told to."""

    def __init__(self, path: Path, fails: str, error: Exception) -> None:
        self._file, self._fails, self._error = path.open("w"), fails, error

    def write(self, block: pa.Table) -> None:
        self._try("write")
        self._file.write(str(block))

    def close(self) -> None:
        self._try("close")
        self._file.close()

    def _try(self, what: str) -> None:
        if self._fails == what:
            raise self._error


class FailingSink(FileSink):
    def __init__(self, path: Path, fails: str = "", error: Exception = FULL) -> None:
        super().__init__(path)
        self._fails, self._error = fails, error

    def _begin(self, schema: pa.Schema) -> FailingWriter:
        if self._fails == "open":
            raise self._error
        return FailingWriter(self._aside, self._fails, self._error)


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (["a"], "a"),
        (["c", "a", "b"], "a, b, c"),
        (["a", "b", "c", "d"], "a, b, c and 1 more"),
        (["a", "b", "c", "d", "e"], "a, b, c and 2 more"),
    ],
)
def test_the_first_other_files_are_named(names: list[str], shown: str, tmp_path: Path) -> None:
    for name in (*names, ".hidden", "_about", "table"):
        (tmp_path / name).touch()
    with pytest.raises(InputError, match=rf"holds other files \({shown}\); name"):
        FailingSink(tmp_path / "table").check()


@pytest.mark.parametrize("fails", ["open", "write", "close"])
def test_a_full_disk_is_told_with_the_file_that_was_written(fails: str, tmp_path: Path) -> None:
    sink = FailingSink(tmp_path / "table", fails)

    def whole_table() -> None:
        sink.open(SCHEMA)
        sink.write(SCHEMA.empty_table())
        sink.close()

    with pytest.raises(BelfryError, match=r"/\.table\.writing: the disk is full"):
        whole_table()


@pytest.mark.parametrize(
    ("step", "place"),
    [
        (lambda sink: sink.leave_out(NOBODY), rf"/\.table\.writing{LEFT_OUT}: the disk is full"),
        (lambda sink: sink.commit(), "/table: the disk is full"),
    ],
)
def test_a_full_disk_is_told_at_the_end_too(
    step: Callable[[FileSink], None], place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = FailingSink(tmp_path / "table")
    sink.open(SCHEMA)
    sink.close()

    def full(*arguments: object, **options: object) -> None:
        raise FULL

    monkeypatch.setattr(Path, "write_bytes", full)
    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(BelfryError, match=place):
        step(sink)


@pytest.mark.parametrize("error", [FULL, pa.ArrowInvalid("no footer")])
def test_what_cannot_be_ended_is_abandoned_nonetheless(error: Exception, tmp_path: Path) -> None:
    sink = FailingSink(tmp_path / "table", "close", error)
    sink.open(SCHEMA)
    sink.leave_out(NOBODY)
    sink.abandon()
    assert not list(tmp_path.iterdir())
    with pytest.raises(AssertionError):
        sink.write(SCHEMA.empty_table())


def test_ids_of_any_letters_are_left_out_and_found(tmp_path: Path) -> None:
    sink = FailingSink(tmp_path / "table")
    sink.open(SCHEMA)
    sink.leave_out(LeftOut({"run": "é"}, (LeftOutUser("怪物", "has seen everything"),)))
    assert sink.left_out() == {"怪物"}
    sink.close()
    sink.commit()
    assert "怪物" in (tmp_path / LEFT_OUT).read_bytes().decode("utf-8")
    assert sorted(path.name for path in tmp_path.iterdir()) == [LEFT_OUT, "table"]
