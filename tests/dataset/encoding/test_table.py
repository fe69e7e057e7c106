"""FeatureEncoder: later rows are read as those that were learned from, and what is new changes nothing."""

import numpy as np
import pyarrow as pa
import pytest

from belfry.dataset.encoding.columns import CategoryEncoder, ListEncoder, NumberEncoder, floats_of
from belfry.dataset.encoding.table import FeatureEncoder, encode_by
from belfry.dataset.features import FeatureColumns
from belfry.dataset.vocabulary import Vocabulary

IDS = [f"u{number}" for number in range(1, 9)]
TABLE = pa.table(
    {
        "user_id": IDS,
        "side/odd": ["x", "y", "x", None, "y", "x", "y", "rare"],
        "age": [20.0, 30, 40, None, 60, 70, float("inf"), 90],
        "tags": [["a", "b"], ["a"], ["b", "new"], None, [], ["b"], ["a", "b"], ["a"]],
        "about": ["plays jazz", "Jazz!", "jazz and plays", None, "", "plays", "no", "rock"],
        "huge": [1e308, -1e308] * 4,
        "n_visits": [1, 2, 3, 4, 5, 6, 7, 8],
    }
)
ONE = np.ones(1, np.int32)


@pytest.fixture(scope="module")
def encoder() -> FeatureEncoder:
    return FeatureEncoder.learn(TABLE, id_column="user_id", text_columns=["about"], usage_columns=["n_visits"])


def row_of(encoder: FeatureEncoder, **values: pa.Array) -> FeatureColumns:
    return encoder.encode(pa.table({"user_id": ["new"], **values}), ONE, 1)


def flat(columns: FeatureColumns, row: int) -> dict[str, list]:
    everything = columns.categorical | columns.numeric | columns.multi_valued
    return {name: np.atleast_1d(values[row]).tolist() for name, values in everything.items()}


def test_each_row_alone_is_read_as_among_all(encoder: FeatureEncoder) -> None:
    together = encode_by(encoder, TABLE, Vocabulary(TABLE["user_id"]), "user_id")
    for row in range(len(TABLE)):
        alone = encoder.encode(TABLE.slice(row, 1), ONE, 1)
        assert flat(alone, 1) == flat(together, row + 1)
        assert (alone.names, alone.sizes, alone.tenths, alone.usage) == (
            together.names,
            together.sizes,
            together.tenths,
            together.usage,
        )


def test_the_way_through_arrays_changes_nothing(encoder: FeatureEncoder) -> None:
    again = FeatureEncoder.from_arrays(encoder.to_arrays())
    assert list(again.encoders) == list(encoder.encoders)
    assert (again.tenths, again.usage) == (encoder.tenths, encoder.usage)
    ours, theirs = (encode_by(one, TABLE, Vocabulary(TABLE["user_id"]), "user_id") for one in (encoder, again))
    assert all(flat(ours, row) == flat(theirs, row) for row in range(len(TABLE) + 1))
    assert again.fits(ours)


def test_what_training_never_saw_is_unknown(encoder: FeatureEncoder) -> None:
    row = row_of(encoder, **{"side/odd": ["z"], "tags": [["z", "b", "new"]], "about": ["opera"]})
    assert row.categorical["side/odd"].tolist() == [0, 0]
    assert row.multi_valued["tags"].tolist() == [[0, 0], [2, 0]]
    assert not row.multi_valued["about"].any()
    categories, tags = encoder.encoders["side/odd"], encoder.encoders["tags"]
    assert isinstance(categories, CategoryEncoder)
    assert categories.unknown(pa.array(["z", "x", None, "z"])).to_pylist() == ["z"]
    assert isinstance(tags, ListEncoder)
    assert tags.unknown(pa.array([["z", "a"], None])).to_pylist() == ["z"]


def test_a_number_beyond_those_of_training_is_the_nearest(encoder: FeatureEncoder) -> None:
    for beyond, nearest in ((1e300, 90.0), (-5.0, 20.0)):
        assert flat(row_of(encoder, age=[beyond]), 1) == flat(row_of(encoder, age=[nearest]), 1)
    assert row_of(encoder, age=[90.0]).categorical["age_bucket"][1] == encoder.encoders["age"].size - 1


def test_a_list_keeps_as_many_as_the_longest_of_training(encoder: FeatureEncoder) -> None:
    assert row_of(encoder, tags=[["b", "a", "b", "a"]]).multi_valued["tags"].tolist() == [[0, 0], [2, 1]]


def test_a_column_that_is_not_there_is_missing(encoder: FeatureEncoder) -> None:
    assert all(not any(values) for values in flat(row_of(encoder), 1).values())


def test_an_encoder_fits_its_own_columns_alone(encoder: FeatureEncoder) -> None:
    columns = encode_by(encoder, TABLE, Vocabulary(TABLE["user_id"]), "user_id")
    assert encoder.fits(columns)
    assert not encoder.fits(FeatureColumns())
    other = FeatureEncoder.learn(TABLE.drop_columns("tags"), id_column="user_id", text_columns=["about"])
    assert not other.fits(columns)
    assert FeatureEncoder().fits(FeatureColumns())


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("category/side/odd", np.frombuffer(b"[1]", np.uint8)),
        ("category/side/odd", np.frombuffer(b"{", np.uint8)),
        ("number/age", np.array([1.0, 2])),
        ("number/age", np.array([1.0, 2, 0, 1, 3])),
        ("number/age", np.array([1.0, 2, 1, 1, 3, 2, 1])),
        ("number/age", np.array([1.0, np.nan, 1, 1, 3])),
    ],
)
def test_arrays_that_are_no_encoder_are_refused(encoder: FeatureEncoder, key: str, values: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"column|categories|unpack|Expecting"):
        FeatureEncoder.from_arrays(encoder.to_arrays() | {key: values})


def test_numbers_with_gaps_are_read_from_any_part_of_an_array() -> None:
    values = pa.array([1, None, 3, None, 5, 6, None, 8, 9])
    np.testing.assert_array_equal(floats_of(values.slice(1, 6)), [np.nan, 3, np.nan, 5, 6, np.nan])
    assert len(floats_of(values[:0])) == 0


def test_a_column_that_tells_no_rows_apart_has_no_encoder() -> None:
    assert NumberEncoder.learn("age", np.array([3.0, 3, np.nan])) is None
    assert CategoryEncoder.learn("side", pa.array(["x"] * 8)) is None
    assert ListEncoder.learn("tags", pa.array([["x"], ["y"]])) is None
