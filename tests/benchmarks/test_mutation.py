"""The page of mutation tests: what it names is there, what it keeps comes back, and what is explained is no failure."""

from pathlib import Path

import pytest

from benchmarks import mutation
from benchmarks.mutation import AREAS, ROOT, Area, Outcome, Survivor, page, read_outcomes


@pytest.mark.parametrize("area", AREAS, ids=lambda area: area.name)
def test_files_and_tests_of_an_area_are_there(area: Area) -> None:
    assert all((ROOT / "belfry" / name).is_file() for name in area.files)
    assert all((ROOT / "tests" / name).exists() for name in area.tests)


def test_outcomes_are_kept_by_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mutation, "PAGE", tmp_path / "page.md")
    assert read_outcomes() == {}
    survivors = [Survivor("a.b", "x | y --> z", "x", "none could tell"), Survivor("a.c", "1", "2")]
    outcomes = {"metrics": Outcome({"caught": 7, "survived": 2}, survivors, "2026-01-01", "0" * 16)}
    mutation.PAGE.write_text(page(outcomes))
    assert read_outcomes() == outcomes
    assert [one.function for one in outcomes["metrics"].unexplained] == ["a.c"]
    assert "| metrics | `evaluation/metrics.py` | 9 | 7 | 1 | 1 | 2026-01-01 | 00000000 |" in mutation.PAGE.read_text()


def test_an_explanation_names_its_function_and_a_part_of_the_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mutation, "EXPLAINED", tmp_path / "explained.toml")
    mutation.EXPLAINED.write_text('[[explained]]\nfunction = "a.b"\nwas = "x > 1"\nnow = "x >= [12]"\nwhy = "so"\n')
    assert mutation._explanation("room.a.b", "if x > 1:", "if x >= 1:") == "so"
    assert mutation._explanation("room.a.c", "if x > 1:", "if x >= 1:") == ""
    assert mutation._explanation("room.a.b", "if y > 1:", "if x >= 1:") == ""
    assert mutation._explanation("room.a.b", "if x > 1:", "if x < 1:") == ""
