"""Ids of any container: the same value is read, what can be no id of the run is refused, the rest is unknown."""

import subprocess
import sys
from enum import IntEnum, StrEnum
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from belfry.dataset.errors import InputError, UnknownUserError
from belfry.dataset.validation.policy import Policy
from belfry.dataset.vocabulary import Vocabulary
from belfry.pipeline.serving.ids import IdReader
from tests.pipeline.small_recommender import SmallRecommender

NUMBERS = IdReader(Vocabulary(pa.array([5, 7, 9, -3])), "numbers-0")
TEXTS = IdReader(Vocabulary(pa.array(["5", "b", "c"])), "texts-0")


class Colour(IntEnum):
    RED = 7


class Word(StrEnum):
    B = "b"


WHOLE_NUMBERS = {
    "list": [7, 5, 999],
    "tuple": (7, 5, 999),
    "generator": (id_ for id_ in (7, 5, 999)),
    "dict keys": {7: "", 5: "", 999: ""}.keys(),
    "range and more": [*range(7, 8), 5, 999],
    "enum": [Colour.RED, 5, 999],
    "list of numpy": [np.int8(7), np.uint64(5), np.int64(999)],
    "list of 0-d": [np.array(7), np.array(5), np.array(999)],
    "list of arrow": list(pa.array([7, 5, 999])),
    "numpy": np.array([7, 5, 999]),
    "numpy uint16": np.array([7, 5, 999], np.uint16),
    "numpy object": np.array([7, 5, 999], object),
    "numpy strided": np.array([7, 0, 5, 0, 999])[::2],
    "pandas": pd.Series([7, 5, 999]),
    "pandas index": pd.Index([7, 5, 999]),
    "pandas Int64": pd.Series([7, 5, 999], dtype="Int64"),
    "pandas arrow": pd.Series([7, 5, 999], dtype="int64[pyarrow]"),
    "pandas category": pd.Series([7, 5, 999]).astype("category"),
    "pandas object": pd.Series([7, 5, 999], dtype=object),
    "arrow": pa.array([7, 5, 999]),
    "arrow int16": pa.array([7, 5, 999], pa.int16()),
    "arrow column": pa.table({"item_id": [7, 5, 999]})["item_id"],
    "arrow chunks": pa.chunked_array([[7], [5, 999]]),
    "arrow dictionary": pa.array([7, 5, 999]).dictionary_encode(),
    "arrow slice": pa.array([0, 7, 5, 999])[1:],
}


@pytest.mark.parametrize("values", WHOLE_NUMBERS.values(), ids=WHOLE_NUMBERS)
def test_whole_numbers_of_any_container(values: Any) -> None:
    values = list(values) if not hasattr(values, "__len__") else values  # a generator can be read once
    assert NUMBERS.numbers(values, "only").tolist() == [3, 2]  # 999 could be an id, and is none
    assert NUMBERS.array(values, "users").equals(pa.array([7, 5, 999]))


TEXT = {
    "list": ["c", "b", "?"],
    "enum": ["c", Word.B, "?"],
    "numpy": np.array(["c", "b", "?"]),
    "numpy of variable width": np.array(["c", "b", "?"], np.dtypes.StringDType()),
    "numpy object": np.array(["c", "b", "?"], object),
    "pandas": pd.Series(["c", "b", "?"]),
    "pandas string": pd.Series(["c", "b", "?"], dtype="string"),
    "pandas category": pd.Categorical(["c", "b", "?"]),
    "arrow": pa.array(["c", "b", "?"]),
    "arrow large": pa.array(["c", "b", "?"], pa.large_string()),
    "arrow view": pa.array(["c", "b", "?"], pa.string_view()),
    "arrow dictionary": pa.array(["c", "b", "?"]).dictionary_encode(),
}


@pytest.mark.parametrize("values", TEXT.values(), ids=TEXT)
def test_text_of_any_container(values: Any) -> None:
    assert TEXTS.numbers(values, "only").tolist() == [3, 2]
    assert TEXTS.array(values, "users").equals(pa.array(["c", "b", "?"]))


def test_a_generator_is_read_once() -> None:
    assert NUMBERS.numbers((id_ for id_ in (9, 7)), "only").tolist() == [4, 3]


@pytest.mark.parametrize("values", [[], (), set(), np.array([]), pd.Series([]), pa.array([]), pa.nulls(0), iter(())])
def test_nothing_is_fine(values: Any) -> None:
    assert NUMBERS.numbers(values, "exclude").tolist() == []
    assert TEXTS.array([], "users").equals(pa.array([], pa.string()))


