"""Any table that somebody may bring: `check` reports on it, in words and soon, and loses nothing without one."""

import json
import logging
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from belfry.dataset.errors import InputError
from belfry.dataset.sources.tabular import read_table
from belfry.pipeline.jobs.check import TableCheck, check_tables

LIGHT = ("retrieval.kind=pure_svd", "retrieval.embedding_size=4", "ranker=none", "sources=[]")
LIMIT_S = 10.0
Row: TypeAlias = dict[str, Any]
Style: TypeAlias = Callable[[int, random.Random], Any]

IDS: dict[str, Style] = {
    "integer": lambda n, _: n,
    "negative": lambda n, _: -n,
    "long": lambda n, _: 2**62 + n,
    "beyond 64 bits": lambda n, _: str(2**70 + n),
    "text": lambda n, _: f"u{n}",
    "capitals": lambda n, r: f"{r.choice('uU')}{n}",
    "zeros": lambda n, r: f"{n:0{r.choice((1, 5))}d}",
    "float": lambda n, _: float(n),
    "float as text": lambda n, r: f"{n}{r.choice(('', '.0'))}",
    "scientific": lambda n, _: f"{n:.3E}",
    "uuid": lambda n, _: f"{n:08x}-0000-4000-8000-{n:012x}",
    "blanks": lambda n, r: str(n) + r.choice(("", " ", "\t", "\u00a0", "\ufeff")),
    "letters": lambda n, r: r.choice(("é", "e\u0301")) + str(n),
    "quoted": lambda n, r: r.choice(('"{}"', "'{}'", '="{}"')).format(n),
    "missing": lambda n, r: r.choice((n, n, None, "NULL", "nan", "", "\\N")),
    "signs": lambda n, _: f"\x1b[2J{n}\n|,;\t",
    "bool": lambda n, _: n % 2 == 0,
    "nested": lambda n, _: {"id": n},
}
TIMES: dict[str, Style] = {
    "seconds": lambda n, _: 1_600_000_000 + n * 3_600,
    "milliseconds": lambda n, _: (1_600_000_000 + n * 3_600) * 1_000,
    "nanoseconds": lambda n, _: (1_600_000_000 + n * 3_600) * 10**9,
    "float": lambda n, _: 1_600_000_000.5 + n,
    "text": lambda n, _: f"2021-01-{n % 28 + 1:02d} 12:00:{n % 60:02d}",
    "zone": lambda n, r: f"2021-01-{n % 28 + 1:02d}T12:00:00{r.choice(('Z', '+02:00', ''))}",
    "date": lambda n, _: f"2021-01-{n % 28 + 1:02d}",
    "american": lambda n, _: f"{n % 12 + 1}/3/2021",
    "digits": lambda n, _: 20_210_101 + n % 28,
    "days": lambda n, _: n,
    "spreadsheet": lambda n, _: 44_000 + n / 7,
    "mixed": lambda n, r: r.choice((1_600_000_000, "2021-01-01", None, -5, 10**15, "NaT")),
    "moment": lambda n, _: pd.Timestamp(1_600_000_000 + n, unit="s", tz="Asia/Tokyo"),
}
NUMBERS: dict[str, Style] = {
    "whole": lambda n, _: n % 5 + 1,
    "comma": lambda n, _: f"{n % 5},5",
    "stars": lambda n, _: "★" * (n % 5 + 1),
    "part": lambda n, _: f"{n % 5}/5",
    "bool": lambda n, _: n % 2 == 0,
    "missing": lambda n, r: r.choice((1.5, None, "NA", float("inf"), -1, float("nan"))),
    "huge": lambda n, _: 1e300,
    "zero": lambda n, _: 0,
    "word": lambda n, _: f"w{n % 3}",
    "list": lambda n, _: [f"a{n % 3}", "b"],
    "list as text": lambda n, r: r.choice(("a|b", "['a' 'b']", '["a", "b"]', "{a,b}", "[]")),
    "nested": lambda n, _: {"a": [n]},
    "bytes": lambda n, _: bytes([n % 256]),
    "price": lambda n, _: f"€{n},99",
    "constant": lambda n, _: "x",
}
PAIRS = [(user, item) for user in range(1, 13) for item in range(1, 13)]
NAMES = ("rating", "weight", "event", "title", "history", "", " ", "a/b", "é", "rating", "User_ID", "order", "x\ny")


def plain_table(number: random.Random) -> list[Row]:
    """Rows that nobody should have a word about."""
    of_user, of_item = (IDS[number.choice(("integer", "negative", "long", "text", "uuid"))] for _ in range(2))
    return [
        {"user_id": of_user(user, number), "item_id": of_item(item, number), "rating": (user + item) % 5 + 1}
        for user, item in number.sample(PAIRS, 60)
    ]


