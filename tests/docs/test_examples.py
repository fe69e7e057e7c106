"""The public interface: what the reference says of each function is whole, and its example runs."""

import doctest
import inspect
import re
import shutil
from pathlib import Path

import pytest

import belfry
from belfry.pipeline import config_text
from tests.docs.world import ROOT

REFERENCE = (ROOT / "docs" / "api.md").read_text()
METHODS = {
    "Recommender": ["load", "recommend", "recommend_many", "similar_items", "similar_users"],
    "RecommendationTable": ["to_arrow", "to_pandas", "to_polars", "equals"],
}
PUBLIC = [*belfry.__all__, *(f"{kind}.{method}" for kind, methods in METHODS.items() for method in methods)]
WITHOUT_EXAMPLE = {"Recommender": "its methods have them"}
CANNOT_FAIL = {"RecommendationTable.to_arrow", "RecommendationTable.to_pandas", "RecommendationTable.equals"}


def documented(name: str) -> str:
    found: object = belfry
    for part in name.split("."):
        found = getattr(found, part)
    return inspect.getdoc(found) or ""


def test_the_reference_has_every_name_and_every_public_method() -> None:
    for name in belfry.__all__:
        assert re.search(rf"^::: belfry\.[\w.]+\.{name}$", REFERENCE, re.MULTILINE), name
    for kind, methods in METHODS.items():
        of_kind = REFERENCE.partition(f".{kind}\n")[2].partition("\n:::")[0]
        assert f"members: [{', '.join(methods)}]" in of_kind


@pytest.mark.parametrize("name", [name for name in PUBLIC if not name[0].isupper() or "." in name])
def test_a_function_says_what_can_go_wrong(name: str) -> None:
    assert ("Raises:" in documented(name)) != (name in CANNOT_FAIL)


@pytest.mark.parametrize("name", [name for name in PUBLIC if name not in WITHOUT_EXAMPLE])
def test_its_example_runs(name: str, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if name.endswith("to_polars"):
        pytest.importorskip("polars")
    folder = shutil.copytree(world, tmp_path / "world")
    monkeypatch.chdir(folder)
    monkeypatch.delenv("BELFRY_ARTIFACTS", raising=False)
    monkeypatch.setattr(config_text, "_PRESETS", folder / ".tools" / "presets")
    [example] = doctest.DocTestFinder(recurse=False).find(
        documented(name), name, globs={"Recommender": belfry.Recommender}
    )
    assert example.examples
    said: list[str] = []
    doctest.DocTestRunner(verbose=False).run(example, out=said.append)
    assert not said, "".join(said)
