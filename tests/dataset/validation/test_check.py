"""One report with every problem, each by name, count and first row; and what a policy mends."""

from datetime import date
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pydantic import ValidationError

from belfry.dataset.errors import TableError
from belfry.dataset.sources.tabular import read_tables
from belfry.dataset.tables import Tables
from belfry.dataset.validation.check import check, check_later
from belfry.dataset.validation.policy import Policy

FIRST_S = 1_000_000_000


def interactions(**changed: object) -> pa.Table:
    """Four good rows of two users and two items, with some columns replaced."""
    good: dict[str, object] = {
        "user_id": [1, 1, 2, 2],
        "item_id": ["a", "b", "a", "b"],
        "rating": [1.0, 2.0, 3.0, 4.0],
        "timestamp_s": [FIRST_S + 10, FIRST_S + 20, FIRST_S + 30, FIRST_S + 40],
    }
    return pa.table({name: values for name, values in (good | changed).items() if values is not None})


def refusal(table: pa.Table, policy: Policy | None = None, **others: pa.Table) -> str:
    with pytest.raises(TableError) as caught:
        check(Tables(table, **others), policy or Policy())
    return str(caught.value)


def test_good_tables_pass_in_canonical_types() -> None:
    table = interactions(
        user_id=pa.array([1, 1, 2, 2], pa.int32()),
        item_id=pa.array(["a", "b", "a", "b"]).dictionary_encode(),
        rating=pa.array([1, 2, None, 4], pa.int8()),
        weight=[1, 2, 3, 4],
        event=pa.array(["shown", None, "rated", "shown"], pa.large_string()),
    )

    cleaned, report = check(Tables(table))

    types = {field.name: str(field.type) for field in cleaned.interactions.schema}
    assert types == {
        "user_id": "dictionary<values=int64, indices=int32, ordered=0>",
        "item_id": "dictionary<values=string, indices=int32, ordered=0>",
        "rating": "float",
        "timestamp_s": "int64",
        "weight": "float",
        "event": "string",
    }
    assert cleaned.interactions["rating"].to_pylist() == [1, 2, None, 4]
    assert report.findings == () and report.lines() == []


def test_two_columns_are_enough() -> None:
    cleaned, report = check(Tables(interactions(rating=None, timestamp_s=None)))

    assert cleaned.interactions.column_names == ["user_id", "item_id"]
    assert not report.findings


def test_one_report_names_every_problem() -> None:
    table = interactions(user_id=[1, None, None, 2], rating=[1.0, 2.0, np.inf, 4.0], timestamp_s=[10, -1, None, 10**12])
    items = pa.table({"item_id": ["a", "a"], "poster": [{"width": 1}, None]})

    text = refusal(table, items=items)

    assert text.splitlines() == [
        "7 problems in the tables (rows counted from 0):",
        "error: interactions: column 'user_id' has 2 null or empty ids (first in row 1); fill them, or --set "
        "data.bad_id=drop",
        "error: interactions: column 'rating' has 1 ratings that are infinite or beyond 3.4e38 (first in row 2); mend "
        "them, or --set data.infinite_rating=drop",
        "error: interactions: column 'timestamp_s' has 1 nulls (first in row 2); drop or fill them, or --set "
        "data.bad_time=drop",
        "error: interactions: column 'timestamp_s' has 1 times before 1970 (first in row 1); drop or mend them, or "
        "--set data.bad_time=drop",
        "error: interactions: column 'timestamp_s' has 1 times after the year 2199 (first in row 3); mend them; where "
        "some are milliseconds and some are seconds, divide the former by 1000, or --set data.bad_time=drop",
        "error: items: column 'item_id' repeats an earlier id 1 times (first in row 1); keep one row per id, or --set "
        "data.repeated_id=drop",
        "error: items: column 'poster' is struct<width: int64>; a feature is a number, a string or a list of strings: "
        "convert or drop it, or --set data.unusable_column=drop",
        "note: interactions: column 'item_id' has 2 rows whose id the table items lacks; kept, without features",
    ]


@pytest.mark.parametrize("policy", [Policy(), Policy(order="step")])
def test_rows_that_a_refused_column_would_tell_apart_repeat_nothing(policy: Policy) -> None:
    table = pa.table({"user_id": [1, 1, 2], "item_id": [5, 5, 5], policy.order or "timestamp_s": [[1], [2], [3]]})

    assert [line for line in refusal(table, policy=policy).splitlines() if "repeat" in line] == []


