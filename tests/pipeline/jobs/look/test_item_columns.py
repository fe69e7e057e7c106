"""What the map of items is coloured by."""

from dataclasses import replace
from datetime import date
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from belfry import Recommender
from belfry.dataset.errors import InputError
from belfry.dataset.sources.reading import AS_IT_IS, Reading
from belfry.dataset.vocabulary import Vocabulary
from belfry.evaluation.reports.exploration.result import Colouring
from belfry.pipeline.jobs.look.item_columns import (
    MAX_COLUMNS,
    MAX_LABELS,
    colourings_of_table,
    items_of_run,
    of_no_colour,
    read_items,
    titles_of_table,
)
from tests.pipeline.conftest import item_table

IDS = Vocabulary(pa.array([10, 20, 30, 40]))
ALL = np.array([1, 2, 3, 4], np.int32)


def of_table(**columns: object) -> list[Colouring]:
    found, _ = colourings_of_table(pa.table({"item_id": [40, 30, 20], **columns}), IDS, ALL)
    return found


def test_numbers_keep_their_values_and_items_without_a_row_have_none() -> None:
    (found,) = of_table(price=[4.0, None, 2.0])
    assert (found.name, found.kind, found.values) == ("price", "number", (None, 2.0, None, 4.0))


def test_items_come_in_the_order_of_the_map() -> None:
    table = pa.table({"item_id": [40, 30, 20, 10], "price": [4, 3, 2, 1]})
    ((found,), _) = colourings_of_table(table, IDS, np.array([4, 1], np.int32))
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
    ((found,), _) = colourings_of_table(
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


def test_dates_are_coloured_by_their_year() -> None:
    days = pa.array([date(1990, 5, 1), None, date(2001, 1, 1)])
    (found,) = of_table(opened=days)
    assert (found.name, found.kind, found.values) == ("opened", "number", (None, 2001.0, None, 1990.0))


def test_a_column_is_coloured_whatever_it_holds_and_the_others_are_named() -> None:
    table = pa.table({"item_id": [40, 30, 20], "open": [True, False, True], "same": [1, 1, 1], "own": ["a", "b", "c"]})
    found, without = colourings_of_table(table, IDS, ALL)
    assert [(one.name, one.labels) for one in found] == [("open", ("true", "false"))]
    assert without == ["same", "own"]
    assert of_no_colour(without).startswith("No colours for 'same', 'own': a column that has one")


def test_columns_beyond_the_most_are_named() -> None:
    table = pa.table({"item_id": [40, 30, 20], **{f"n{place}": [1, 2, 3] for place in range(MAX_COLUMNS + 9)}})
    found, without = colourings_of_table(table, IDS, ALL)
    assert len(found) == MAX_COLUMNS
    assert without == [f"n{MAX_COLUMNS + place}" for place in range(9)]
    assert "'n37' and 1 more: " in of_no_colour(without)


def test_a_name_of_no_colour_moves_no_terminal() -> None:
    assert "\x1b" not in of_no_colour(["\x1b[2J"])


def test_a_run_keeps_its_table_of_items_as_it_was_read(shaped: Recommender) -> None:
    given, kept = item_table(), items_of_run(shaped)
    assert kept["item_id"].to_pylist() == shaped.items.ids.to_pylist()
    by_id = {row["item_id"]: row for row in kept.to_pylist()}
    for row in given.to_pylist():
        own = by_id[row["item_id"]]
        assert sorted(own["genres"]) == sorted(row["genres"] or [])
        assert {name: own[name] for name in ("title", "artist", "year", "closes_s")} == {
            name: row[name] for name in ("title", "artist", "year", "closes_s")
        }
        assert own["price"] == pytest.approx(row["price"])


def test_a_run_colours_by_its_own_columns_with_their_names(shaped: Recommender) -> None:
    items = np.arange(1, len(shaped.items) + 1, dtype=np.int32)
    found, without = colourings_of_table(items_of_run(shaped), shaped.items, items)
    kinds = {one.name: one.kind for one in found}
    assert kinds == {
        "year": "number",
        "genres": "category",
        "artist": "category",
        "price": "number",
        "opens": "category",
    }
    assert without == ["closes_s"]
    artists = next(one for one in found if one.name == "artist")
    ids = shaped.items.ids.to_pylist()
    named = {
        item: None if at is None else artists.labels[int(at)] for item, at in zip(ids, artists.values, strict=True)
    }
    assert named == {item: None if item == 5 else f"a{item % 4}" for item in ids}


def test_numbers_that_are_categories_to_a_run_are_so_on_the_map(shaped: Recommender) -> None:
    kinds = replace(shaped.features.items, categorical={**shaped.features.items.categorical, "year": ALL})
    with_codes = replace(shaped.features, items=kinds)
    run = SimpleNamespace(run=shaped.run, items=shaped.items, titles=shaped.titles, features=with_codes)
    assert items_of_run(run)["year"].type == pa.string()  # type: ignore[arg-type]


def test_a_source_without_items_is_refused(tmp_path) -> None:
    path = tmp_path / "things.csv"
    path.write_text("thing,colour\n1,red\n")
    with pytest.raises(InputError, match="has no column 'item_id'"):
        read_items(str(path), AS_IT_IS, None)


def test_tables_of_a_folder_are_read_as_the_reading_says(tmp_path) -> None:
    (tmp_path / "interactions.csv").write_text("user_id;book\n1;10\n", encoding="latin-1")
    (tmp_path / "items.csv").write_text("book;kind\n10;Märchen\n", encoding="latin-1")
    reading = Reading.of({"item_id": "book"}, ";", "latin-1")
    assert read_items(str(tmp_path), reading, None).to_pylist() == [{"item_id": 10, "kind": "Märchen"}]
