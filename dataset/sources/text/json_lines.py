"""Raw tables from JSON lines: one object a line."""

import json

import pyarrow as pa

from belfry.dataset.errors import TableError, shown
from belfry.dataset.sources.id_types import ID_COLUMNS
from belfry.dataset.sources.reading import RawTable, Reading, reason_of
from belfry.dataset.sources.text.encoding import as_utf8, refuse_other_than_utf8

_REMEDY = "write one object a line (pandas: to_json(F, orient='records', lines=True); jq -c '.[]')"
_MAX_BLOCK = 2**31 - 1


def read_json_lines(label: str, content: bytes, reading: Reading) -> RawTable:
    """One table from the content of a file.

    Raises:
        TableError: it is no JSON, or not one object a line.
    """
    from pyarrow import json as arrow_json

    content, notes = as_utf8(label, content, reading.encoding)
    first = next((line for line in content[: 1 << 20].splitlines() if line.strip()), b"")
    if first.lstrip().startswith(b"["):
        raise TableError(f"{label}: is a JSON array, or begins like one; {_REMEDY}")
    try:
        example = json.loads(first)
    except (ValueError, RecursionError) as error:
        if first.lstrip().startswith(b"{'"):
            raise TableError(
                f"{label}: line 1 is an object of Python and not JSON, by its single quotes; {_REMEDY}"
            ) from error
        if first.strip() == b"{" or len(content) > 1 << 20:
            raise TableError(f"{label}: its first line is no whole object; {_REMEDY}") from error
        raise TableError(
            f"{label}: its first line is no JSON: {shown(first.decode('utf-8', 'replace'))}; {_REMEDY}"
        ) from error
    if not isinstance(example, dict) or not example:
        raise TableError(f"{label}: its first line is no object with names; {_REMEDY}")
    ids = {reading.columns.get(name, name) for name in ID_COLUMNS}
    # Text that looks like a time would become one.
    texts = pa.schema([(name, pa.string()) for name in ids if isinstance(example.get(name), str)])
    block_size = 1 << 20
    while True:
        try:
            table = arrow_json.read_json(
                pa.BufferReader(content),
                read_options=arrow_json.ReadOptions(block_size=block_size),
                parse_options=arrow_json.ParseOptions(explicit_schema=texts if len(texts) else None),
            )
            table.validate(full=True)  # bytes that are no text would show when they are used
            break
        except pa.ArrowInvalid as error:
            words = str(error)
            if "straddl" in words and block_size < min(len(content), _MAX_BLOCK):
                block_size = min(block_size * 16, _MAX_BLOCK)
                continue
            refuse_other_than_utf8(label, content)
            reason = reason_of(error)
            raise TableError(
                f"{label}: cannot be read as JSON lines: {reason}; give each column one type, and {_REMEDY}"
            ) from error
    if len(table) == 1 and any(pa.types.is_nested(column.type) for column in table.columns):
        raise TableError(f"{label}: is one object, and a table has one for each row; {_REMEDY}")
    return RawTable(table, notes).renamed(reading, label)