def test_policy_drops_what_it_may() -> None:
    table = interactions(user_id=[1, 1, 2, None], item_id=["a", "b", "a", "b"])
    items = pa.table({"item_id": ["a", "a", "b"], "poster": [b"1", b"2", b"3"], "year": [1, 2, 3]})

    cleaned, report = check(Tables(table, items), Policy(bad_id="drop", repeated_id="drop", unusable_column="drop"))

    assert cleaned.interactions["user_id"].to_pylist() == [1, 1, 2]
    assert cleaned.items is not None
    assert cleaned.items.to_pydict() == {"item_id": ["a", "b"], "year": [1, 3]}
    assert [(finding.kind, finding.action, finding.count, finding.rows) for finding in report.findings] == [
        ("bad_id", "drop", 1, (3,)),
        ("repeated_id", "drop", 1, (1,)),
        ("unusable_column", "drop", 0, ()),
    ]
    assert report.lines()[0].endswith("(first in row 3); these rows are dropped")


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ("User_ID", "rename 'User_ID' to 'user_id'"),
        ("userId", "rename 'userId' to 'user_id'"),
        ("who", "add it, or say which one holds it: --columns user_id=NAME"),
    ],
)
def test_missing_column_says_what_there_is(given: str, hint: str) -> None:
    text = refusal(pa.table({given: [1, 2], "item_id": [1, 2]}))

    assert f"interactions: column 'user_id' is missing; there are '{given}', 'item_id': {hint}" in text


def test_column_twice_is_refused() -> None:
    table = pa.table([[1, 2], [3, 4], [5, 6]], names=["user_id", "item_id", "user_id"])

    assert "interactions: column 'user_id' is there 2 times; keep one" in refusal(table)


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (
            pa.array([1.0, 1.0, 2.5, 2.0]),
            "is double, and 1 ids are no whole numbers that such a float can tell apart (fi",
        ),
        (pa.array([True, True, False, False]), "is bool; ids are integers or strings"),
        (pa.array([1, 2, 3, 4], pa.timestamp("s")), r"is timestamp[s]; ids are integers or strings"),
        (pa.array([Decimal("1.5")] * 4), "is decimal128(2, 1) and does not fit int64; ids are integers or strings"),
        (pa.array([b"1", b"1", b"2", b"2"]), "is binary; ids are integers or strings"),
        (pa.array([1, 1, 2**63, 2], pa.uint64()), "is uint64 and does not fit int64; pass the ids as strings"),
        (pa.array(["1", "1", "", None]), "has 2 null or empty ids (first in row 2)"),
        (pa.array(["1", "1", "2", "x" * 1001]), "has 1 ids longer than 1000 bytes (first in row 3)"),
        (pa.array([None] * 4), "has 4 null or empty ids (first in row 0)"),
    ],
)
def test_ids_of_other_types_are_refused_by_name(ids: pa.Array, message: str) -> None:
    assert f"interactions: column 'user_id' {message}" in refusal(interactions(user_id=ids))


def test_mixed_ids_are_counted_by_type_and_never_merged() -> None:
    frame = pd.DataFrame({"user_id": pd.Series([1, "1", 1, 2], dtype=object), "item_id": [1, 2, 3, 4]})

    with pytest.raises(TableError) as caught:
        check(read_tables(frame))

    assert "column 'user_id' is a mix of types, int in 3 rows (first in row 0) and str in 1 rows (first in row 1)" in (
        str(caught.value)
    )


def test_id_types_must_agree_between_tables() -> None:
    text = refusal(interactions(), items=pa.table({"item_id": [1, 2]}))

    assert "items: column 'item_id' is int64, but string in interactions; 1 and '1' are never merged" in text


def test_users_without_interactions_are_fine() -> None:
    _, report = check(Tables(interactions(), users=pa.table({"user_id": [1, 2, 3], "age": [30.0, None, 40.0]})))

    assert not report.findings


def test_null_and_nan_ratings_mean_not_rated() -> None:
    cleaned, report = check(Tables(interactions(rating=pa.array([1.0, float("nan"), None, 0.0]))))

    assert cleaned.interactions["rating"].to_pylist() == [1.0, None, None, 0.0]
    assert not report.findings


def test_text_ratings_are_read_only_if_all_parse() -> None:
    cleaned, report = check(Tables(interactions(rating=["5", " 3.5", "", "+1e0"])))

    assert cleaned.interactions["rating"].to_pylist() == [5.0, 3.5, None, 1.0]
    assert report.lines() == ["note: interactions: column 'rating' is string; read as float"]
    assert (
        "column 'rating' is text in which 1 values are no numbers (first in row 1: 'good'); mend them or leave them "
        "empty" in refusal(interactions(rating=["5", "good", "4,5", ""]))
    )
    assert "4 values are no numbers (first in row 0: '3/5'); write numbers, such as 3.5" in refusal(
        interactions(rating=["3/5"] * 4)
    )


