"""Ratings that mean not rated: by a setting, and a note where they look like it."""

import pyarrow as pa

from belfry.dataset.tables import Tables
from belfry.dataset.validation.check import check, check_later
from belfry.dataset.validation.policy import Policy


def rated(ratings: list[object]) -> pa.Table:
    return pa.table(
        {"user_id": [row % 3 for row in range(len(ratings))], "item_id": range(len(ratings)), "rating": ratings}
    )


def test_marks_that_mean_not_rated() -> None:
    policy = Policy(rating_missing=(0, -1), rating_range=(1, 5))
    checked, report = check(Tables(rated([0, 5, -1, 3, None])), policy)
    assert checked.interactions["rating"].to_pylist() == [None, 5, None, 3, None]
    assert report.lines() == [
        "note: interactions: column 'rating' has 2 ratings of 0, -1, which data.rating_missing takes for not rated "
        "(first in row 0); taken for none"
    ]
    later = check_later(rated([0, 5, -1]), policy.of_ids_and_ratings, rated_and_timed=True)
    assert later["rating"].to_pylist() == [None, 5, None]


def test_a_column_without_a_rating_is_told() -> None:
    for empty in (float("nan"), None):
        _, report = check(Tables(rated([empty] * 4)))
        assert report.lines()[-1] == (
            "note: interactions: column 'rating' has no rating in 4 rows; each is read as watched and not rated"
        )
    check_later(rated([None]), Policy().of_ids_and_ratings, rated_and_timed=True)  # a day without one is none to tell


def test_marks_that_look_like_not_rated_are_named() -> None:
    for mark in (0, -1):
        (note,) = check(Tables(rated([mark] * 4 + [3, 4, 5, 5])))[1].lines()
        assert note == (
            f"note: interactions: column 'rating' is {mark} in 4 of 8 rows, and the others go from 3 to 5: if it means "
            f"not rated, --set 'data.rating_missing=[{mark}]'"
        )


def test_scales_that_begin_at_zero_need_no_word() -> None:
    for ratings in (
        [0, 1] * 4,
        [0, 0, 1, 1, 1, 2, 3],
        [0, 1, 2, 3, 4, 5],
        [1] * 6 + [2, 3],
        [0] * 8,
        [0.0, 0.5, 1.0, 0.2],
    ):
        assert check(Tables(rated(ratings)))[1].lines() == []


def test_words_for_null_in_text() -> None:
    checked, report = check(Tables(rated(["4", "NULL", " n/a ", "3.5"])))
    assert checked.interactions["rating"].to_pylist() == [4, None, None, 3.5]
    assert report.lines() == [
        "note: interactions: column 'rating' holds 'NULL', ' n/a ' in 2 rows (first in row 1); read as null",
        "note: interactions: column 'rating' is string; read as float",
    ]
