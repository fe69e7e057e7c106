"""Encoded columns: the same values, each kept once, whatever the chunks and the dictionaries that they came in."""

import numpy as np
import pyarrow as pa
import pytest

from belfry.dataset.encoding.dictionary import (
    alike_encoded,
    codes_and_values,
    codes_as_numpy,
    distinct_in,
    encoded,
    plain,
    with_values,
)
from belfry.dataset.errors import InputError
from belfry.dataset.vocabulary import Vocabulary

OWN = pa.DictionaryArray.from_arrays(pa.array([2, 0, None, 3, 1], pa.int8()), pa.array(["x", "x", "y", None, "unused"]))


@pytest.mark.parametrize(
    ("column", "values"),
    [
        (pa.chunked_array([["b", "a", None], ["a", "c"]]), ["b", "a", "c"]),
        (pa.chunked_array([pa.array([5, 3, None], pa.int32()), pa.array([3, 9], pa.int32())]), [5, 3, 9]),
        (pa.chunked_array([OWN, OWN]), ["y", "x"]),
        (pa.chunked_array([pa.array(["b", "a"]).dictionary_encode(), pa.array(["c", "a"]).dictionary_encode()]), None),
        (pa.chunked_array([pa.array(["u", "u"], pa.large_string())]), ["u"]),
        (pa.chunked_array([[None, None]], pa.string()), []),
        (pa.chunked_array([], pa.int64()), []),
    ],
)
def test_each_value_is_there_once_in_the_order_of_its_first_row(column, values):
    found = encoded(column)

    codes, distinct = codes_and_values(found)
    assert found.to_pylist() == column.to_pylist()
    assert found.type.index_type == pa.int32()
    assert distinct.to_pylist() == (["b", "a", "c"] if values is None else values)
    assert codes.null_count == found.to_pylist().count(None)
    assert encoded(found).equals(found)


def test_other_values_make_one_of_those_that_are_equal_and_none_of_nulls():
    column = encoded(pa.chunked_array([["b", " b", "NULL", None, "c"]]))

    found = with_values(column, pa.array(["b", "b", None, "c"]))

    assert found.to_pylist() == ["b", "b", None, None, "c"]
    assert codes_and_values(found)[1].to_pylist() == ["b", "c"]
    assert with_values(column, pa.nulls(4, pa.string())).to_pylist() == [None] * 5


def test_values_of_rows_that_were_dropped_are_not_among_the_distinct():
    column = encoded(pa.chunked_array([["b", "a", None, "c"]])).filter(pa.array([True, False, True, True]))

    assert distinct_in(column).to_pylist() == ["b", None, "c"]
    assert distinct_in(pa.chunked_array([[3, 3, 1]])).to_pylist() == [3, 1]


def test_codes_of_nulls_are_what_is_asked_for():
    codes = codes_and_values(encoded(pa.chunked_array([["b", None, "b"]])))[0]

    assert codes_as_numpy(codes, null=-1).tolist() == [0, -1, 0]


def test_tables_are_plain_where_their_types_differ():
    text, numbers = pa.chunked_array([["a", "b"]]), pa.chunked_array([[1, 2]])
    first = pa.table({"user_id": encoded(text), "item_id": encoded(numbers), "event": encoded(text)})
    other = pa.table({"user_id": text, "item_id": encoded(numbers), "event": encoded(text)})

    found = alike_encoded({"first": first, "other": other}, ("user_id", "item_id", "event"))

    assert found["first"].schema == found["other"].schema
    assert found["first"].schema.types == [pa.string(), encoded(numbers).type, encoded(text).type]
    assert plain(first, ["item_id"]).schema.types == [encoded(text).type, pa.int64(), encoded(text).type]


def test_a_vocabulary_of_encoded_ids_is_that_of_the_ids():
    ids = pa.chunked_array([["b", "a"], ["b", "c"]])
    known = Vocabulary(encoded(ids))

    assert known.ids.equals(Vocabulary(ids).ids)
    assert known.numbers(encoded(pa.chunked_array([["c", "z", None, "a"]]))).tolist() == [3, 0, 0, 1]
    assert known.numbers(encoded(pa.chunked_array([[1, 2]]))).tolist() == [0, 0]
    assert known.numbers(encoded(ids)).dtype == np.int32
    with pytest.raises(InputError, match="2 ids are null"):
        Vocabulary(encoded(pa.chunked_array([["a", None, None]])))