def test_decimal_commas_are_read_with_a_note() -> None:
    cleaned, report = check(Tables(interactions(rating=["4,5", "-3", "0,25", None])))

    assert cleaned.interactions["rating"].to_pylist() == [4.5, -3.0, 0.25, None]
    assert "note: interactions: column 'rating' has decimal commas, such as '4,5'; read as points" in report.lines()
    for unclear in (["1,234", "1", "2", "3"], ["4,5", "3.5", "1", "2"]):
        assert "are no numbers" in refusal(interactions(rating=unclear))


def test_whole_decimals_are_ids() -> None:
    ids = pa.array([Decimal("1.00"), Decimal("1.00"), Decimal("2.00"), Decimal("3.00")])

    cleaned, report = check(Tables(interactions(user_id=ids)))

    assert cleaned.interactions["user_id"].to_pylist() == [1, 1, 2, 3]
    assert report.lines() == ["note: interactions: column 'user_id' is decimal128(3, 2); read as int64"]


def test_times_without_any_value_are_none() -> None:
    cleaned, report = check(Tables(interactions(timestamp_s=pa.array([None] * 4, pa.int64()))))

    assert "timestamp_s" not in cleaned.interactions.column_names
    assert report.lines() == [
        "note: interactions: column 'timestamp_s' has no value in any row; left out, and there are no times"
    ]


@pytest.mark.parametrize(
    ("action", "ratings"), [("drop", [1.0, None, 5.0]), ("clip", [1.0, None, 5.0, 5.0])], ids=["drop", "clip"]
)
def test_stated_rating_range(action: str, ratings: list[float | None]) -> None:
    table = interactions(rating=[1, None, 5, 6])
    policy = Policy.model_validate({"rating_range": (1, 5), "rating_out_of_range": action})

    cleaned, report = check(Tables(table), policy)

    assert cleaned.interactions["rating"].to_pylist() == ratings
    assert (report.findings[0].count, report.findings[0].rows) == (1, (3,))
    assert "column 'rating' has 1 ratings outside of 1 to 5 (first in row 3)" in refusal(
        table, Policy(rating_range=(1, 5))
    )


def test_without_a_range_any_finite_rating_is_fine() -> None:
    _, report = check(Tables(interactions(rating=[0, 6, -3, 100])))

    assert not report.findings


def test_repeated_events() -> None:
    table = pa.table(
        {
            "user_id": [1, 1, 1, 2, 1],
            "item_id": [1, 1, 1, 2, 1],
            "timestamp_s": [FIRST_S, FIRST_S, FIRST_S + 1, FIRST_S, FIRST_S],
            "event": ["shown", "shown", "shown", "shown", "watched"],
        }
    )

    cleaned, report = check(Tables(table))

    assert cleaned.interactions["timestamp_s"].to_pylist() == [FIRST_S, FIRST_S + 1, FIRST_S, FIRST_S]
    assert report.lines() == [
        "note: interactions: 1 rows repeat 'user_id', 'item_id', 'timestamp_s', 'event' of an earlier row (first in "
        "row 1); these rows are dropped"
    ]
    assert len(check(Tables(table), Policy(repeated_event="keep"))[0].interactions) == 5
    assert "; remove the later ones, or --set data.repeated_event=drop" in refusal(
        table, Policy(repeated_event="error")
    )


@pytest.mark.parametrize(
    "times",
    [
        pa.array([0, 3600, 7200, 86400], pa.timestamp("s")),
        pa.array([0, 3_600_000, 7_200_999, 86_400_000], pa.timestamp("ms", "Asia/Tokyo")),
        pa.array([0.0, 3600.0, 7200.9, 86400.0]),
        pa.array(["0", "3600", " 7200", "86400"]),
    ],
    ids=["naive", "zone", "float", "text"],
)
def test_times_become_utc_seconds(times: pa.Array) -> None:
    cleaned, _ = check(Tables(interactions(timestamp_s=times)))

    assert cleaned.interactions["timestamp_s"].to_pylist() == [0, 3600, 7200, 86400]


def test_a_date_is_its_midnight() -> None:
    cleaned, report = check(Tables(interactions(timestamp_s=pa.array([date(2001, 9, 9)] * 4))))

    assert cleaned.interactions["timestamp_s"].to_pylist() == [999_993_600] * 4
    assert report.lines() == ["note: interactions: column 'timestamp_s' is date32[day]; read as int64"]


