import logging
from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pytest

from belfry.dataset.encoding.columns import MAX_VALUES, N_BUCKETS
from belfry.dataset.encoding.table import FeatureEncoder, encode_by
from belfry.dataset.features import FeatureColumns, FeatureTables
from belfry.dataset.interactions import Interactions
from belfry.dataset.vocabulary import Vocabulary

IDS = [f"i{number}" for number in range(1, 9)]
VOCABULARY = Vocabulary(pa.array(IDS))


def encode_items(table: pa.Table | None, **columns: Iterable[str]) -> FeatureColumns:
    """Columns of items, by what they teach themselves."""
    encoder = FeatureEncoder.learn(table, id_column="item_id", **columns)
    return encode_by(encoder, table, VOCABULARY, "item_id")


def encoded(values: object, type_: pa.DataType | None = None, *, name: str = "it", text_columns=()) -> FeatureColumns:
    """A table of one feature column, one row per id."""
    table = pa.table({"item_id": IDS, name: pa.array(values, type_)})
    return encode_items(table, text_columns=text_columns)


def is_empty(columns: FeatureColumns) -> bool:
    return not columns.names


def test_strings_are_categories_in_sorted_order() -> None:
    columns = encoded(["b", "a", "b", "a", "b", "a", None, "a"])
    assert columns.categorical["it"].tolist() == [0, 2, 1, 2, 1, 2, 1, 0, 1]
    assert columns.categorical["it"].dtype == np.int32
    assert columns.sizes == {"it": 3}
    assert not columns.numeric
    assert not columns.multi_valued


