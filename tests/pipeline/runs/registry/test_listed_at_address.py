"""The runs of an address: listed, verified, gone back to and removed there, and not only in copies of them."""

import json

import pytest
from typer.testing import CliRunner

from belfry.dataset.errors import ArtifactError, InputError
from belfry.pipeline.cli.commands import app
from belfry.pipeline.runs.reader import current_run, open_run
from belfry.pipeline.runs.registry.listed import list_runs, remove_runs, roll_back, to_prune
from belfry.pipeline.runs.remote.copies import local_folder
from tests.pipeline.runs.remote.conftest import (  # noqa: F401
    Place,
    memory_place,
    own_cache,
    place,
    s3,
    s3_place,
    s3_server,
)


@pytest.fixture
def three(place: Place) -> list[str]:  # noqa: F811
    """Names of runs, the oldest first."""
    return [place.publish(text).name for text in "xyz"]


def test_they_are_listed(place: Place, three: list[str]) -> None:  # noqa: F811
    place.write("recommendations/x/current.json", b"{}")
    place.write(f"{three[0]}/manifest.json", b"{")
    found = list_runs(place.path)
    assert [(run.name, run.is_current) for run in found] == [
        (three[2], True),
        (three[1], False),
        (three[0], False),
    ]
    assert found[2].damage.startswith(f"{place.address}/{three[0]}/manifest.json: not readable as JSON")
    assert [run.name for run in to_prune(place.path, 1)] == [three[1]]


def test_an_address_without_runs(place: Place) -> None:  # noqa: F811
    for call in (list_runs, current_run, roll_back):
        with pytest.raises(ArtifactError, match=f"^{place.address}: no artifacts folder, .*train first"):
            call(place.path)


def test_going_back(place: Place, three: list[str]) -> None:  # noqa: F811
    assert roll_back(place.path) == (three[2], three[1])
    assert place.read("current").decode() == f"{three[1]}\n"
    assert open_run(place.path).name == three[1]
    with pytest.raises(InputError, match=f"^{place.address}: {three[1]} is the current run already"):
        roll_back(place.path, three[1])
    with pytest.raises(InputError, match=f"^{place.address}: there is no run 'nothing'; there are {three[2]}, "):
        roll_back(place.path, "nothing")


def test_going_back_to_a_run_that_is_damaged_there(place: Place, three: list[str]) -> None:  # noqa: F811
    open_run(place.path / three[0])
    place.write(f"{three[0]}/weights.bin", bytes(99) + b"?")
    with pytest.raises(ArtifactError, match=r"weights\.bin"):
        roll_back(place.path, three[0])
    assert current_run(place.path).name == three[2]
    assert open_run(place.path / three[0]).path("weights.bin").read_bytes() == bytes(100)  # the copy is as it was


def test_removing(place: Place, three: list[str]) -> None:  # noqa: F811
    assert remove_runs(place.path, [three[0], three[2], "nothing"]) == [three[0]]
    assert {name.partition("/")[0] for name in place.names()} == {"current", *three[1:]}
    assert not (local_folder(place.path) / three[0]).exists()


def test_the_verbs(place: Place, three: list[str]) -> None:  # noqa: F811
    def answer(*words: object, code: int = 0) -> str:
        result = CliRunner().invoke(app, ["runs", *map(str, words), "--artifacts", place.address])
        assert result.exit_code == code, result.output
        return result.output

    assert answer("list").startswith(f"* {three[2]}")
    assert json.loads(answer("show", three[1], "--json"))["name"] == three[1]
    assert answer("rollback") == f"current run: {three[1]}, before: {three[2]}\n"
    assert answer("prune", "--keep", 1).startswith(f"removed {three[0]}")
    place.write(f"{three[2]}/weights.bin", bytes(99) + b"?")
    assert "file 'weights.bin' has 100 bytes" in answer("verify", three[2], code=2)
