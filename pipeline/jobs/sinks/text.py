"""A table as one text file in a folder: CSV with a head, or JSON lines; UTF-8.

Numbers are as short as they can be and still be the same when they are read again. Lists are those of JSON in both.
"""

import io
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.json as pa_json

from belfry.pipeline.jobs.sinks.base import resliced
from belfry.pipeline.jobs.sinks.file import FileSink

_BLOCK = 1 << 20  # bytes that are read at a time


class CSVSink(FileSink):
    """Comma-separated, text in double quotes."""

    def _begin(self, schema: pa.Schema) -> "_CSVWriter":
        self._writing = _CSVWriter(self._aside, schema)
        return self._writing

    def blocks(self) -> Iterator[pa.Table]:
        schema, texts = self._writing.schema, self._writing.texts
        found = pa_csv.open_csv(
            self._aside,
            parse_options=pa_csv.ParseOptions(newlines_in_values=True),
            convert_options=pa_csv.ConvertOptions(column_types=texts, strings_can_be_null=False),
        )
        for block in resliced(iter(found), self._writing.sizes, texts):
            columns = [
                _lists_of(block[field.name], field.type) if pa.types.is_list(field.type) else block[field.name]
                for field in schema
            ]
            yield pa.table(columns, schema=schema)


class _CSVWriter:
    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.schema, self.sizes = schema, list[int]()
        self.texts = pa.schema(
            [field.with_type(pa.string()) if pa.types.is_list(field.type) else field for field in schema]
        )
        self._writer = pa_csv.CSVWriter(path, self.texts)

    def write(self, block: pa.Table) -> None:
        self.sizes.append(len(block))
        columns = [_json_of(column) if pa.types.is_list(column.type) else column for column in block.columns]
        self._writer.write_table(pa.table(columns, schema=self.texts))

    def close(self) -> None:
        self._writer.close()


class JSONLinesSink(FileSink):
    """An object in each line."""

    def _begin(self, schema: pa.Schema) -> "_JSONLinesWriter":
        self._writing = _JSONLinesWriter(self._aside, schema)
        return self._writing

    def blocks(self) -> Iterator[pa.Table]:
        schema = self._writing.schema
        options = pa_json.ParseOptions(explicit_schema=schema.remove_metadata())
        with self._aside.open("rb") as file:
            for size in self._writing.sizes:
                content = b"".join(itertools.islice(file, size))
                if not content:
                    yield schema.empty_table()
                    continue
                reading = pa_json.ReadOptions(block_size=max(_BLOCK, len(content)))
                found = pa_json.read_json(io.BytesIO(content), read_options=reading, parse_options=options)
                yield found.combine_chunks().replace_schema_metadata(schema.metadata)
            if file.read(1):
                yield schema.empty_table()  # one block more than was written


class _JSONLinesWriter:
    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.schema, self.sizes = schema, list[int]()
        self._file = path.open("wb")

    def write(self, block: pa.Table) -> None:
        self.sizes.append(len(block))
        parts: list[pa.Array | str] = []
        for name, column in zip(block.column_names, block.columns, strict=True):
            parts += [f"{', ' if parts else '{'}{json.dumps(name)}: ", _json_of(column)]
        lines = pc.binary_join_element_wise(*parts, "}\n", "")
        lines = pa.chunked_array([lines]).combine_chunks()
        _, ends, text = lines.buffers()
        if len(lines):
            start, stop = np.frombuffer(ends, np.int32)[[lines.offset, lines.offset + len(lines)]].tolist()
            self._file.write(memoryview(text)[start:stop])

    def close(self) -> None:
        self._file.close()


def _json_of(column: pa.ChunkedArray) -> pa.Array:
    """Each value as JSON; no value is null."""
    values = column.combine_chunks()
    if pa.types.is_string(values.type):
        encoded = values.dictionary_encode()
        quoted = [json.dumps(text, ensure_ascii=False) for text in encoded.dictionary.to_pylist()]
        return pa.array(quoted, pa.string()).take(encoded.indices)
    if pa.types.is_list(values.type):
        is_float = pa.types.is_floating(values.type.value_type)
        lists = values.to_pylist()
        if is_float:
            lists = [[float(str(np.float32(value))) for value in row] for row in lists]
        return pa.array([json.dumps(row, ensure_ascii=False) for row in lists], pa.string())
    return values.cast(pa.string())


def _lists_of(column: pa.ChunkedArray, kind: pa.DataType) -> pa.Array:
    return pa.array([json.loads(text) for text in column.to_pylist()], kind)
