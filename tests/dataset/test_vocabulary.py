import hashlib

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from belfry.dataset.errors import InputError
from belfry.dataset.vocabulary import UNKNOWN, Vocabulary, as_arrow, positions_in, texts_as_arrow

strings = st.text(st.characters(codec="utf-8"), max_size=6)
int64s = st.integers(-(2**63), 2**63 - 1)
id_lists = st.lists(strings, min_size=1) | st.lists(int64s, min_size=1)


@settings(deadline=None)
@given(values=id_lists)
def test_ids_come_back_from_their_numbers(values):
    vocabulary = Vocabulary(pa.array(values))
    numbers = vocabulary.numbers(pa.array(values))

    assert numbers.dtype == np.int32
    assert numbers.min() >= 1 and numbers.max() <= len(vocabulary) == len(set(values))
    assert vocabulary.take(numbers).to_pylist() == values
    assert [vocabulary.number(value) for value in values] == numbers.tolist()


@settings(deadline=None)
@given(values=id_lists, others=id_lists)
def test_unknown_ids_get_zero(values, others):
    vocabulary = Vocabulary(pa.array(values))
    numbers = vocabulary.numbers(pa.array(others))
    assert [bool(number) for number in numbers] == [other in values for other in others]


@settings(deadline=None)
@given(values=id_lists)
def test_order_and_repetition_of_the_source_do_not_matter(values):
    vocabulary = Vocabulary(pa.array(values))
    again = Vocabulary(pa.chunked_array([pa.array(values[::-1]), pa.array(values)]))
    assert again.ids.equals(vocabulary.ids)
    assert again.content_hash == vocabulary.content_hash


def test_all_numbers_start_with_the_unknown():
    numbers = Vocabulary(pa.array(["b", "a"])).all_numbers
    assert numbers.dtype == np.int32
    assert numbers.tolist() == [UNKNOWN, 1, 2]


def test_numbers_rise_with_ids():
    assert Vocabulary(pa.array([30, 10, 20])).numbers(pa.array([10, 20, 30])).tolist() == [1, 2, 3]
    assert Vocabulary(pa.array(["b", "B", "ä", "a"])).ids.to_pylist() == ["B", "a", "b", "ä"]


def test_numbers_of_another_vocabulary():
    known = Vocabulary(pa.array(["a", "b"]))
    numbers = known.numbers_of(Vocabulary(pa.array(["c", "b"])))

    assert numbers.tolist() == [UNKNOWN, 2, UNKNOWN] and numbers.dtype == np.int32


def test_strings_and_integers_never_match():
    integers, texts = Vocabulary(pa.array([1, 2])), Vocabulary(pa.array(["1", "2"]))

    assert integers.numbers(pa.array(["1", "2"])).tolist() == [0, 0]
    assert texts.numbers(pa.array([1, 2])).tolist() == [0, 0]
    assert integers.number("1") == texts.number(1) == UNKNOWN
    assert integers.content_hash != texts.content_hash


@pytest.mark.parametrize("id_", [True, 1.0, None, b"1", 2**80])
def test_a_value_that_is_no_id_is_unknown(id_):
    assert Vocabulary(pa.array([1])).number(id_) == UNKNOWN


@pytest.mark.parametrize("id_", [2**63, -(2**70), np.uint64(2**63 + 1)])
def test_numbers_beyond_64_bits_are_unknown(id_):
    assert Vocabulary(pa.array([2**63 - 1, 0])).number(id_) == UNKNOWN


def test_ids_that_rise_need_no_table():
    for ids in (pa.array([-3, 1, 2**62]), pa.array(["", "b", "é", "\U0001f600"]), pa.array([7])):
        vocabulary = Vocabulary.of_rising(ids)
        assert vocabulary is not None and vocabulary.ids.equals(Vocabulary(ids).ids)
        assert vocabulary.numbers(ids).tolist() == [vocabulary.number(id_) for id_ in ids.to_pylist()]
    for ids in (pa.array([1, 1]), pa.array([2, 1]), pa.array(["b", "a"]), pa.array(["a", "a"])):
        assert Vocabulary.of_rising(ids) is None


def test_numpy_ids_are_ids():
    assert Vocabulary(pa.array([7])).number(np.int32(7)) == 1
    assert Vocabulary(pa.array(["x"])).number(np.str_("x")) == 1


