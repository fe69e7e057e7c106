"""Lists and tables as notebooks show them, and the ways to pandas and Polars."""

import copy
import pickle
import sys

import pandas as pd
import pyarrow as pa
import pytest

from belfry.dataset.errors import InputError
from belfry.pipeline.serving.results import (
    Effect,
    Explanation,
    Recommendation,
    RecommendationTable,
    ResultList,
    SimilarUser,
    Watched,
)
from tests.pipeline.small_recommender import SmallRecommender

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def small() -> SmallRecommender:
    return SmallRecommender()


def test_a_list_is_a_list_and_a_table_in_a_notebook(small: SmallRecommender) -> None:
    found = small.recommend(1, 3)
    assert found == list(found)
    html = found._repr_html_()  # type: ignore[attr-defined]
    assert html.count("<tr>") == 4
    assert "<th>rank</th><th>item_id</th><th>score</th><th>origin</th>" in html  # nothing has a title or a reason
    assert small.recommend(7, 3)._repr_html_() == "<p>nothing</p>"  # type: ignore[attr-defined]


def test_titles_and_reasons_of_strangers_are_text() -> None:
    because = Explanation((Watched(1, HOSTILE, 0.5), Watched(2, None, 0.25)), (Effect("genre", -0.5),))
    html = ResultList([Recommendation(1, HOSTILE, HOSTILE, 0.5, "cold", because)])._repr_html_()
    assert "<script" not in html
    assert html.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 3
    assert "50%, 2 25%, genre -0.50" in html
    assert ResultList([SimilarUser(1, HOSTILE, 0.5)])._repr_html_().count("&lt;script&gt;") == 1
    table = RecommendationTable(pa.table({HOSTILE: [HOSTILE]}))
    assert "<script" not in table._repr_html_()


def test_a_table_is_arrow_pandas_and_polars(small: SmallRecommender) -> None:
    pl = pytest.importorskip("polars")
    lists = small.recommend_many([1, 2, 3], 2)
    arrow = lists.to_arrow()
    assert isinstance(arrow, pa.Table)
    assert lists == arrow
    assert pa.table(lists).equals(arrow, check_metadata=True)
    pd.testing.assert_frame_equal(lists.to_pandas(), arrow.to_pandas())
    assert isinstance(lists.to_polars(), pl.DataFrame)
    assert lists.to_polars().to_dict(as_series=False) == arrow.to_pydict()
    assert pl.DataFrame(lists).equals(lists.to_polars())


def test_it_answers_what_an_arrow_table_does(small: SmallRecommender) -> None:
    lists = small.recommend_many([1, 2, 3], 2)
    assert len(lists) == lists.num_rows == 6
    assert lists["user_id"].to_pylist() == [1, 1, 2, 2, 3, 3]
    assert lists.schema.metadata[b"belfry.run"] == b"small-0"
    assert lists.equals(small.recommend_many([1, 2, 3], 2), check_metadata=True)
    assert lists != small.recommend_many([1, 2], 2)
    assert copy.deepcopy(lists) == lists
    assert pickle.loads(pickle.dumps(lists)) == lists
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        lists.nonsense  # noqa: B018
    assert repr(lists).startswith("RecommendationTable\npyarrow.Table\nuser_id: int64")


def test_a_long_table_shows_its_beginning(small: SmallRecommender) -> None:
    html = small.recommend_many(list(range(1, 7)), 10)._repr_html_()
    assert html.count("<tr>") == 21
    assert "rows, the first 20 of them" in html


def test_without_polars_it_says_what_to_install(small: SmallRecommender, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(InputError, match=r"pip install 'belfry-recommender\[polars\]'"):
        small.recommend_many([1], 2).to_polars()


def test_a_recommender_says_what_it_answers_from(small: SmallRecommender) -> None:
    assert repr(small) == "SmallRecommender(run small-0: 40 users, 12 items)"
    html = small._repr_html_()
    assert "<th>small-0</th>" in html
    assert "<td>2026-01-01 00:00:00 UTC</td>" in html
    assert "<td>gate closed: retrieval&#x27;s order stands; no ranker was evaluated</td>" in html