def test_rare_categories_are_unknown() -> None:
    columns = encoded(["a", "a", "a", "rare", "rare", "b", "b", "b"])
    assert columns.categorical["it"].tolist() == [0, 1, 1, 1, 0, 0, 2, 2, 2]
    assert columns.sizes == {"it": 3}


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (["a", "a", "a", "rare", None, "b", "b", "b"], "1 missing values and 1 of categories with fewer than 3 rows"),
        ([["a"], ["a"], ["a", "rare", "odd", None], None, [], ["b"], ["b"], ["b"]], "1 missing values and 2 of categ"),
        ([1.0, np.nan, np.inf, None, 5, 6, 7, 8], "3 missing or infinite values count as the mean"),
    ],
)
def test_unknown_values_are_counted_in_the_log(values: list, reason: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        encoded(values)
    (message,) = caplog.messages
    assert message.startswith(f"feature column 'it': {reason}")


def test_without_unknown_values_nothing_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        encoded(["a", "b"] * 4)
        encoded([float(value) for value in range(8)])
    assert not caplog.messages


def test_booleans_are_categories() -> None:
    columns = encoded([True, False, None, True, False, True, False, True])
    assert columns.categorical["it"].tolist() == [0, 2, 1, 0, 2, 1, 2, 1, 2]


def test_numbers_are_standardised_and_cut_into_tenths() -> None:
    columns = encoded([1.0, 2, 3, 4, 5, 6, 7, 8])
    values = columns.numeric["it"]
    assert values.dtype == np.float32
    assert values[0] == 0
    np.testing.assert_allclose([values[1:].mean(), values[1:].std()], [0, 1], atol=1e-6)
    assert (np.diff(values[1:]) > 0).all()
    buckets = columns.categorical["it_bucket"]
    assert buckets[0] == 0
    assert (np.diff(buckets[1:]) >= 0).all()
    assert buckets[1] == 1
    assert buckets.max() == columns.sizes["it_bucket"] - 1


def test_numbers_that_are_missing_or_not_finite_are_the_mean_and_in_no_bucket() -> None:
    columns = encoded([10.0, np.nan, 20.0, np.inf, 30.0, None, 40.0, -np.inf])
    values, buckets = columns.numeric["it"], columns.categorical["it_bucket"]
    missing = [0, 2, 4, 6, 8]
    assert (values[missing] == 0).all()
    assert (buckets[missing] == 0).all()
    assert (buckets[[1, 3, 5, 7]] > 0).all()
    np.testing.assert_allclose(values[[1, 3, 5, 7]], (np.array([10, 20, 30, 40]) - 25) / np.std([10, 20, 30, 40]))


def test_integers_with_gaps_are_numbers() -> None:
    columns = encoded([1, None, 3, 5, 7, 9, 11, 13], pa.int64())
    assert columns.numeric["it"][2] == 0
    assert np.isfinite(columns.numeric["it"]).all()


def test_a_number_of_two_values_has_buckets_that_fit_its_size() -> None:
    columns = encoded([0, 0, 0, 0, 0, 0, 0, 1])
    buckets = columns.categorical["it_bucket"]
    assert buckets.max() < columns.sizes["it_bucket"]
    assert buckets[8] >= buckets[1] >= 1


def test_lists_are_multi_valued_and_padded() -> None:
    genres = [["d", "c"], ["c"], [], None, ["c", "rare"], ["d"], ["d", None], ["c", "d"]]
    columns = encoded(genres, pa.list_(pa.string()))
    assert columns.multi_valued["it"].tolist() == [
        [0, 0], [2, 1], [1, 0], [0, 0], [0, 0], [1, 0], [2, 0], [2, 0], [1, 2],
    ]  # fmt: skip
    assert columns.sizes == {"it": 3}


def test_a_very_long_list_is_cut() -> None:
    values = [str(number) for number in range(MAX_VALUES + 5)]
    columns = encoded([values] * 8, pa.list_(pa.string()))
    assert columns.multi_valued["it"].shape == (9, MAX_VALUES)
    assert (columns.multi_valued["it"][1:] > 0).all()


def test_a_text_becomes_its_words() -> None:
    titles = ["The Red Dog", "the DOG!", "The cat", "dog, dog & cat", None, "", "Cat", "é"]
    columns = encoded(titles, name="title", text_columns=("title",))
    # "cat", "dog" and "the" are carried by three rows each; "dog" twice in one title counts once.
    assert columns.sizes == {"title": 4}
    assert columns.multi_valued["title"].tolist() == [
        [0, 0], [2, 3], [2, 3], [1, 3], [1, 2], [0, 0], [0, 0], [1, 0], [0, 0],
    ]  # fmt: skip


def test_a_title_that_is_not_declared_as_text_is_no_feature() -> None:
    assert is_empty(encoded(["same"] * 4 + ["other"] * 4, name="title"))


@pytest.mark.parametrize(
    ("values", "type_"),
    [
        (["same"] * 8, pa.string()),
        ([f"unique{number}" for number in range(8)], pa.string()),
        ([None] * 8, pa.string()),
        ([None] * 8, pa.null()),
        ([2.5] * 8, pa.float64()),
        ([np.nan] * 8, pa.float64()),
        ([None] * 8, pa.int64()),
        ([[]] * 8, pa.list_(pa.string())),
        ([None] * 8, pa.list_(pa.string())),
        ([[f"unique{number}"] for number in range(8)], pa.list_(pa.string())),
    ],
)
def test_a_column_that_tells_no_rows_apart_is_left_out(values: list, type_: pa.DataType) -> None:
    assert is_empty(encoded(values, type_))


def test_columns_left_out_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "belfry.dataset.encoding"):
        encoded(["same"] * 8)
    assert caplog.messages == ["feature column 'it' tells no rows apart and is left out"]


