"""Spellings of one id: what is cut off, and which texts are one number."""

from decimal import Decimal

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from belfry.dataset.validation import spelling


@given(st.from_regex(r"[-+]?[0-9][0-9_]{0,4}(\.0{0,3})?([eE]\+?[0-9])?", fullmatch=True))
def test_plain_numbers_are_the_number(text: str) -> None:
    plain = spelling.plain_numbers(pa.array([text]))[0].as_py()
    assert plain == str(int(Decimal(text)))  # Decimal takes underscores too
    assert spelling.plain_numbers(pa.array([plain]))[0].as_py() == plain


def test_what_is_no_whole_number_stays() -> None:
    texts = ["1.5", "a7", "1e99", "0106X", "", "-", "1-2", "2021-01-03", "1e-3", "\u0661"]
    assert spelling.plain_numbers(pa.array(texts)).to_pylist() == texts


@given(st.text())
def test_python_would_cut_no_more_blanks(text: str) -> None:
    cut = spelling.trimmed(pa.array([text]))[0].as_py()
    assert cut == text.strip(spelling.BLANKS) == cut.strip()


def test_integers_of_text() -> None:
    assert spelling.as_integers(pa.array(["1.0", "-2", None, "3."])).to_pylist() == [1, -2, None, 3]
    for texts in (["01"], ["1", "x"], ["9223372036854775808"], [None], ["1.5"], ["+1"], []):
        assert spelling.as_integers(pa.array(texts, pa.string())) is None