@pytest.mark.parametrize(
    "ids",
    [
        pa.array(["a", "b"], pa.large_string()),
        pa.array(["a", "b"]).dictionary_encode(),
        pa.chunked_array([pa.array(["a"]), pa.array(["b"])]),
    ],
)
def test_strings_of_any_arrow_type_are_one_type(ids):
    vocabulary = Vocabulary(ids)
    assert vocabulary.content_hash == Vocabulary(pa.array(["a", "b"])).content_hash
    assert vocabulary.numbers(ids).tolist() == [1, 2]


def test_narrow_integers_are_int64():
    assert Vocabulary(pa.array([3], pa.uint8())).number(3) == 1


def test_null_is_unknown_and_zero_is_null():
    vocabulary = Vocabulary(pa.array([5]))
    assert vocabulary.numbers(pa.array([5, None])).tolist() == [1, 0]
    assert vocabulary.numbers(pa.nulls(2)).tolist() == [0, 0]
    assert vocabulary.take([0, 1]).to_pylist() == [None, 5]


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (pa.array([1, None, None]), "2 ids are null; drop those rows first"),
        (pa.DictionaryArray.from_arrays(pa.array([0, 1]), pa.array(["a", None])), "1 ids are null"),
        (pa.array([1.0, 2.0]), "ids are double; Belfry takes strings or integers"),
        (pa.array([True]), "ids are bool"),
        (pa.array([2**63], pa.uint64()), "do not fit int64; pass them as strings"),
    ],
)
def test_refuses_ids_of_other_types(ids, message):
    with pytest.raises(InputError, match=message):
        Vocabulary(ids)


def test_content_hash_stays_as_run_folders_hold_it():
    """Golden: a changed hash would make every saved run refuse to load."""
    # Recipe: SHA-256 of "int64" and little-endian int64s; of "string" and length-prefixed UTF-8.
    assert (
        Vocabulary(pa.array([3, 1, 2])).content_hash
        == "9c8eb6339150d64b0a71ca1a623916dc943e0b6df710ecbd0a029808f9497722"
    )
    assert (
        Vocabulary(pa.array(["b", "ä", "a"])).content_hash
        == "c7209d47ece0533920dbbfb1be421b84bf1b1e75ffffa7c97fc1f9169ca0d2f2"
    )


def test_content_hash_tells_where_ids_end():
    for first, second in (("ab", "c"), ("a", "bc")):
        lengths = [len(text).to_bytes(4, "little") for text in (first, second)]
        content = b"string" + lengths[0] + first.encode() + lengths[1] + second.encode()
        assert Vocabulary(pa.array([first, second])).content_hash == hashlib.sha256(content).hexdigest()


@settings(deadline=None)
@given(st.data(), st.sampled_from([strings, int64s]), st.integers(0, 3))
def test_few_ids_are_found_in_many_as_all_are(data: st.DataObject, kind: st.SearchStrategy, first: int) -> None:
    """One by one, of a slice, with nulls and strangers among them."""
    many = data.draw(st.lists(kind, min_size=150, max_size=200, unique=True))
    vocabulary = Vocabulary(pa.array(many))
    asked = data.draw(st.lists(kind | st.sampled_from(many) | st.none(), max_size=2 + first))
    ids = pa.array([*asked, *many[:1]], vocabulary.ids.type)[first:]
    numbers = vocabulary.numbers(ids)
    assert numbers.dtype == np.int32
    assert numbers.tolist() == (positions_in(ids, vocabulary.ids) + 1).tolist()


@pytest.mark.parametrize("first", [0, 3, 9])
def test_positions_of_values_in_a_slice_of_an_array(first: int) -> None:
    """Arrow keeps nulls as bits from an offset on."""
    values = pa.array([5, 7, None, 5, 9, 8, 7, 5, 1, 7, 7])[first:]
    expected = [{5: 0, 7: 1, 9: 2}.get(value, -1) for value in values.to_pylist()]
    assert positions_in(values, pa.array([5, 7, 9])).tolist() == expected


def test_positions_of_nothing() -> None:
    assert positions_in(pa.array([], pa.int64()), pa.array([5])).tolist() == []
    assert positions_in(pa.array([5, 5]), pa.array([5])).tolist() == [0, 0]


def test_texts_and_numbers_for_arrow() -> None:
    texts = ("two_tower", "", "käse")
    assert texts_as_arrow(texts).equals(pa.array(texts, pa.string()))
    numbers = np.arange(10, dtype=np.float32)[::3]
    assert as_arrow(numbers).equals(pa.array(numbers))