NO_IDS = {
    "'7'": ["5", "7"],
    "floats": [7.0],
    "numpy floats": np.array([7.0]),
    "pandas, whole numbers with a gap": pd.Series([7, None]),
    "pandas Int64 with a gap": pd.Series([7, None], dtype="Int64"),
    "object with a gap": pd.Series([7, None], dtype=object),
    "nan": [7, float("nan")],
    "none": [7, None],
    "NA": [pd.NA],
    "NaT": [pd.NaT],
    "bool": [True],
    "numpy bool": np.array([True]),
    "times": np.array(["2020-01-01"], "datetime64[ns]"),
    "durations": [np.timedelta64(7)],
    "pandas times": pd.Series(pd.to_datetime(["2020-01-01"])),
    "bytes": [b"7"],
    "lists": [[7]],
    "beyond 64 bits": [7, 1 << 63],
    "unsigned beyond": np.array([1 << 63], np.uint64),
    "arrow unsigned beyond": pa.array([1 << 63], pa.uint64()),
    "arrow floats": pa.array([7.0]),
    "arrow text": pa.array(["7"]),
    "arrow bool": pa.array([True]),
    "arrow gap": pa.array([7, None]),
    "arrow nulls": pa.nulls(2),
    "arrow decimal": pa.array([7]).cast(pa.decimal128(20, 0)),
    "arrow dictionary of text": pa.array(["7"]).dictionary_encode(),
}


@pytest.mark.parametrize("values", NO_IDS.values(), ids=NO_IDS)
@pytest.mark.parametrize("read", [NUMBERS.numbers, NUMBERS.array])
def test_what_can_be_no_id_of_whole_numbers(read: Any, values: Any) -> None:
    with pytest.raises(
        InputError, match=r"^asked: (the id .{1,70} is .*, those of run numbers-0 are whole|\d ids are m)"
    ):
        read(values, "asked")


@pytest.mark.parametrize("values", [[5], ["b", 5], [None], np.array([5]), pa.array([5]), ["b", ""], ["\ud800"], [b"b"]])
@pytest.mark.parametrize("read", [TEXTS.numbers, TEXTS.array])
def test_what_can_be_no_id_of_text(read: Any, values: Any) -> None:
    with pytest.raises(InputError, match=r"^asked: the id .* is .*, those of run texts-0 are text \(string\)"):
        read(values, "asked")


def test_the_one_that_makes_text_of_numbers_is_named() -> None:
    with pytest.raises(InputError, match=r"^users: the id 'x7' is string, those of run numbers-0 are whole numbers"):
        NUMBERS.array(pa.array(["5", "7", "x7", "9"]), "users")


def test_empty_text_in_a_column() -> None:
    with pytest.raises(InputError, match="asked: the id '' is empty"):
        TEXTS.array(pa.array(["b", ""]), "asked")


@pytest.mark.parametrize("value", ["123", b"7", 7, 7.0, np.int64(7), np.array(7), pa.scalar(7)])
def test_one_id_where_several_are_wanted(value: Any) -> None:
    with pytest.raises(InputError, match=r"exclude=.* is one id; pass a list of ids"):
        NUMBERS.numbers(value, "exclude")


def test_none_where_ids_are_wanted() -> None:
    with pytest.raises(InputError, match=r"^exclude=None: pass a list of ids, or leave it out$"):
        NUMBERS.numbers(None, "exclude")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"item_id": [7]}),
        pa.table({"item_id": [7]}),
        pa.table({"item_id": [7]}).to_reader(),
        np.array([[7, 5]]),
        {7: 1},
    ],
    ids=lambda frame: type(frame).__name__,
)
def test_a_frame_is_no_column(frame: Any) -> None:
    with pytest.raises(InputError, match=r"exclude: a \w+ holds more than ids; pass its column of ids"):
        NUMBERS.numbers(frame, "exclude")


@pytest.mark.filterwarnings("error")
def test_a_lazy_frame_is_no_column() -> None:
    pl = pytest.importorskip("polars")
    with pytest.raises(InputError, match=r"exclude: a LazyFrame holds more than ids"):
        NUMBERS.numbers(pl.LazyFrame({"item_id": [7]}), "exclude")


@pytest.mark.parametrize("user", [7, np.int8(7), np.uint64(7), np.array(7), pa.scalar(7), Colour.RED])
def test_one_user(user: Any) -> None:
    assert NUMBERS.number(user, "user") == 3


SPELLED = {
    "one after another": ["  caf\u00e9", "cafe\u0301\n", "\ufeffb"],
    "numpy": np.array(["  caf\u00e9", "cafe\u0301\n", "\ufeffb"]),
    "arrow": pa.array(["  caf\u00e9", "cafe\u0301\n", "\ufeffb"]),
    "enum among them": ["  caf\u00e9", "cafe\u0301\n", Word.B],
}