def table_of(number: random.Random, role: str) -> list[Row]:
    """Rows of one way to write each column."""
    if role == "interactions" and number.random() < 0.3:
        return plain_table(number)
    n_rows = number.choice((0, 1, 2, 12, 40, 40, 40))
    of_user, of_item = (number.choice(list(IDS)) for _ in range(2))
    others: dict[str, Style] = {}
    if number.random() < 0.7 and role == "interactions":
        others["timestamp_s"] = TIMES[number.choice(list(TIMES))]
    for _ in range(number.randrange(3)):
        others[number.choice(NAMES)] = NUMBERS[number.choice(list(NUMBERS))]
    ids = {"user_id": IDS[of_user], "item_id": IDS[of_item]}
    names = {"interactions": ("user_id", "item_id"), "items": ("item_id",), "users": ("user_id",)}[role]
    places = number.sample(PAIRS, n_rows) if role == "interactions" else [(n, n) for n in range(1, n_rows + 1)]
    rows = []
    for place, numbers in enumerate(places):
        row = {name: style(n, number) for (name, style), n in zip(ids.items(), numbers, strict=True) if name in names}
        rows.append(row | {name: style(place, number) for name, style in others.items()})
    if number.random() < 0.2 and rows:
        names = tuple(rows[0])
        renamed = dict(zip(names, number.sample((*names, "userId", "asin", "Zeit"), len(names)), strict=True))
        rows = [{renamed[name]: value for name, value in row.items()} for row in rows]
    return rows


def csv_of(rows: list[Row], number: random.Random) -> bytes:
    sign, quote = number.choice([",", "\t", ";", "|", "::", " "]), number.choice(["", '"', '"', "'"])
    end = number.choice(["\n", "\r\n", "\r"])
    cells = [list(rows[0]) if rows else ["user_id", "item_id"], *(list(row.values()) for row in rows)]
    lines = [
        sign.join(quote + ("" if cell is None else str(cell)).replace('"', '""') + quote for cell in line)
        for line in cells
    ]
    if number.random() < 0.2:
        at = number.randrange(len(lines) + 1)
        lines.insert(
            at, number.choice(["", lines[0], "# made by hand", "---|---", sign * 7, "Total", '"', "\ufeff" + lines[-1]])
        )
    if number.random() < 0.2:
        lines = [line + sign for line in lines]
    text = end.join(lines) + number.choice(["", end, end * 3])
    return text.encode(number.choice(["utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "cp1252"]), "replace")


def damaged(content: bytes, number: random.Random) -> bytes:
    at = number.randrange(len(content) + 1)
    junk = number.choice([b"\0", b"\xff", b'"', b"\n", b",", number.randbytes(20), b"[", b"\x1b[2J"])
    return number.choice([content[:at], content[:at] + junk + content[at:], content[at:], content[:at] + content])


def source_of(rows: list[Row], number: random.Random, folder: Path, name: str) -> Any:
    """A file of any kind, or a table in memory."""
    kind = number.choice(["csv", "csv", "csv", "jsonl", "json", "parquet", "pandas", "arrow"])
    frame = pd.DataFrame(rows)
    path = folder / f"{name}.{number.choice([kind, kind, kind, 'txt', 'dat'])}"
    if kind == "pandas":
        return frame
    if kind in ("arrow", "parquet"):
        try:
            table = pa.Table.from_pandas(frame, preserve_index=number.random() < 0.3)
        except (pa.ArrowException, TypeError, ValueError):
            return frame
        if kind == "arrow":
            return table
        pq.write_table(table, path)
    elif kind == "csv":
        path.write_bytes(csv_of(rows, number))
    else:
        text = (
            json.dumps(rows, default=str) if kind == "json" else "\n".join(json.dumps(row, default=str) for row in rows)
        )
        path.write_text(text)
    return path


def check_soon(sources: dict[str, Any]) -> TableCheck | str:
    """The report, or the words of the refusal."""
    started = time.monotonic()
    try:
        found = check_tables(
            sources["interactions"], items=sources.get("items"), users=sources.get("users"), settings=LIGHT
        )
    except InputError as error:
        return str(error)
    assert json.loads(found.to_json())["can_train"] == (not found.errors)
    assert time.monotonic() - started < LIMIT_S
    return found


def try_one(seed: int, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    number = random.Random(seed)
    rows = table_of(number, "interactions")
    sources = {"interactions": source_of(rows, number, folder, f"{seed}-events")}
    for role in ("items", "users"):
        if number.random() < 0.25:
            sources[role] = source_of(table_of(number, role), number, folder, f"{seed}-{role}")
    is_damaged = number.random() < 0.15 and isinstance(sources["interactions"], Path)
    if is_damaged:
        sources["interactions"].write_bytes(damaged(sources["interactions"].read_bytes(), number))
    caplog.clear()
    found = check_soon(sources)
    words = found if isinstance(found, str) else "\n".join(found.lines())
    assert all(line.isprintable() for line in words.split("\n")), words
    if isinstance(found, str) or found.errors or found.notes or caplog.records or is_damaged:
        return
    given = [(str(row["user_id"]), str(row["item_id"])) for row in rows]
    read = [(str(row["user_id"]), str(row["item_id"])) for row in read_table(sources["interactions"]).to_pylist()]
    assert read == given
    assert found.n_events == len(given)
    if len(sources) == 1:
        assert (found.n_users, found.n_items) == tuple(len(set(ids)) for ids in zip(*given, strict=True))


def try_many(seeds: range, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    for seed in seeds:
        try:
            try_one(seed, folder, caplog)
        except Exception as error:
            raise AssertionError(f"seed {seed}") from error


def test_some_tables(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    try_many(range(300), tmp_path, caplog)


@pytest.mark.slow
def test_ten_thousand_tables(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    try_many(range(10_000), tmp_path, caplog)
