"""Text in codes: how long it is, and what it says, in every shape that holds it."""

import pyarrow as pa
import pytest

from belfry.dataset.encoding import text
from belfry.dataset.encoding.text import n_bytes_of_text, written_out

CODES = pa.dictionary(pa.int32(), pa.string())
WORDS = pa.array(["four", "é", None, "four", "", "é"])  # 12 bytes
ENCODED = WORDS.dictionary_encode()
ENDS = pa.array([0, 1, 1, 6], pa.int32())

SHAPES = {
    "alone": (ENCODED, WORDS),
    "bytes": (WORDS.cast(pa.binary()).dictionary_encode(), WORDS.cast(pa.binary())),
    "lists": (pa.ListArray.from_arrays(ENDS, ENCODED), pa.ListArray.from_arrays(ENDS, WORDS)),
    "large lists": tuple(pa.LargeListArray.from_arrays(ENDS.cast(pa.int64()), one) for one in (ENCODED, WORDS)),
    "lists of one length": tuple(pa.FixedSizeListArray.from_arrays(one, 2) for one in (ENCODED, WORDS)),
    "structs": tuple(pa.StructArray.from_arrays([one, pa.array(range(6))], ["a", "b"]) for one in (ENCODED, WORDS)),
    "maps": tuple(pa.MapArray.from_arrays(ENDS, pa.array(range(6)), one) for one in (ENCODED, WORDS)),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_text_is_as_long_as_written_out(shape: str, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded, plain = SHAPES[shape]
    monkeypatch.setattr(text, "_ROWS_AT_ONCE", 2)

    assert n_bytes_of_text(encoded) == 12
    assert [one.to_pylist() for one in written_out(encoded, plain.type)] == [plain.to_pylist()]
    assert written_out(encoded, plain.type)[0].type == plain.type


@pytest.mark.parametrize("shape", SHAPES)
def test_chunks_hold_no_more_text_than_their_ends_can_tell(shape: str, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded, plain = SHAPES[shape]
    monkeypatch.setattr(text, "_MAX_BYTES", 5)

    chunks = written_out(encoded, plain.type)

    assert len(chunks) > 1
    assert pa.chunked_array(chunks).to_pylist() == plain.to_pylist()


def test_what_is_no_text_has_no_length() -> None:
    for column in (pa.array([1, 2]), pa.array([[1.5]]), pa.array([7, 7]).dictionary_encode(), pa.nulls(3)):
        assert n_bytes_of_text(column) == 0
    assert n_bytes_of_text(pa.array([], CODES)) == 0
