"""What a manifest is named by, what of it is read, and how much of what is wrong is told."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from belfry.dataset.errors import ArtifactError
from belfry.pipeline.runs import manifest as module
from belfry.pipeline.runs.manifest import MAX_PRESET, Manifest, invalid_file, is_preset_name, listed, read_manifest
from tests.pipeline.small_recommender import run_called


@pytest.fixture
def sealed(tmp_path: Path) -> tuple[Manifest, Path]:
    manifest = run_called("").manifest.sealed()
    path = tmp_path / "manifest.json"
    path.write_text(manifest.to_json())
    return manifest, path


def test_sealed_again_it_has_the_name_that_it_has(sealed: tuple[Manifest, Path]) -> None:
    manifest, path = sealed
    assert manifest.sealed() == manifest == read_manifest(path)
    assert manifest.to_json() == json.dumps(json.loads(path.read_text()), indent=2) + "\n"


def test_whoever_checks_is_shown_the_bytes_that_are_read(sealed: tuple[Manifest, Path]) -> None:
    shown: list[bytes] = []
    read_manifest(sealed[1], shown.append)
    assert shown == [sealed[1].read_bytes()]


def test_a_large_one_is_not_read(sealed: tuple[Manifest, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    size = sealed[1].stat().st_size
    monkeypatch.setattr(module, "MAX_BYTES", size)
    read_manifest(sealed[1])
    monkeypatch.setattr(module, "MAX_BYTES", size - 1)
    with pytest.raises(ArtifactError, match="not readable as JSON"):
        read_manifest(sealed[1])


def test_the_longest_preset() -> None:
    assert is_preset_name("p" * MAX_PRESET)
    assert not is_preset_name("p" * (MAX_PRESET + 1))


def test_what_is_wrong_is_told_with_its_place_cut_short(sealed: tuple[Manifest, Path]) -> None:
    def told(name: str) -> str:
        with pytest.raises(ValidationError) as found:
            Manifest.model_validate(sealed[0].model_dump() | {"files": {name: {"sha256": "0", "size": "many"}}})
        return str(invalid_file("run", found.value))

    assert told("a").startswith("run: files.a.size: Input should be a valid integer")
    assert told("a" * 300).startswith(f"run: files.{'a' * 194}: Input should be")


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["a"], "1 file(s) ('a')"),
        (["a", "b", "c"], "3 file(s) ('a', 'b', 'c')"),
        (["a", "b", "c", "d"], "4 file(s) ('a', 'b', 'c' and 1 more)"),
        (["a", "b", "c", "d", "e"], "5 file(s) ('a', 'b', 'c' and 2 more)"),
        (["n" * 101], f"1 file(s) ('{'n' * 100}')"),
    ],
)
def test_files_are_counted_and_the_first_ones_named(names: list[str], text: str) -> None:
    assert listed(names) == text
