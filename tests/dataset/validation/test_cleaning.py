"""Rows that repeat others: found as a plain loop finds them, whatever the keys and the nulls."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from belfry.dataset.validation import cleaning
from belfry.dataset.validation.cleaning import codes_of, repeats

IDS = st.sampled_from([None, "a", "b", "c"])
ROWS = st.lists(
    st.tuples(IDS, IDS, st.sampled_from([None, 0, 1, -1, 2**40]), st.sampled_from([None, "x", "y"]), st.booleans()),
    min_size=1,
    max_size=40,
)


@settings(max_examples=200, deadline=None)
@given(ROWS, st.sampled_from([1, 7, 1 << 18]))
def test_repeats_are_those_of_a_loop(rows, block):
    users, items, times, names, among = map(list, zip(*rows, strict=True))
    keys = [pa.chunked_array([pa.array(ids, pa.string())]) for ids in (users, items)]
    others = [pa.chunked_array([pa.array(times, pa.int64())]), pa.chunked_array([pa.array(names, pa.string())])]
    seen, wanted = set(), []
    for *key, is_among in rows:
        wanted.append(is_among and tuple(key) in seen)
        if is_among:
            seen.add(tuple(key))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cleaning, "_BLOCK", block)
        found = repeats([codes_of(key) for key in keys], others, np.array(among))

    assert found.tolist() == wanted


def test_rows_whose_numbers_are_one_by_chance_are_compared_key_by_key(monkeypatch):
    monkeypatch.setattr(cleaning, "_FACTOR", np.uint64(1))  # 1 + 2 and 2 + 1
    codes = [np.array([1, 2, 1], np.int32), np.array([2, 1, 2], np.int32)]

    assert repeats(codes, [], np.ones(3, np.bool_)).tolist() == [False, False, True]
