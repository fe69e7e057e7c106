"""Item columns: what is written comes back, and damaged content is refused by the name of the column."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from belfry.dataset.errors import ArtifactError
from belfry.dataset.vocabulary import Vocabulary
from belfry.layers.saved.files import read_arrays, write_arrays
from belfry.pipeline.serving.recommender import Recommender
from belfry.pipeline.serving.rules.item_columns import (
    ITEM_COLUMNS,
    LabelColumn,
    NumberColumn,
    load_item_columns,
    save_item_columns,
)

ITEMS = Vocabulary(pa.array(["a", "b", "c"]))
TABLE = pa.table(
    {
        "item_id": ["c", "a", "x"],  # b has no row, and x is in no vocabulary
        "title": ["See", "Aye", "Ex"],
        "size": pa.array([2**60 + 1, None, 3], pa.int64()),
        "weight/kg": pa.array([0.1, float("nan"), 1], pa.float32()),
        "tags": [["é", "b", "b"], [], ["q"]],
        "kind": pa.array([None, "k", "l"]),
        "nothing": pa.nulls(3),
        "vector": pa.array([[1, 2], None, [3, 4]], pa.list_(pa.float32(), 2)),  # of which no rule asks
    }
)


def test_columns_come_back_in_the_order_of_numbers(tmp_path: Path) -> None:
    save_item_columns(TABLE, ITEMS, tmp_path)
    found = load_item_columns(tmp_path / ITEM_COLUMNS, 3)
    assert set(found) == {"size", "weight/kg", "tags", "kind"}
    size, weight, tags, kind = found["size"], found["weight/kg"], found["tags"], found["kind"]
    assert isinstance(size, NumberColumn) and isinstance(weight, NumberColumn)
    assert size.values[3] == 2**60 + 1 and size.missing.tolist() == [True, True, True, False]
    assert weight.values[3] == 0.1 and weight.missing.tolist() == [True, True, True, False]
    assert isinstance(tags, LabelColumn) and isinstance(kind, LabelColumn)
    assert tags.is_list and [tags.labels[code] for code in tags.codes] == ["b", "é"]
    assert tags.item_num.tolist() == [3, 3] and tags.missing.tolist() == [True, True, True, False]
    assert not kind.is_list and kind.item_num.tolist() == [1] and kind.labels[kind.codes[0]] == "k"


@pytest.mark.parametrize("table", [None, TABLE.select(["item_id", "title", "nothing", "vector"])])
def test_without_columns_there_is_no_file(tmp_path: Path, table: pa.Table | None) -> None:
    save_item_columns(table, ITEMS, tmp_path)
    assert not [*tmp_path.iterdir()] and load_item_columns(tmp_path / ITEM_COLUMNS, 3) == {}


@pytest.mark.parametrize(
    ("array", "value"),
    [
        ("number/size", np.zeros(3, np.int64)),
        ("number/size", np.zeros(4, np.int32)),
        ("missing/size", np.zeros(4, np.int64)),
        ("missing/size", None),
        ("starts/tags", np.array([0, 1, 1, 1, 1])),
        ("starts/tags", np.array([0, 2, 1, 1, 2])),
        ("starts/tags", np.array([0, 2])),
        ("codes/tags", np.array([0, 2], np.int32)),
        ("codes/tags", np.array([0, -1], np.int32)),
        ("codes/tags", np.array([0.0, 1.0])),
        ("codes/tags", np.array([[0], [1]], np.int32)),
        ("ends/tags", np.array([0, 1, 99])),
        ("ends/tags", np.array([0, 2, 3])),  # in the middle of a letter
        ("text/tags", np.array([255, 255, 255], np.uint8)),
        ("list/tags", np.array([True])),
    ],
)
def test_damaged_content_is_refused(tmp_path: Path, array: str, value: np.ndarray | None) -> None:
    save_item_columns(TABLE, ITEMS, tmp_path)
    path = tmp_path / ITEM_COLUMNS
    arrays = read_arrays(path)
    arrays = {name: found for name, found in arrays.items() if name != array} | (
        {} if value is None else {array: value}
    )
    write_arrays(path, arrays)
    with pytest.raises(ArtifactError, match=f"column '{array.partition('/')[2]}' is damaged"):
        load_item_columns(path, 3)


@pytest.mark.parametrize("smallest_map", [1, 1 << 20])
def test_the_file_is_sealed_and_what_becomes_of_it_does_not_reach_a_loaded_run(
    shaped_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, smallest_map: int
) -> None:
    monkeypatch.setattr("belfry.pipeline.runs.sealed._LARGE", smallest_map)
    run = tmp_path / shaped_run.name
    for path in shaped_run.rglob("*"):
        if path.is_file():
            (run / path.relative_to(shaped_run)).parent.mkdir(parents=True, exist_ok=True)
            (run / path.relative_to(shaped_run)).write_bytes(path.read_bytes())
    recommender = Recommender.load(run)
    content = (run / ITEM_COLUMNS).read_bytes()
    (tmp_path / "changed").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    (tmp_path / "changed").replace(run / ITEM_COLUMNS)
    with pytest.raises(ArtifactError, match=r"file 'item_columns\.npz' has"):
        Recommender.load(run)
    shutil.rmtree(run)
    wanted = Recommender.load(shaped_run).recommend(1, where="year > 1")
    assert recommender.recommend(1, where="year > 1") == wanted != []