@pytest.mark.parametrize("values", SPELLED.values(), ids=SPELLED)
def test_text_is_spelled_as_the_tables_of_the_run_were(values: Any) -> None:
    known = Vocabulary(pa.array(["b", "caf\u00e9"]))
    reader = IdReader(known, "texts-0")
    assert reader.array(values, "users").to_pylist() == ["caf\u00e9", "caf\u00e9", "b"]
    assert reader.numbers(values, "only").tolist() == [2, 2, 1]
    assert [reader.number(value, "user") for value in values] == [2, 2, 1]
    assert reader.parse(" b ") == "b"
    kept = IdReader(known, "texts-0", Policy(id_spelling="keep"))
    assert kept.array(values, "users").equals(pa.array(values, pa.string()))
    assert kept.numbers(values, "only").tolist() == [1] * ("b" in values)


@pytest.mark.parametrize("values", [["b", "NULL"], pa.array(["b", " nan "]), ["b", "N/A"]])
@pytest.mark.parametrize("spelling", ["mend", "keep"])
def test_words_for_null_name_nobody(values: Any, spelling: Any) -> None:
    reader = IdReader(TEXTS.vocabulary, "texts-0", Policy(id_spelling=spelling))
    with pytest.raises(InputError, match=r"^users: the id .* is a word for null, those of run .*; leave it out$"):
        reader.array(values, "users")
    in_earnest = IdReader(TEXTS.vocabulary, "texts-0", Policy(null_words=()))
    assert in_earnest.numbers(values, "users").tolist() == [2]


def test_what_is_quoted_is_cut_and_escaped() -> None:
    with pytest.raises(InputError) as refused:
        NUMBERS.number("\x1b[2J\u202e" + "x" * 100_000, "user")
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 300


@given(st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_every_container_gives_the_same(ids: list[int]) -> None:
    wanted = NUMBERS.array(ids, "users")
    assert wanted.to_pylist() == ids
    for values in (np.array(ids, np.int64), pa.array(ids, pa.int64()), pd.Series(ids, dtype="Int64"), iter(ids)):
        assert NUMBERS.array(values, "users").equals(wanted)


@pytest.mark.parametrize(("text", "id_"), [("7", 7), ("0", 0), ("-3", -3), (str(2**63 - 1), 2**63 - 1)])
def test_ids_on_a_command_line(text: str, id_: int) -> None:
    assert NUMBERS.parse(text) == id_
    assert NUMBERS.parse(f" {text}\n") == id_
    assert TEXTS.parse(text) == text


@pytest.mark.parametrize(
    "text", ["1_0", "007", "+7", "7 5", "-0", "--7", "7.0", "1e3", "\u0667", "", "abc", str(2**63)]
)
def test_no_whole_numbers_on_a_command_line(text: str) -> None:
    with pytest.raises(InputError, match=r"id '.*': the ids of run numbers-0 are whole numbers \(int64\)"):
        NUMBERS.parse(text)


# The doors of a recommender.


@pytest.fixture(scope="module")
def recommender() -> SmallRecommender:
    return SmallRecommender()


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("user", ["1", 1.0, None, True, pd.NA, [1], "nobody"])
def test_a_user_that_can_be_none(recommender: SmallRecommender, user: Any, strict: bool) -> None:
    with pytest.raises(InputError, match=r"user: the id .* are whole numbers \(int64\)") as refused:
        recommender.recommend(user, 3, strict=strict)
    assert not isinstance(refused.value, UnknownUserError)


def test_every_door_refuses_the_other_type(recommender: SmallRecommender) -> None:
    for call in (
        lambda: recommender.recommend(1, exclude=[1]),
        lambda: recommender.recommend(1, only=pa.array([1])),
        lambda: recommender.recommend(1, history=[1]),
        lambda: recommender.recommend_many([1], exclude=np.array([1])),
        lambda: recommender.recommend_many(["1"]),
        lambda: recommender.similar_items(1),
        lambda: recommender.similar_users("1"),
    ):
        with pytest.raises(InputError, match=r"those of run small-0 are"):
            call()


def test_what_is_excluded_is_never_listed(recommender: SmallRecommender) -> None:
    first = [place.item_id for place in recommender.recommend(1, 2)]
    padded = [f" {item}" for item in first]
    for values in (first, set(first), padded, pa.array(padded), pd.Series(first), iter([*first, "unheard of"])):
        assert {place.item_id for place in recommender.recommend(1, 12, exclude=values)}.isdisjoint(first)
    assert {place.item_id for place in recommender.recommend(1, 12, rules={"deny": padded})}.isdisjoint(first)


def test_pandas_is_not_imported() -> None:
    program = """
import sys
import numpy as np
from belfry.dataset.vocabulary import Vocabulary, as_arrow
from belfry.pipeline.serving.ids import IdReader
reader = IdReader(Vocabulary(as_arrow(np.array([5, 7]))), "numbers-0")
for values in ([7], np.array([7]), as_arrow(np.array([7])), [np.int64(7)]):
    reader.numbers(values, "only")
    reader.array(values, "users")
sys.exit("pandas" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
