"""What the map of items is coloured by."""

import numpy as np
import pyarrow as pa
import pytest

from belfry.dataset.errors import InputError
from belfry.dataset.features import FeatureColumns
from belfry.dataset.sources.reading import AS_IT_IS
from belfry.dataset.vocabulary import Vocabulary
from belfry.evaluation.reports.exploration.result import Colouring
from belfry.pipeline.jobs.look.item_columns import (
    MAX_LABELS,
    colourings_of_run,
    colourings_of_table,
    read_items,
    titles_of_table,
)

IDS = Vocabulary(pa.array([10, 20, 30, 40]))
ALL = np.array([1, 2, 3, 4], np.int32)


def of_table(**columns: object) -> list[Colouring]:
    return list(colourings_of_table(pa.table({"item_id": [40, 30, 20], **columns}), IDS, ALL))


def test_numbers_keep_their_values_and_items_without_a_row_have_none() -> None:
    (found,) = of_table(price=[4.0, None, 2.0])
    assert (found.name, found.kind, found.values) == ("price", "number", (None, 2.0, None, 4.0))


def test_items_come_in_the_order_of_the_map() -> None:
    table = pa.table({"item_id": [40, 30, 20, 10], "price": [4, 3, 2, 1]})
    (found,) = colourings_of_table(table, IDS, np.array([4, 1], np.int32))
    assert found.values == (4.0, 1.0)


@pytest.mark.parametrize("genres", [["war|noir", "war", "noir"], [["war", "noir"], ["war"], ["noir"]]])
def test_an_item_has_the_colour_of_its_commonest_genre(genres: list[object]) -> None:
    (found,) = of_table(genres=genres)
    assert found.kind == "category"
    assert [None if value is None else found.labels[int(value)] for value in found.values] == [
        None,
        "noir",
        "war",
        found.labels[0],
    ]


def test_rare_categories_are_put_together() -> None:
    ids = Vocabulary(pa.array(list(range(100))))
    groups = [f"g{min(item // 2, 30)}" for item in range(100)]
    (found,) = colourings_of_table(
        pa.table({"item_id": list(range(100)), "group": groups}), ids, np.arange(1, 101, dtype=np.int32)
    )
    assert len(found.labels) == MAX_LABELS
    assert found.labels[0] == "g30"
    assert None in found.values


def test_what_tells_no_items_apart_is_no_colour() -> None:
    assert of_table(same=["a", "a", "a"], own=["a", "b", "c"], title=["x", "y", "z"]) == []


def test_years_in_titles_are_a_colour() -> None:
    (found,) = of_table(title=["A (1990)", "B (2001)", "C"])
    assert (found.name, found.values) == ("year", (None, None, 2001.0, 1990.0))


def test_titles_follow_the_vocabulary() -> None:
    found = titles_of_table(pa.table({"item_id": [40, 10], "title": ["forty", "ten"]}), IDS)
    assert found is not None
    assert found.to_pylist() == ["ten", None, None, "forty"]


def test_ids_of_another_table_are_refused() -> None:
    with pytest.raises(InputError, match="none of its ids is in the run"):
        titles_of_table(pa.table({"item_id": [1], "title": ["a"]}), IDS)
    with pytest.raises(InputError, match="its ids are string, those of the run int64"):
        titles_of_table(pa.table({"item_id": ["x"], "title": ["a"]}), IDS)


def test_columns_that_a_run_keeps_have_no_names_of_categories() -> None:
    features = FeatureColumns(
        categorical={"studio": np.array([0, 1, 2, 2], np.int32), "price_bucket": np.array([0, 1, 1, 2], np.int32)},
        numeric={"price": np.array([0, -1, 0, 1], np.float32)},
        multi_valued={"genres": np.array([[0, 0], [1, 2], [2, 0], [0, 0]], np.int32)},
        sizes={"studio": 3, "price_bucket": 3, "genres": 3},
        tenths={"price_bucket": "price"},
    )
    found = {one.name: one for one in colourings_of_run(features, np.array([1, 2, 3], np.int32))}
    assert set(found) == {"studio", "price", "genres"}
    assert found["price"].values == (-1.0, 0.0, 1.0)
    assert found["studio"].labels == ("category 2", "category 1")
    assert found["studio"].values == (1, 0, 0)
    assert found["genres"].values[2] is None


def test_a_source_without_items_is_refused(tmp_path) -> None:
    path = tmp_path / "things.csv"
    path.write_text("thing,colour\n1,red\n")
    with pytest.raises(InputError, match="has no column 'item_id'"):
        read_items(str(path), AS_IT_IS, None)