@pytest.mark.parametrize(
    ("times", "message"),
    [
        (pa.array([1.0, float("inf"), float("nan"), 2.0]), "has 1 times after the year 2199 (first in row 1)"),
        (pa.array(["1", "2", "yesterday", "4"]), "as the others are (first in row 2: 'yesterday'); convert"),
        (pa.array([True, False, True, True]), "is bool; give seconds since 1970 in UTC"),
        (pa.array([1, 2, 3, 4], pa.duration("s")), "is duration[s]; give seconds since 1970 in UTC"),
        (pa.array([1, 2, 3, 4], pa.float32()), "is float; give seconds since 1970 in UTC"),
    ],
)
def test_bad_times_are_refused(times: pa.Array, message: str) -> None:
    assert message in refusal(interactions(timestamp_s=times))


def test_bad_weights() -> None:
    table = interactions(weight=[1.0, -2.0, None, float("inf")])

    text = refusal(table)
    assert "column 'weight' has 2 weights that are null, infinite or beyond 3.4e38 (first in row 2)" in text
    assert "column 'weight' has 1 negative weights (first in row 1); say what was not liked by an event that " in text
    assert "or by a rating and data.liked_from, or --set data.bad_weight=drop" in text
    cleaned, _ = check(Tables(table), Policy(bad_weight="clip"))
    assert cleaned.interactions["weight"].to_pylist() == [1.0, 0.0, 0.0, 0.0]


@pytest.mark.parametrize("weight", [1.0, 2.5])
def test_weights_that_are_all_alike_are_none(weight: float) -> None:
    checked, report = check(Tables(interactions(weight=[weight] * 4)))
    assert "weight" not in checked.interactions.column_names
    assert report.lines() == [
        f"note: interactions: column 'weight' is {weight:g} in every row; left out, for all count alike"
    ]


def test_very_unlike_weights_stay() -> None:
    checked, report = check(Tables(interactions(weight=[1e-6, 1.0, 1.0, 1e9])))
    assert checked.interactions["weight"].to_pylist() == pytest.approx([1e-6, 1.0, 1.0, 1e9])
    assert report.lines() == []


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"user_id": [7] * 4},
            "column 'user_id' names one user in all 4 rows; there is nothing to learn from one user",
        ),
        ({"item_id": ["a"] * 4}, "column 'item_id' names one item in all 4 rows; there is nothing to learn from one"),
        ({"event": [1.5, 2, 3, 4]}, "column 'event' is double; names of events are wanted here"),
        ({"rating": [True] * 4}, "column 'rating' is bool; numbers are wanted here"),
    ],
)
def test_refused_in_words(changed: dict[str, object], message: str) -> None:
    assert message in refusal(interactions(**changed))


def test_empty_tables_are_refused() -> None:
    assert "interactions: has no rows" in refusal(interactions().slice(0, 0))
    assert "items: has no rows" in refusal(interactions(), items=pa.table({"item_id": pa.array([], pa.string())}))
    table = interactions(timestamp_s=[-1] * 4)
    assert "has no row left after dropping" in refusal(table, Policy(bad_time="drop"))


def test_unused_columns_are_left_out_with_a_note() -> None:
    table = interactions(timestamp_s=None).append_column("timestamp", pa.array([1, 2, 3, 4]))

    cleaned, report = check(Tables(table))

    assert cleaned.interactions.column_names == ["user_id", "item_id", "rating"]
    assert report.lines() == [
        "note: interactions: left out 1 columns that are not used: 'timestamp'; rename 'timestamp' to 'timestamp_s' if "
        "that is what it is"
    ]


def test_of_many_unused_columns_the_first_are_named() -> None:
    table = interactions()
    for number in range(14):
        table = table.append_column(f"c{number}", pa.nulls(len(table)))
    (line,) = (line for line in check(Tables(table))[1].lines() if "not used" in line)
    assert line.startswith("note: interactions: left out 14 columns that are not used: 'c0', ")
    assert line.endswith(", 'c11', ...")


