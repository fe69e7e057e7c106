"""The page of rows: each row has tests that are there, ranges are read, outcomes are kept."""

import ast
from dataclasses import replace

import pytest

from benchmarks.leaderboard.results import ROOT
from benchmarks.reliability import ROWS, Outcome, Row, chosen_rows, page, read_outcomes


def test_every_row_once() -> None:
    assert [row.number for row in ROWS] == list(range(1, 40))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row.number))
def test_tests_of_a_row_are_there(row: Row) -> None:
    names = set()
    for place in row.tests:
        path = ROOT / place
        files = sorted(path.rglob("test_*.py")) if path.is_dir() else [path]
        for file in files:
            functions = (node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.FunctionDef))
            names |= {f"{file.name} {node.name}" for node in functions if node.name.startswith("test_")}
    assert names
    if " not " not in f" {row.chosen} ":
        for word in filter(None, row.chosen.split(" or ")):
            assert any(word in name for name in names), word


def test_rows_by_ranges() -> None:
    assert chosen_rows("1,4-7") == {1, 4, 5, 6, 7}


def test_outcomes_are_kept_by_the_page(tmp_path) -> None:
    outcomes = {1: Outcome(3, 0, [], 1.5, "2026-01-01", "abc"), 2: Outcome(1, 1, ["test_x"])}
    (path := tmp_path / "page.md").write_text(page(outcomes))
    assert read_outcomes(path) == outcomes
    assert "| **fails**: test_x |" in path.read_text()
    assert "| 3 | 0 | holds |" in path.read_text()
    assert replace(outcomes[1], n_passed=0).text == "not tried here"
    assert read_outcomes(tmp_path / "none.md") == {}