def test_rows_follow_the_vocabulary_and_may_be_missing_or_foreign() -> None:
    """i1 has no row, a stranger has one, and the rows come backwards."""
    table = pa.table(
        {
            "colour": ["blue", "red", "red", "red", "blue", "blue", "red"],
            "item_id": ["stranger", "i7", "i6", "i5", "i4", "i3", "i2"],
            "tags": [["x"], ["x"], ["y"], ["x", "y"], ["y"], ["x"], []],
            "year": [1900, 7, 6, 5, 4, 3, 2],
        }
    )
    columns = encode_items(table)
    assert columns.categorical["colour"].tolist() == [0, 0, 2, 1, 1, 2, 2, 2, 0]
    assert columns.multi_valued["tags"].tolist() == [
        [0, 0], [0, 0], [0, 0], [1, 0], [2, 0], [1, 2], [2, 0], [1, 0], [0, 0],
    ]  # fmt: skip
    assert (columns.numeric["year"][[0, 1, 8]] == 0).all()
    assert (np.diff(columns.numeric["year"][2:8]) > 0).all()
    assert all(len(values) == len(VOCABULARY) + 1 for values in columns.inputs(np.arange(9, dtype=np.int32)).values())


def test_no_table_is_no_features() -> None:
    assert is_empty(encode_items(None))


def test_chunked_tables_are_read_whole() -> None:
    table = pa.table({"item_id": IDS, "genres": [["a"], ["a", "b"], ["b"], [], ["a"], ["b"], ["a"], ["b", "a"]]})
    chunked = pa.concat_tables([table.slice(0, 3), table.slice(3, 2), table.slice(5)])
    whole, parts = (encode_items(one) for one in (table, chunked))
    assert (whole.multi_valued["genres"] == parts.multi_valued["genres"]).all()


def everything() -> FeatureColumns:
    table = pa.table(
        {
            "item_id": IDS,
            "a/b": ["x", "y"] * 4,
            "year": [1990.0, 1991, 1992, np.nan, 1994, 1995, 1996, 1997],
            "genres": [["a", "b"], ["a"], ["b"], ["a"], [], ["b"], ["a", "b"], ["a"]],
        }
    )
    return encode_items(table)


def test_to_arrays_and_back_keeps_everything() -> None:
    columns = everything()
    restored = FeatureColumns.from_arrays(columns.to_arrays())
    assert restored.sizes == columns.sizes == {"a/b": 3, "year_bucket": columns.sizes["year_bucket"], "genres": 3}
    for kind in ("categorical", "numeric", "multi_valued"):
        kept, back = getattr(columns, kind), getattr(restored, kind)
        assert list(back) == list(kept)
        assert all((back[name] == kept[name]).all() and back[name].dtype == kept[name].dtype for name in kept)


def test_categories_fit_their_tables() -> None:
    columns = everything()
    for name, values in (columns.categorical | columns.multi_valued).items():
        assert 0 <= values.min() <= values.max() < columns.sizes[name]


def test_inputs_are_the_rows_asked_for_by_the_place_of_their_column() -> None:
    columns = everything()
    names = ("a/b", "year_bucket", "year", "genres")
    assert columns.input_names == {name: f"column_{place}" for place, name in enumerate(names)}
    taken = columns.inputs(np.array([3, 0, 3], np.int32))
    assert set(taken) == set(columns.input_names.values())
    assert taken["column_0"].tolist() == [1, 0, 1]
    assert taken["column_3"].tolist() == [[2, 0], [0, 0], [2, 0]]


@pytest.mark.parametrize("given", [["young", "old"] * 4, list(range(8))])
def test_tenths_never_take_the_name_of_a_column(given: list) -> None:
    age = [20.0, 30, 40, 50, 60, 70, 80, 90]
    for order in (1, -1):
        table = pa.table(
            dict([("item_id", IDS), *[("age", age), ("age_bucket", given), ("age_bucket_2", age)][::order]])
        )
        columns = encode_items(table, usage_columns=["age"])
        assert columns.tenths["age_bucket_3"] == "age"
        assert columns.sizes["age_bucket_3"] == N_BUCKETS + 1
        assert {"age", "age_bucket_2"} <= columns.numeric.keys()
        assert [columns.label(name) for name in ("age_bucket_3", "age_bucket", "age_bucket_2", "age")] == [
            "age",
            "age_bucket",
            "age_bucket_2",
            "age",
        ]
        assert columns.usage == {"age", "age_bucket_3"}
        assert FeatureColumns.from_arrays(columns.to_arrays()).tenths == columns.tenths
        assert ("age_bucket" in columns.numeric) == (given[0] == 0)


