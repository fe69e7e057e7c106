"""Ratings, release years and commonest values."""

import numpy as np
import pyarrow as pa
import pytest

from belfry.dataset.interactions import Interactions
from belfry.evaluation.reports.description.values import ratings_of, release_years, top_values, years_of


def history(item_id: list[int], rating: list[float | None] | None = None) -> Interactions:
    table = pa.table({"user_id": list(range(len(item_id))), "item_id": item_id})
    if rating is not None:
        table = table.append_column("rating", pa.array(rating, pa.float32()))
    return Interactions.from_table(table)


def test_each_rating_has_a_bar_and_missing_ones_are_counted() -> None:
    found = ratings_of(history([1, 2, 3, 4], [5, 1, None, 5]))
    assert found is not None
    assert found.histogram == (("1", 1), ("5", 2))
    assert (found.n, found.n_without) == (3, 1)
    assert found.mean == pytest.approx(11 / 3)
    assert ratings_of(history([1, 2])) is None


def test_many_different_ratings_are_put_together() -> None:
    found = ratings_of(history(list(range(100)), [float(place) for place in range(100)]))
    assert found is not None
    assert [count for _, count in found.histogram] == [10] * 10


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("year", [1994, None, 2001]),
        ("release_date", ["1994-05-01", None, "01-Jan-2001"]),
        ("title", ["A (1994)", "B", "C 1990 (2001)"]),
    ],
)
def test_years_are_found_where_people_write_them(column: str, values: list[object]) -> None:
    found = release_years(pa.table({"item_id": [1, 2, 3], column: values}))
    assert found is not None
    assert found[0] == column
    np.testing.assert_array_equal(found[1], [1994, np.nan, 2001])


def test_numbers_that_are_no_years_are_none() -> None:
    assert release_years(pa.table({"item_id": [1, 2], "year": [5, 70_000]})) is None
    assert release_years(pa.table({"item_id": [1, 2], "title": ["1984", "Metropolis"]})) is None
    assert release_years(None) is None


def test_years_of_items_and_of_watches() -> None:
    found = years_of(pa.table({"item_id": [1, 2], "year": [2000, 2002]}), history([1, 1, 1, 2]))
    assert found is not None
    assert found.items == ((2000, 0.5), (2001, 0), (2002, 0.5))
    assert found.watches == ((2000, 0.75), (2001, 0), (2002, 0.25))


def test_commonest_values_by_rows_and_by_watches() -> None:
    items = pa.table({"item_id": [1, 2, 3, 4], "genres": [["war", "noir"], ["war"], [], None]})
    (found,) = top_values(items, "items", history([1, 1, 1, 2]))
    assert (found.column, found.n_values) == ("genres", 2)
    assert found.shares == {"war": (0.5, 1.0), "noir": (0.25, 0.75)}


def test_columns_of_which_each_row_has_its_own_value_are_left_out() -> None:
    items = pa.table({"item_id": list(range(40)), "code": [f"c{place}" for place in range(40)]})
    assert top_values(items, "items", history([1, 2])) == []
