"""Spelling of ids in columns of text: what stands for no id, what only looks different, what is a number.

Everything here works on distinct values: `pa.Array` of strings, without nulls unless said otherwise.
"""

import re

import pyarrow as pa
import pyarrow.compute as pc

INTEGER = r"^(0|-?[1-9]\d{0,18})$"  # printed as a number, it is the same text
# As pandas writes integers with gaps. Up to 15 digits: a float holds them all.
WHOLE_FLOAT = r"^-?\d{1,15}\.0*$"
_NUMBER = r"^[-+]?\d[\d_]{0,17}(\.0*)?([eE]\+?\d{1,2})?$"
SCIENTIFIC = r"^-?\d(\.\d+)?[eE]\+\d{2,3}$"
QUOTED = r"""^=?(".*"|'.*')$"""
# Whitespace of any kind, and what shows nothing at all: zero-width signs, marks of direction, the byte order mark.
_BLANKS = (
    *(
        *range(0x09, 0x0E),
        *range(0x1C, 0x21),
        0x85,
        0xA0,
        0x1680,
        *range(0x2000, 0x200B),
        0x2028,
        0x2029,
        0x202F,
        0x205F,
    ),
    *(0x3000, 0x00, 0x180E, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2065), 0xFEFF),
)
BLANKS = "".join(map(chr, _BLANKS))


def trimmed(text: pa.Array) -> pa.Array:
    return pc.utf8_trim(text, characters=BLANKS)


def mended(text: pa.Array) -> pa.Array:
    """Without outer blanks, and letters composed (NFC)."""
    text = trimmed(text)
    return text if pc.all(pc.string_is_ascii(text)).as_py() else pc.utf8_normalize(text, form="NFC")


def fits(text: pa.Array, pattern: str) -> pa.Array:
    return pc.match_substring_regex(text, pattern)


def as_integers(text: pa.Array) -> pa.Array | None:
    """[n] int64, nulls kept, if each is an integer in its plain form, or a whole float such as 1.0; else None."""
    if not len(text) or not pc.all(pc.or_(fits(text, INTEGER), fits(text, WHOLE_FLOAT))).as_py():
        return None
    try:
        return pc.replace_substring_regex(text, r"\.0*$", "").cast(pa.int64())
    except pa.ArrowInvalid:  # beyond 64 bits
        return None


def numbers_in(words: tuple[str, ...]) -> list[int]:
    """Those of `words` that are integers of 64 bits."""
    return [int(word) for word in words if re.match(INTEGER, word) and abs(int(word)) < 2**63]


def plain_numbers(text: pa.Array) -> pa.Array:
    """Numbers in their plain form: 7 for 007, +7 and 7.0, 10 for 1_0, 1000 for 1e3; the rest as it is."""
    is_number = fits(text, _NUMBER)
    given = pc.replace_substring(text.filter(is_number), "_", "")
    if not len(given):
        return text
    plain = pc.replace_substring_regex(given, r"^\+|\.0*$", "")
    plain = pc.replace_substring_regex(plain, r"^(-?)0+(\d)", r"\1\2")
    plain = pc.replace_substring_regex(plain, "^-0$", "0")
    is_power = fits(given, "[eE]")
    if pc.any(is_power).as_py():
        value = pc.if_else(is_power, plain, "0").cast(pa.float64())
        is_exact = pc.and_(is_power, pc.less(pc.abs(value), 2.0**53))
        whole = pc.if_else(is_exact, value, 0.0).cast(pa.int64())
        plain = pc.if_else(is_exact, whole.cast(pa.string()), plain)
    return pc.replace_with_mask(text, is_number, plain)
