import datetime as dt
from decimal import Decimal

import pyarrow as pa
import pytest
from pydantic import ValidationError

from belfry.dataset.errors import TableError
from belfry.dataset.prepare import prepare
from belfry.dataset.tables import Tables
from belfry.dataset.validation.check import CheckReport, Policy, check

N = 12
IDS = list(range(100, 100 + N))
WATCHES = pa.table({"user_id": [(k + k // N) % 4 for k in range(2 * N)], "item_id": IDS * 2})


def checked(items: dict[str, object], **policy: object) -> tuple[pa.Table, CheckReport]:
    tables, report = check(Tables(WATCHES, pa.table({"item_id": IDS, **items})), Policy(**policy))  # type: ignore[arg-type]
    assert tables.items is not None
    return tables.items, report


def notes(items: dict[str, object], **policy: object) -> str:
    return "\n".join(checked(items, **policy)[1].lines())


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (["00004", "1900", None], ["00004", "1900", None]),
        ([1900, 1901, None], ["1900", "1901", None]),
        ([1900.0, float("nan"), 1902.0], ["1900", None, "1902"]),
        ([1.5, 2.0, None], ["1.5", "2", None]),
        ([dt.date(2020, 1, 5), None, dt.date(2020, 1, 6)], ["2020-01-05", None, "2020-01-06"]),
        ([dt.datetime(2020, 1, 5), None, dt.datetime(2021, 1, 5)], ["2020-01-05", None, "2021-01-05"]),
        ([True, False, None], ["true", "false", None]),
        ([Decimal("1.50"), None, Decimal("2.00")], ["1.50", None, "2.00"]),
        (pa.array(["a", "b", None]).dictionary_encode(), ["a", "b", None]),
    ],
)
def test_a_title_is_text_whatever_it_looks_like(given: list, shown: list) -> None:
    values = given if isinstance(given, pa.Array) else pa.array(given)
    whole = pa.concat_arrays([values] * (N // 3))
    items, report = checked({"title": whole})
    assert items["title"].type == pa.string()
    assert items["title"].to_pylist() == shown * (N // 3)
    assert not report.findings


@pytest.mark.parametrize("given", [[["a"]] * N, [{"a": 1}] * N, [b"x"] * N])
def test_a_title_without_a_form_as_text_is_refused(given: list) -> None:
    with pytest.raises(TableError, match=r"items: column 'title' is .*; .* convert or ignore the column"):
        checked({"title": given})
    assert "title" not in checked({"title": given}, ignore_columns="title")[0].column_names


def test_a_column_is_read_as_it_is_named() -> None:
    given = {
        "zip": [k % 3 + 10_000 for k in range(N)],
        "floats": [k % 3 + 0.0 for k in range(N)],
        "genres": ["a|b", "b|c", "a"] * (N // 3),
        "price": [f" +{k}.5" for k in range(N)],
        "flag": [True, False] * (N // 2),
        "about": [f"word{k % 3} all" for k in range(N)],
        "year": [k % 4 for k in range(N)],
        "gone": ["x", "y"] * (N // 2),
    }
    items, report = checked(
        given,
        category_columns=("zip", "floats"),
        list_columns=("genres",),
        numeric_columns=("price", "flag"),
        text_columns=("about", "year"),
        ignore_columns=("gone",),
    )
    assert items.column_names == ["item_id", *list(given)[:-1]]
    assert items["zip"].to_pylist()[:3] == ["10000", "10001", "10002"]
    assert items["floats"].to_pylist()[:3] == ["0", "1", "2"]
    assert items["genres"].to_pylist()[:3] == [["a", "b"], ["b", "c"], ["a"]]
    assert items["price"].to_pylist()[:2] == [0.5, 1.5]
    assert items["flag"].to_pylist()[:2] == [1, 0]
    assert items["year"].to_pylist()[:2] == ["0", "1"]
    assert not report.findings


def test_words_of_users_are_features_too() -> None:
    users = pa.table({"user_id": range(4), "about": ["likes tea", "likes tea", "likes", "tea"]})
    data = prepare(check(Tables(WATCHES, users=users), Policy(text_columns="about"))[0])  # type: ignore[arg-type]
    assert data.users.sizes == {"about": 3}


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ({"category_columns": ("zipp",)}, r"'zipp' is named in data\.category_columns, .*; did you mean 'zip'\?"),
        ({"ignore_columns": ("item_id",)}, r"'item_id' is named in data\.ignore_columns, but is no feature"),
        ({"category_columns": ("title",)}, r"'title' is what lists show, and can be text or ignored: take it out of"),
        ({"numeric_columns": ("kind",)}, r"'kind' is text in which 12 values are no numbers \(first in row 0: 'a'\)"),
        ({"numeric_columns": ("tags",)}, r"'tags' is list<.*>; numbers are wanted here"),
        ({"category_columns": ("tags",)}, r"'tags' is list<.*>; single values are wanted here"),
        ({"list_columns": ("zip",)}, r"'zip' is int64, and is named as list: name a column of text or lists"),
    ],
)
def test_what_cannot_be_meant_is_refused(policy: dict, message: str) -> None:
    items = {"zip": [1, 2] * (N // 2), "kind": ["a", "b"] * (N // 2), "tags": [["a"]] * N, "title": ["t"] * N}
    with pytest.raises(TableError, match=message):
        checked(items, **policy)


@pytest.mark.parametrize(
    "policy",
    [
        {"category_columns": ("a",), "list_columns": (("a", "|"),)},
        {"text_columns": ("a", "a")},
        {"list_columns": (("a", ""),)},
    ],
)
def test_a_column_is_named_once_and_delimiters_are_signs(policy: dict) -> None:
    with pytest.raises(ValidationError):
        Policy(**policy)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (["same"] * N, "every row that has a value has the same"),
        ([7] * N, "every row that has a value has the same"),
        ([7.0, None] * (N // 2), "every row that has a value has the same"),
        ([None] * N, "no row has a value there"),
        ([f"code {k}" for k in range(N)], "every row has a value of its own"),
        ([f"code {k // 2}" for k in range(N)], "no two values there are shared by 3 rows each"),
        ([[f"{k}"] for k in range(N)], "no value there is shared by 3 rows"),
        (list(range(N)), "it counts the rows"),
        (list(range(1, N + 1)), "it counts the rows"),
    ],
)
def test_columns_that_say_nothing_are_left_out_with_a_note(values: list, reason: str) -> None:
    given = {"odd": values, "kind": ["a", "b", "c"] * (N // 3)}
    assert f"note: items: left out column 'odd': {reason}" in notes(given)
    data = prepare(check(Tables(WATCHES, pa.table({"item_id": IDS, **given})))[0])
    assert data.items.names == ("kind",)


def test_columns_left_out_for_one_reason_share_a_note() -> None:
    found = notes({"a": [1] * N, "b": ["x"] * N})
    assert found == "note: items: left out 2 columns ('a', 'b'): every row that has a value has the same"


def test_numbers_that_rise_by_one_are_kept_where_they_are_named_or_few_or_no_whole_numbers() -> None:
    rising = list(range(N))
    assert "odd" in checked({"odd": rising}, numeric_columns="odd")[0].column_names
    assert "odd" in checked({"odd": [float(k) for k in rising]})[0].column_names
    watches = pa.table({"user_id": [0, 1, 2, 3], "item_id": [1, 1, 2, 2]})
    tables, _ = check(Tables(watches, users=pa.table({"user_id": range(4), "age": [1, 2, 3, 4]})))
    assert tables.users is not None
    assert "age" in tables.users.column_names


@pytest.mark.parametrize("name", ["zip_code", "storeId", "category", "ZIP", "region"])
def test_whole_numbers_whose_name_says_code_are_noted(name: str) -> None:
    found = notes({name: [1, 5, 9] * (N // 3)})
    assert f"may be codes: column '{name}'; if they are codes, --set 'data.category_columns=[\"{name}\"]'" in found
    assert not notes({name: [1, 5, 9] * (N // 3)}, numeric_columns=name)


@pytest.mark.parametrize("name", ["year", "age", "avoid", "n_visits", "length"])
def test_other_whole_numbers_are_not(name: str) -> None:
    assert not notes({name: [1, 5, 9] * (N // 3)})


def test_lists_and_numbers_in_text_are_noted_with_their_setting() -> None:
    genres, price = ["noir|war", "war|drama", "drama|noir"] * (N // 3), ["1.5", "2", "3"] * (N // 3)
    found = notes({"genres": genres, "price": price})
    assert "column 'genres' looks like a list ('drama|noir') and is read as one category of 3 values; for sev" in found
    assert "--set 'data.list_columns=[\"genres\"]'" in found
    assert "numbers as text are read as categories: column 'price'; if they are quantities" in found
    assert "--set 'data.numeric_columns=[\"price\"]'" in found


@pytest.mark.parametrize("name", ["Title", "name", "movie_title", "titel"])
def test_a_column_that_looks_like_a_title_is_named(name: str) -> None:
    assert f"there is no column 'title', so lists show ids alone; '{name}' looks like one" in notes(
        {name: ["a", "b"] * 6}
    )
    assert "there is no column" not in notes({"title": ["t"] * N, name: ["a", "b", "c"] * (N // 3)})
