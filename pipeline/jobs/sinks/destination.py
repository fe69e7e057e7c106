"""Which sink a destination names, and where a job keeps what it needs on this machine.

| destination | table |
|---|---|
| a folder | `recommendations.parquet` in it, or `.csv` or `.jsonl` |
| `s3://bucket/prefix`, or another address that fsspec reads | below that prefix |
| `delta:PATH` | a Delta table |
| `duckdb:FILE?table=name` | a view in a DuckDB file |
| `postgresql://user@host/database?table=schema.name` | a view in PostgreSQL |
"""

import hashlib
import re
from pathlib import Path
from typing import Literal, TypeAlias
from urllib.parse import parse_qsl

from belfry.dataset.errors import InputError, printable
from belfry.dataset.sources.web.cache import cache_folder
from belfry.pipeline.jobs.sinks.base import Sink
from belfry.pipeline.jobs.sinks.file import TABLE, FileSink
from belfry.pipeline.jobs.sinks.parquet import ParquetSink
from belfry.pipeline.jobs.sinks.text import CSVSink, JSONLinesSink
from belfry.pipeline.jobs.sinks.view import DEFAULT_NAME, ViewSink, plain_name

Format: TypeAlias = Literal["parquet", "csv", "jsonl"]
FORMATS: dict[Format, type[FileSink]] = {"parquet": ParquetSink, "csv": CSVSink, "jsonl": JSONLinesSink}

_DATABASE = re.compile(r"(delta|duckdb|postgres|postgresql):")
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)  # one letter is a drive of Windows


def is_folder(destination: str | Path) -> bool:
    """Whether it is a folder of this machine, for a Parquet file."""
    return isinstance(destination, Path) or not (_DATABASE.match(destination) or _ADDRESS.match(destination))


def work_folder(destination: str | Path) -> Path:
    """The folder of this machine that holds the lock and the parts of a job: where the table is, else in the cache."""
    if is_folder(destination):
        return Path(destination)
    text = str(destination)
    if text.startswith("delta:"):
        return Path(text.removeprefix("delta:"))
    place = text if _ADDRESS.match(text) else f"{Path.cwd()} {text}"
    return cache_folder() / "batch" / hashlib.sha256(place.encode()).hexdigest()[:12]


def takes_lists(destination: str | Path) -> bool:
    """Whether a column may hold lists there."""
    return is_folder(destination) or not re.match(r"(duckdb|postgres|postgresql):", str(destination))


def sink_of(destination: str | Path, aside: Path, format: Format = "parquet") -> Sink:  # noqa: A002
    """The sink that a destination names.

    Args:
        format: of a file in a folder of this machine; other destinations have one form.
        aside: a folder in `work_folder` for what a Parquet file is while it is written.

    Raises:
        InputError: it names none, or what it needs is not installed.
    """
    if is_folder(destination):
        name = TABLE.replace("parquet", format)
        return FORMATS[format](Path(destination) / name, aside=aside / name)
    text = str(destination)
    if format != "parquet":
        shown = printable(text, 200)
        raise InputError(f"{shown}: csv and jsonl are forms of a file in a folder; name one, or leave the format out")
    match text.partition(":")[0]:
        case "delta":
            return _delta(text, aside)
        case "duckdb":
            return _duckdb(text)
        case "postgres" | "postgresql":
            return _postgres(text)
    return _object_store(text)


def _object_store(url: str) -> Sink:
    from belfry.pipeline.jobs.sinks.object_store import ObjectStoreSink

    return ObjectStoreSink(url)


def _delta(text: str, aside: Path) -> Sink:
    from belfry.pipeline.jobs.sinks.delta import DeltaSink

    path = text.removeprefix("delta:")
    if not path or "://" in path:
        raise InputError(f"{printable(text, 200)}: names no folder of this machine; write delta:PATH")
    return DeltaSink(Path(path), aside=aside / TABLE)


def _duckdb(text: str) -> Sink:
    from belfry.pipeline.jobs.sinks.duckdb import DuckDBFile

    path, _, query = text.removeprefix("duckdb:").partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    name = options.pop("table", DEFAULT_NAME)
    if not path or options:
        raise InputError(f"{printable(text, 200)}: cannot be read; write duckdb:FILE?table=name")
    return ViewSink(DuckDBFile(Path(path)), plain_name(name, f"duckdb:{path}"))


def _postgres(text: str) -> Sink:
    from belfry.pipeline.jobs.sinks.postgres import Postgres

    address, _, query = text.partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    schema, _, name = options.pop("table", DEFAULT_NAME).rpartition(".")
    for part in (schema or name, name):
        plain_name(part, "postgresql")
    return ViewSink(Postgres(address, options, schema or None, name), name)