@pytest.mark.parametrize(
    "values", [[1e308, -1e308] * 4, [5e-324, 0.0] * 4, [2**62, 2**62 + 4096] * 4, [0.0, 1e200] * 4]
)
def test_numbers_at_the_limits_of_their_type_are_standardised(values: list) -> None:
    columns = encoded(values)
    numbers = columns.numeric["it"][1:]
    np.testing.assert_allclose(np.abs(numbers), 1, rtol=1e-6)
    assert (columns.categorical["it_bucket"][1:][::2] != columns.categorical["it_bucket"][1:][1::2]).all()


HOT = ("year", "genres", "no such column")


def usage_and_content() -> FeatureColumns:
    table = pa.table(
        {
            "item_id": IDS,
            "colour": ["x", "y"] * 4,
            "year": [1990.0, 1991, 1992, 1993, 1994, 1995, 1996, 1997],
            "genres": [["a", "b"], ["a"], ["b"], ["a"], [], ["b"], ["a", "b"], ["a"]],
        }
    )
    return encode_items(table, usage_columns=HOT)


def test_a_usage_number_is_usage_in_both_of_its_columns() -> None:
    columns = usage_and_content()
    assert columns.usage == {"year", "year_bucket", "genres"}
    assert FeatureColumns.from_arrays(columns.to_arrays()).usage == columns.usage


def test_content_leaves_usage_columns_out() -> None:
    content = usage_and_content().content
    assert content.names == ("colour",)
    assert set(content.inputs(np.zeros(1, np.int32))) == {"column_0"}
    assert content.sizes == {"colour": 3}
    assert not content.usage


def test_usage_columns_are_missing_without_events() -> None:
    columns = usage_and_content()
    numbers = np.arange(len(VOCABULARY) + 1, dtype=np.int32)
    has_events = numbers % 2 == 1
    before, after = columns.inputs(numbers), columns.hide_usage(has_events).inputs(numbers)
    called = columns.input_names
    assert (after[called["colour"]] == before[called["colour"]]).all()
    for name in (called[column] for column in columns.usage):
        assert (after[name][has_events] == before[name][has_events]).all()
        assert not after[name][~has_events].any()
        assert before[name][~has_events].any()
        assert after[name].dtype == before[name].dtype
    assert columns.hide_usage(has_events).usage == columns.usage


def test_without_usage_columns_nothing_is_hidden() -> None:
    columns = everything()
    assert columns.hide_usage(np.zeros(len(VOCABULARY) + 1, np.bool_)) is columns


@pytest.mark.parametrize(("times", "now_s"), [([30, 50, 40], 50), (None, 0)])
def test_now_is_the_newest_event(times: list[int] | None, now_s: int) -> None:
    table = {"user_id": [1, 2, 1], "item_id": [1, 2, 3]} | ({} if times is None else {"timestamp_s": times})
    tables = FeatureTables(Interactions.from_table(pa.table(table)), FeatureColumns(), FeatureColumns())
    assert tables.now_s == now_s


def test_the_matrix_holds_a_column_for_each_category_and_number() -> None:
    columns = FeatureColumns(
        categorical={"studio": np.array([0, 2, 1], np.int32)},
        numeric={"year": np.array([0, -1.5, 0.5], np.float32)},
        multi_valued={"genres": np.array([[0, 0], [3, 1], [0, 2]], np.int32)},
        sizes={"studio": 3, "genres": 4},
    )
    assert columns.matrix.toarray().tolist() == [[0, 0, 0, 0, 0, 0], [0, 1, 0.5, 0, 0.5, -1.5], [1, 0, 0, 1, 0, 0.5]]
    assert FeatureColumns().matrix.shape == (0, 0)
