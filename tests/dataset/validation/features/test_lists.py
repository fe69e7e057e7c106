import json

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from belfry.dataset.errors import TableError
from belfry.dataset.validation.features.lists import as_list, looks_like_list

GENRES = [["noir", "war"], ["war"], [], ["noir", "drama", "war"]]


def chunked(values: list) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(values)])


@pytest.mark.parametrize(
    ("cells", "delimiter"),
    [
        (["noir|war", "war", None, "noir|drama|war"], None),
        ([" noir ; war", "war;", "", "noir;drama;war "], None),
        (["noir, war", "war", None, "noir, drama, war"], None),
        (["noir/war", "war", None, "noir/drama/war"], "/"),
        (["noir::war", "war", "", "noir::drama::war"], "::"),
        ([str(genres) for genres in GENRES], None),
        ([json.dumps(genres) for genres in GENRES], None),
        (["('noir', 'war')", "('war')", "()", "('noir', 'drama', 'war')"], None),
        ([json.dumps([{"id": 1, "name": name} for name in genres]) for genres in GENRES], None),
        (GENRES, None),
    ],
)
def test_every_spelling_of_a_list_is_the_same_list(cells: list, delimiter: str | None) -> None:
    found = as_list(chunked(cells), delimiter)
    assert found.type == pa.list_(pa.string())
    assert [[value for value in cell or [] if value] for cell in found.to_pylist()] == GENRES


def test_whole_numbers_in_lists_are_read_as_they_are_spelled() -> None:
    assert as_list(chunked([[1, 2], [3]]), None).to_pylist() == [["1", "2"], ["3"]]
    assert as_list(chunked(["[1, 2]", "[3]"]), None).to_pylist() == [["1", "2"], ["3"]]


def test_a_missing_cell_has_no_list() -> None:
    assert as_list(chunked(["a|b", None]), None).to_pylist() == [["a", "b"], None]


@pytest.mark.parametrize("bad", ["[", "[[1]]", '["a", ]b]', "[" * 200 + "]" * 200, "[f(x)]"])
def test_a_cell_that_only_begins_as_a_list_is_refused_with_its_text(bad: str) -> None:
    text = bad if bad.endswith("]") else f"{bad}x]"
    with pytest.raises(TableError, match=r"1 of 2 lists cannot be read \(one is '\["):
        as_list(chunked(['["a"]', text]), None)


@pytest.mark.parametrize("values", [[1, 2], [1.5], [[1.5]], [{"a": 1}]])
def test_what_is_no_list_is_refused(values: list) -> None:
    with pytest.raises(TableError):
        as_list(chunked(values), None)


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["a|b", "b|c", "a|c"], True),
        (["a;b", "b;c", "a;c", "b"], True),
        (["['a']", "['b', 'a']"], True),
        (["Smith, John", "Miller, Ann", "Baker, Joe"], False),
        (["red", "green"], False),
        (["a|b"], False),
        ([], False),
    ],
)
def test_texts_that_look_like_lists(texts: list[str], expected: bool) -> None:
    assert looks_like_list(pa.array(texts, pa.string())) is expected


@given(st.lists(st.one_of(st.none(), st.text(max_size=12), st.from_regex(r"[\[(]['\"a,|\])]{0,8}", fullmatch=True))))
def test_any_text_is_read_or_refused_in_words(cells: list[str | None]) -> None:
    column = pa.chunked_array([pa.array(cells, pa.string())])
    looks_like_list(column.unique().drop_null())
    try:
        found = as_list(column, None)
    except TableError as error:
        assert "cannot be read" in str(error)
    else:
        assert len(found) == len(cells)
