"""`where` over the columns of a run: the items that it keeps, by hand; and what cannot be asked."""

from collections.abc import Callable

import numpy as np
import pytest

from belfry.dataset.errors import InputError
from belfry.pipeline.serving.recommender import Recommender

Keeps = Callable[[int], bool]


def kept(shaped: Recommender, where: str) -> list[int]:
    bound = shaped.bound(None, where)
    assert bound is not None
    return np.flatnonzero(bound.allowed()).tolist()  # item i has number i


@pytest.mark.parametrize(
    ("where", "keeps"),
    [
        ("year >= 2000", lambda item: item >= 10 and item != 6),
        ("2000 <= year < 2010", lambda item: 10 <= item < 20),
        ("year != 2000", lambda item: item != 10),  # what is missing equals nothing
        ("not (year < 2000)", lambda item: item >= 10 or item == 6),
        ("year is None", lambda item: item == 6),
        ("year in [1991, 1992.0, 7]", lambda item: item in (1, 2)),
        ("year not in (1991)", lambda item: item != 1),
        ("year in []", lambda item: False),
        ("price == 0.3", lambda item: item == 3),  # float32 in the table
        ("price < year", lambda item: item != 6),
        ("'all' in genres", lambda item: item % 2 == 1 and item != 5),
        ("'all' not in genres", lambda item: item % 2 == 0 or item == 5),
        ("'g0' in genres and 'all' in genres", lambda item: item % 3 == 0 and item % 2 == 1),
        ("'nobody' in genres", lambda item: False),
        ("genres is None", lambda item: item == 5),
        ("artist == 'a1' or artist > 'a2'", lambda item: item % 4 in (1, 3) and item != 5),
        ("artist in ['a0', 'a1', 'zz']", lambda item: item % 4 in (0, 1) and item != 5),
        ("'ilm 1' in title", lambda item: str(item).startswith("1")),
        ("title == 'Film 7'", lambda item: item == 7),
        ("item_id > 28 or `item_id` == 1", lambda item: item in (1, 29, 30)),
        ("year >= 99999999999999999999", lambda item: False),
        ("closes_s > '2096-10-01'", lambda item: item % 5 != 0),  # at 07:06:40 on the 2nd, UTC
        ("closes_s == '2096-10-02T09:06:40+02:00'", lambda item: item % 5 != 0),
        ("'2096-10-03' <= closes_s", lambda item: False),
    ],
)
def test_the_items_that_it_keeps(shaped: Recommender, where: str, keeps: Keeps) -> None:
    assert kept(shaped, where) == [item for item in range(1, 31) if keeps(item)]


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("yaer > 1", "no column 'yaer'; there are 'item_id', 'title', 'genres', 'artist', 'year', 'price', 'opens'"),
        ("year > '1990'", "'year' holds numbers, and '1990' is none"),
        ("year > '1990-01-01'", "'year' holds numbers up to 2,020, which are no UTC seconds of our time"),
        ("closes_s > '2096-13-01'", "'2096-13-01' in column 'closes_s' is no date; wanted such as 2026-01-31T12:00Z"),
        ("artist == 1", "'artist' holds text, and 1 is none"),
        ("artist in ['a', 1]", "'artist' holds text, and 1 is none"),
        ("genres == 'g1'", "'genres' holds lists; write 'g1' in genres"),
        ("genres in ['g1']", "'genres' holds lists; write 'label' in genres"),
        ("1 in year", "'year' holds numbers; write year == 1"),
        ("1 in genres", "'genres' holds text, and 1 is none"),
        ("1 == 1", "compares no column with one value"),
        ("year == [1990]", "compares no column with one value"),
        ("artist in genres", "cannot be asked; write COLUMN in"),
        ("artist < genres", "'artist' holds text, a number is wanted"),
    ],
)
def test_what_cannot_be_asked(shaped: Recommender, where: str, words: str) -> None:
    with pytest.raises(InputError) as refused:
        shaped.recommend(1, where=where)
    assert words in str(refused.value)
