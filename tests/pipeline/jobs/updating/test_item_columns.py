"""Rules of an updated run know what its items were, and what came."""

from pathlib import Path

import pyarrow as pa
import pytest

import belfry
from belfry import Recommender
from belfry.dataset.errors import InputError
from belfry.pipeline.jobs.updating.update import update
from tests.pipeline.jobs.updating.world import LIGHT, events, later

ITEMS = {
    "item_id": [2, 4, 6, 8, 10],
    "year": [1990, 2001, None, 2010, 1980],
    "mark": pa.array([0.1, 0.2, 0.3, 0.4, 0.5], pa.float32()),
    "genres": [["a", "b"], ["b"], [], None, ["c"]],
    "maker": ["x", "y", None, "x", "y"],
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("described")
    belfry.train(events(), items=pa.table(ITEMS), settings=LIGHT, artifacts=folder)
    return folder


def listed(folder: Path, where: str) -> set[object]:
    found = Recommender.load(folder).recommend(99_999, 60, where=where)
    return {place.item_id for place in found}


CONDITIONS = ["year >= 1990", "mark = 0.1", "'b' in genres", "maker = 'y'"]


def test_columns_move_with_the_numbers(run: Path, tmp_path: Path) -> None:
    update(run, later([(1, 5), (1, 7)]), artifacts=tmp_path)  # numbers between those that there were
    for where in CONDITIONS:
        assert listed(tmp_path, where) == listed(run, where), where


def test_rows_that_came_take_the_place_of_those_that_were(run: Path, tmp_path: Path) -> None:
    came = pa.table(
        {
            "item_id": [4, 5],
            "year": [1970, 2020],
            "mark": pa.array([0.1, 0.7], pa.float32()),
            "genres": [["c"], ["b", "d"]],
            "maker": [None, "z"],
        }
    )
    update(run, later([(1, 5)]), items=came, artifacts=tmp_path)
    assert listed(tmp_path, "year >= 1990") == {2, 8, 5}
    assert listed(tmp_path, "mark = 0.1") == {2, 4}
    assert listed(tmp_path, "'b' in genres") == {2, 5}
    assert listed(tmp_path, "maker = 'y'") == {4, 10}  # what is missing says nothing
    assert listed(tmp_path, "maker = 'z'") == {5}
    update(tmp_path, later([(2, 9)]), artifacts=tmp_path)
    assert listed(tmp_path, "'d' in genres") == {5}


def test_a_column_of_another_kind_is_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'year' is text in which 1 values are no numbers") as refused:
        update(run, items=pa.table({"item_id": [4], "year": ["many"]}), artifacts=tmp_path)
    assert "does not read" not in str(refused.value)
