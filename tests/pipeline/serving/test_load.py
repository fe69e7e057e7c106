"""The list of sources of a run is read with care: no name in it leads out of the run's folder."""

import json
from pathlib import Path

import pytest

from belfry.dataset.errors import ArtifactError
from belfry.pipeline.config import PipelineConfig
from belfry.pipeline.serving.load import SOURCES_ADAPTER, SOURCES_FILE, load_serving, read_sources

NAMED = {name: source.model_copy(update={"weight": 0.5}) for name, source in PipelineConfig().named_sources.items()}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """As training writes it."""
    path = tmp_path / SOURCES_FILE
    path.write_bytes(SOURCES_ADAPTER.dump_json(NAMED))
    return path


def edit(path: Path, **changed: str) -> None:
    """Give sources other names."""
    named = json.loads(path.read_text())
    path.write_text(json.dumps({changed.get(name, name): source for name, source in named.items()}))


def test_what_was_written_is_read(path: Path) -> None:
    assert read_sources(path) == NAMED


@pytest.mark.parametrize(
    "name", ["../../x", "..", ".", "", "/etc", "a/b", "a\\b", "C:x", "Two", "two tower", "two_tower\n", "x" * 101]
)
def test_names_that_are_no_folder_of_the_run_are_refused(path: Path, name: str) -> None:
    for source in ("two_tower", "popularity"):
        edit(path, **{source: name})
        with pytest.raises(ArtifactError, match=r"sources\.json: source .* cannot be a folder of the run; .*publish"):
            read_sources(path)
        edit(path, **{name: source})


def test_nothing_outside_is_opened(path: Path, tmp_path: Path) -> None:
    """Vectors lie where the name leads to; they are not asked for."""
    edit(path, two_tower="../../outside")
    with pytest.raises(ArtifactError, match="cannot be a folder of the run"):
        load_serving(tmp_path, None, PipelineConfig(), gate_is_open=False)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["", "[]", '{"two_tower": 5}', '{"two_tower": {"model": {"kind": "forest"}}}'])
def test_a_list_of_another_form_is_refused(path: Path, text: str) -> None:
    path.write_text(text)
    with pytest.raises(ArtifactError, match=r"sources\.json: .*; publish again"):
        read_sources(path)


@pytest.mark.parametrize("named", ["{}", '{"ease": {"model": {"kind": "ease"}, "weight": 1}}'])
def test_a_first_source_without_towers_is_refused(path: Path, named: str) -> None:
    path.write_text(named)
    with pytest.raises(ArtifactError, match="the first source has no towers"):
        read_sources(path)


def test_a_source_without_a_weight_is_refused(path: Path) -> None:
    path.write_bytes(SOURCES_ADAPTER.dump_json(PipelineConfig().named_sources))
    with pytest.raises(ArtifactError, match="source 'two_tower' has no weight; publish again"):
        read_sources(path)