@pytest.mark.parametrize(
    ("given", "type_", "values"),
    [
        (pa.array([1, None], pa.uint8()), pa.int64(), [1, None]),
        (pa.array([1, 2], pa.uint64()), pa.float64(), [1.0, 2.0]),
        (pa.array([1.5, float("nan")]), pa.float64(), [1.5, None]),
        (pa.array([1.5, None], pa.float16()), pa.float32(), [1.5, None]),
        (pa.array([Decimal("1.25"), None]), pa.float64(), [1.25, None]),
        (pa.array([True, None]), pa.string(), ["true", None]),
        (pa.array([None, None]), pa.string(), [None, None]),
        (pa.array(["x", None], pa.string_view()), pa.string(), ["x", None]),
        (pa.array(["x", "y"]).dictionary_encode(), pa.string(), ["x", "y"]),
        (pa.array([1, 2], pa.timestamp("s", "UTC")), pa.int64(), [1, 2]),
        (pa.array([["x"], None], pa.large_list(pa.large_string())), pa.list_(pa.string()), [["x"], None]),
        (pa.array([["x"], []], pa.list_(pa.dictionary(pa.int8(), pa.string()))), pa.list_(pa.string()), [["x"], []]),
    ],
    ids=lambda value: str(value) if isinstance(value, pa.DataType) else "",
)
def test_feature_types(given: pa.Array, type_: pa.DataType, values: list[object]) -> None:
    cleaned, _ = check(Tables(interactions(), pa.table({"feature": given, "item_id": ["a", "b"]})))

    assert cleaned.items is not None
    assert cleaned.items.column_names == ["item_id", "feature"]
    assert cleaned.items["feature"].type == type_
    assert cleaned.items["feature"].to_pylist() == values


@pytest.mark.parametrize(
    "given",
    [
        pa.array([{"a": 1}, None]),
        pa.array([b"x", b"y"]),
        pa.array([[1.5], [2]]),
        pa.array([["x"], ["y"]], pa.list_view(pa.string())),
        pa.array([[("k", 1)], []], pa.map_(pa.string(), pa.int64())),
        pa.array([1, 2], pa.duration("s")),
        pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"x" * 16, None], pa.binary(16))),
        pa.array(pd.cut(np.array([1, 9]), 2)),
    ],
    ids=lambda given: str(given.type),
)
def test_features_without_a_rule_are_refused_by_name(given: pa.Array) -> None:
    text = refusal(interactions(), items=pa.table({"item_id": ["a", "b"], "odd": given}))

    assert "items: column 'odd' is " in text
    assert "; a feature is a number, a string or a list of strings: " in text
    assert ("cast it (pandas: .astype(str)) or drop it" if "extension" in text else "convert or drop it") in text


def test_text_columns_must_be_there() -> None:
    with pytest.raises(TableError, match=r"column 'title' is named in data\.text_columns, but is no feature"):
        check(Tables(interactions(), text_columns=("title",)))


def test_usage_columns_must_be_there() -> None:
    users = pa.table({"user_id": [1, 2, 3], "n_visits": [4, 5, 6]})
    checked, _ = check(Tables(interactions(), users=users, usage_columns=("n_visits",)))
    assert checked.usage_columns == ("n_visits",)
    with pytest.raises(TableError) as caught:
        check(Tables(interactions(), users=users, usage_columns=("n_visit", "user_id")))
    text = "is named in usage_columns, but is no feature of items or users: correct usage_columns"
    assert f"items, users: column 'n_visit' {text}; did you mean 'n_visits'?" in str(caught.value)
    assert f"items, users: column 'user_id' {text}" in str(caught.value)


def test_later_events_in_types_of_our_own() -> None:
    table = pa.table(
        {"user_id": ["1"], "extra": [1], "weight": ["2"], "event": pa.array(["shown"]).dictionary_encode()}
    )
    later = check_later(table)
    assert later.column_names == table.column_names
    assert later["weight"].to_pylist() == [2.0]
    assert later["event"].type == pa.string()
    assert check_later(pa.table({"event": [1]}))["event"].to_pylist() == ["1"]
    with pytest.raises(TableError, match="test: column 'event' is double; names of events are wanted here"):
        check_later(pa.table({"event": [1.5]}))
    with pytest.raises(TableError, match="test: column 'weight' has 1 negative weights"):
        check_later(pa.table({"weight": [-1.0]}))


def test_policy_refuses_what_it_does_not_know() -> None:
    with pytest.raises(ValidationError, match="bad_id"):
        Policy.model_validate({"bad_id": "clip"})
    with pytest.raises(ValidationError, match="ratings"):
        Policy.model_validate({"ratings": "drop"})


def test_a_rating_out_of_range_may_mean_not_rated() -> None:
    table = interactions(rating=[-1.0, 2.0, None, 9.0])
    checked, report = check(Tables(table), Policy(rating_range=(1, 5), rating_out_of_range="null"))
    assert checked.interactions["rating"].to_pylist() == [None, 2.0, None, None]
    assert report.lines() == [
        "note: interactions: column 'rating' has 2 ratings outside of 1 to 5 (first in row 0); taken for none"
    ]


def test_a_limit_of_liking_needs_ratings() -> None:
    assert "column 'rating' is missing, and data.liked_from reads it" in refusal(
        interactions(rating=None), Policy(liked_from=4)
    )
