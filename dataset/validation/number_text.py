"""Numbers in text: what is one, and which commas are points."""

import pyarrow as pa
import pyarrow.compute as pc

INTEGER_LITERAL = r"^\s*[-+]?\d{1,18}\s*$"
NUMBER_LITERAL = r"^\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d{1,3})?\s*$"
_DECIMAL_COMMA = r"^(\s*[-+]?\d+),(\d{1,2}\s*)$"  # with three digits behind it, it may part thousands


def with_points(text: pa.ChunkedArray) -> pa.ChunkedArray:
    """Strings with a point for a decimal comma of one or two digits, where no value has a point of its own."""
    if pc.any(pc.match_substring(text, ".")).as_py() or not pc.any(pc.match_substring(text, ",")).as_py():
        return text
    return pc.replace_substring_regex(text, _DECIMAL_COMMA, r"\1.\2")


def decimal_comma_in(text: pa.ChunkedArray) -> str | None:
    """The first value that `with_points` would change, of text that became numbers."""
    return next(iter(text.filter(pc.match_substring(text, ",")).to_pylist()), None)
