"""Raw tables from CSV files: what a file leaves open (delimiter, types of ids) is found here."""

from pathlib import Path

import pyarrow as pa

from belfry.dataset import columns
from belfry.dataset.errors import TableError
from belfry.dataset.sources.id_types import ID_COLUMNS, empty_as_null, integers_or_text

CSV_SUFFIXES = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz")


def read_csv(path: Path) -> pa.Table:
    from pyarrow import csv

    with pa.input_stream(str(path)) as stream:
        head = stream.read(65536)
    first_line = head.removeprefix(b"\xef\xbb\xbf").split(b"\n")[0]
    if not first_line.strip():
        raise TableError(f"{path}: begins with an empty line; the first line must name the columns")
    delimiter = max(",\t;", key=lambda sign: first_line.count(sign.encode()))
    table = csv.read_csv(
        path,
        parse_options=csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        convert_options=csv.ConvertOptions(column_types=dict.fromkeys((*ID_COLUMNS, columns.TITLE), pa.string())),
    )
    for position, column_field in enumerate(table.schema):
        column = table.column(position)
        if column_field.name in ID_COLUMNS:
            table = table.set_column(position, column_field.name, integers_or_text(column))
        elif column_field.type == pa.string():
            table = table.set_column(position, column_field.name, empty_as_null(column))
    return table
