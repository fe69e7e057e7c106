"""Runs are published at an address whole or not at all, and refused in words where they could not be."""

import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from belfry.dataset.errors import ArtifactError, BelfryError, InputError
from belfry.pipeline.runs.reader import current_run, open_run
from belfry.pipeline.runs.writer import check_place, publish
from tests.pipeline.runs.remote.conftest import BUCKET, INFO, Place, s3  # noqa: F401


def test_a_run_lies_there_as_in_a_folder(place: Place) -> None:
    folder = place.publish("x")
    files = ["index/vectors.npy", "manifest.json", "weights.bin"]
    assert place.names() == ["current", *(f"{folder.name}/{name}" for name in files)]
    assert place.read("current").decode() == f"{folder.name}\n"
    for name in files:
        assert place.read(f"{folder.name}/{name}") == (folder / name).read_bytes()


def test_it_is_opened_by_either_address(place: Place) -> None:
    first, second = place.publish("first"), place.publish("second")
    assert (
        open_run(place.path).name == open_run(f"{place.address}/").name == current_run(place.path).name == second.name
    )
    for path in (f"{place.address}/{first.name}", place.path / first.name):
        run = open_run(path)
        assert (run.name, run.address) == (first.name, f"{place.address}/{first.name}")
        assert run.path("index/vectors.npy").read_bytes() == b"first"


@pytest.mark.parametrize("step", ["put_file", "manifest.json", "current"])
def test_a_place_that_fails_while_a_run_is_sent(
    memory_place: Place, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    first, kind = memory_place.publish("first"), type(memory_place.files)
    pipe_file = kind.pipe_file

    def failing(self: object, path: str, *arguments: object, **options: object) -> None:
        if path.endswith(step) or step == "put_file":
            raise OSError("the connection was reset")
        pipe_file(self, path, *arguments, **options)

    message = r"OSError: the connection was reset.* The run is not published there, .* It is whole in (\S+):"
    with monkeypatch.context() as patched, pytest.raises(BelfryError, match=message) as caught:
        patched.setattr(kind, "put_file" if step == "put_file" else "pipe_file", failing)
        with publish(memory_place.path, INFO) as writer:
            (writer.folder / "weights.bin").write_bytes(b"second")
    assert not isinstance(caught.value, InputError)
    assert open_run(memory_place.path).name == first.name
    kept = Path(str(caught.value).partition("whole in ")[2].partition(": copy")[0])
    assert open_run(kept).path("weights.bin").read_bytes() == b"second"


def test_what_comes_last_is_the_manifest_and_then_current(memory_place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    kind, written = type(memory_place.files), list[str]()
    opened = kind._open

    def noting(self: object, path: str, mode: str = "rb", **options: object) -> object:
        if mode != "rb" and ".probe" not in path:
            written.append(path.removeprefix(f"{memory_place.root}/").partition("/")[2] or "current")
        return opened(self, path, mode=mode, **options)

    monkeypatch.setattr(kind, "_open", noting)
    memory_place.publish("x")
    assert {*written[:2]} == {"index/vectors.npy", "weights.bin"}
    assert written[2:] == ["manifest.json", "current"]


class TestRefusedBeforeWork:
    def test_a_bucket_that_is_not_there(self, s3_place: Place) -> None:
        with pytest.raises(InputError, match=r"^s3://no-such-bucket/runs: .*(check bucket and name|mend)"):
            check_place(Path("s3://no-such-bucket/runs"))
        with pytest.raises(ArtifactError, match=r"^s3://no-such-bucket/runs: .*check bucket and name"):
            open_run("s3://no-such-bucket/runs")

    def test_a_bucket_without_rights(self, s3: str, s3_place: Place) -> None:  # noqa: F811
        from belfry import train

        with _without_rights(s3), pytest.raises(InputError, match=f"^s3://{BUCKET}/.*PermissionError.*mend the"):
            train("no-such-table.csv", artifacts=s3_place.address)
        with _without_rights(s3), pytest.raises(InputError, match="PermissionError"):
            open_run(s3_place.path)

    def test_an_address_that_does_not_answer(self, s3_place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        type(s3_place.files).clear_instance_cache()
        with pytest.raises(InputError, match=r"Could not connect to the endpoint.*mend the address, the endpoint or"):
            check_place(s3_place.path)

    def test_a_library_that_is_missing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "fsspec", None)
        for call in (check_place, open_run):
            with pytest.raises(InputError, match=r"s3://b/x: needs fsspec, .*'belfry-recommender\[cloud\]'"):
                call(Path("s3://b/x"))

    def test_a_password_is_not_told(self) -> None:
        with pytest.raises(InputError, match=r"^s3://bucket/runs: its address holds a password") as caught:
            check_place(Path("s3://me:secret@bucket/runs"))
        assert "secret" not in str(caught.value)

    def test_a_run_takes_nothing_more(self, memory_place: Place) -> None:
        name = memory_place.publish("x").name
        with pytest.raises(InputError, match=f"{name}: is a published run, which nothing may be added to"):
            check_place(memory_place.path / name)

    def test_a_cache_that_cannot_be_written(
        self, memory_place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "file").touch()
        monkeypatch.setenv("BELFRY_CACHE", str(tmp_path / "file"))
        with pytest.raises(InputError, match=r"cannot be made \(.*\); let BELFRY_CACHE name another place"):
            check_place(memory_place.path)


@contextmanager
def _without_rights(server: str) -> Iterator[None]:
    def set_free_calls(number: str) -> None:
        address, headers = f"{server}/moto-api/reset-auth", {"Content-Type": "text/plain"}
        urllib.request.urlopen(urllib.request.Request(address, number.encode(), headers)).close()

    set_free_calls("0")
    try:
        yield
    finally:
        set_free_calls("inf")
