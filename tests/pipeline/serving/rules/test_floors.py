"""Floors of expected ratings, against a plain reading of them over the whole order of items."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from belfry.dataset.errors import InputError
from belfry.pipeline.jobs.batch import write_batch
from belfry.pipeline.serving.recommender import Recommender
from belfry.pipeline.serving.results import Recommendation

NOBODY = 10**6
MIDDLE = 3.3  # some half of the ratings that the run expects are above


def whole(rated: Recommender, user: int, **rules: object) -> list[Recommendation]:
    """All items that a user may get, in the order without a floor."""
    return rated.recommend(user, len(rated.items), rules=rules or None)


def some(rated: Recommender) -> list[int]:
    ids: list[int] = rated.users.ids[:4].to_pylist()
    return [*ids, NOBODY]


def middle(results: list[Recommendation]) -> float:
    """A floor with ratings on both sides, and none near it."""
    ratings = np.sort([one.expected_rating for one in results])  # type: ignore[type-var]
    gaps = np.diff(ratings)
    at = len(gaps) // 4 + int(gaps[len(gaps) // 4 : -len(gaps) // 4].argmax())
    return float((ratings[at] + ratings[at + 1]) / 2)


@pytest.mark.parametrize("n", [1, 5, 60])
def test_a_list_holds_the_first_that_are_above(rated: Recommender, n: int) -> None:
    for user in some(rated):
        every = whole(rated, user)
        floor = middle(every)
        above = [one.item_id for one in every if one.expected_rating >= floor]  # type: ignore[operator]
        below = [one.item_id for one in every if one.expected_rating < floor]  # type: ignore[operator]
        assert above
        assert below
        for where in (f"expected_rating >= {floor}", f"{floor} <= expected_rating", f"expected_rating > {floor}"):
            assert [one.item_id for one in rated.recommend(user, n, where=where)] == above[:n]
        assert [one.item_id for one in rated.recommend(user, n, where=f"expected_rating < {floor}")] == below[:n]


def test_a_floor_goes_with_conditions_quotas_and_reasons(rated: Recommender) -> None:
    for user in some(rated):
        every = whole(rated, user)
        floor, wanted = middle(every), "release_year >= 2000"
        of_items = {one.item_id for one in rated.recommend(user, 60, where=wanted)}
        both = [one.item_id for one in every if one.expected_rating >= floor and one.item_id in of_items]  # type: ignore[operator]
        for where in (f"{wanted} and expected_rating >= {floor}", f"(expected_rating >= {floor} and ({wanted}))"):
            assert [one.item_id for one in rated.recommend(user, 60, where=where, explain=True)] == both
        rules = {"at_most": {"release_year": 1}, "where": f"expected_rating >= {floor}"}
        quota = rated.recommend(user, 5, rules=rules)
        assert all(one.expected_rating >= floor for one in quota)  # type: ignore[operator]
        assert [one.rank for one in quota] == list(range(1, len(quota) + 1))


def test_tables_hold_to_a_floor(rated: Recommender, tmp_path: Path) -> None:
    users = some(rated)
    table = rated.recommend_many(users, 5, where=f"expected_rating >= {MIDDLE}")
    alone = [one.item_id for user in users for one in rated.recommend(user, 5, where=f"expected_rating >= {MIDDLE}")]
    assert table["item_id"].to_pylist() == alone
    assert min(table["expected_rating"].to_pylist()) >= MIDDLE
    result = write_batch(rated, tmp_path, n=5, where=f"expected_rating >= {MIDDLE}")
    assert min(pq.read_table(result.path)["expected_rating"].to_pylist()) >= MIDDLE
    none = write_batch(rated, tmp_path, n=5, where="expected_rating >= 99")
    assert none.n_rows == 0
    assert {left.reason for left in none.left_out} == {"no item that the rules allow is left"}
    bound = rated.bound(None, "expected_rating >= 3.5")
    assert bound is not None
    assert bound.why_fewer() == "60 of 60 items may be listed, to each user by expected_rating >= 3.5 alone"


@pytest.mark.parametrize(
    "where",
    [
        "expected_rating >= 3 or release_year >= 1990",
        "not expected_rating >= 3",
        "expected_rating == 3",
        "expected_rating in [3, 4]",
        "expected_rating is None",
        "expected_rating >= 'good'",
        "expected_rating >= release_year",
    ],
)
def test_other_forms_are_refused(rated: Recommender, where: str) -> None:
    with pytest.raises(InputError, match=r"expected_rating is of a user and an item together: compare it with a numb"):
        rated.recommend(NOBODY, 3, where=where)


def test_what_contradicts_a_floor_is_refused(rated: Recommender, tiny_run: Path) -> None:
    pinned = {"where": "expected_rating >= 3", "pinned": [{"item_id": rated.items.ids[0].as_py(), "place": 1}]}
    with pytest.raises(InputError, match="pinned and a floor of expected_rating contradict each other"):
        rated.recommend(NOBODY, 3, rules=pinned)
    with pytest.raises(InputError, match=r"no model of run .* expects ratings, so nothing has an expected_rating; tra"):
        Recommender.load(tiny_run).recommend(NOBODY, 3, where="expected_rating >= 3")
