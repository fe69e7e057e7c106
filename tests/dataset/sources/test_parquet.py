"""Parquet in blocks: as the same table in memory, whatever its row groups, dictionaries and files."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from belfry.dataset.errors import TableError
from belfry.dataset.prepare import prepare
from belfry.dataset.sources import parquet
from belfry.dataset.sources.tabular import read_table, read_tables
from belfry.dataset.validation.check import check, examine
from belfry.dataset.validation.features.table import column_uses
from belfry.dataset.validation.policy import Policy

ROOT = Path(__file__).parents[3]
MAX_BYTES_PER_WATCH = 60  # of a watch more, ids, times, all checks and numbering included

# What a process of its own takes at the peak; `ru_maxrss` would begin with what its parent takes.
CHILD = """
import json, re, sys
from pathlib import Path
from belfry.dataset.prepare import prepare
from belfry.dataset.sources.tabular import read_tables
from belfry.dataset.validation.check import check
data = prepare(check(read_tables(Path(sys.argv[1])))[0])
peak = re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())
print(json.dumps([len(data.interactions), int(peak[1]) * 1024]))
"""


def events(n=5000, *, text=True, seed=0):
    rng = np.random.default_rng(seed)
    users, items = rng.integers(0, 300, n), rng.integers(0, 200, n)
    return pa.table(
        {
            "user_id": pa.array([f"user {one}" for one in users]) if text else pa.array(users),
            "item_id": pa.array([f"i{one}" for one in items]) if text else pa.array(items.astype(np.int32)),
            "rating": rng.integers(1, 6, n).astype(float),
            "event": pa.array(["watched", "rated", None]).take(pa.array(rng.integers(0, 3, n))),
            "timestamp_s": 1_500_000_000 + rng.integers(0, 10**7, n),
        }
    )


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(parquet, "ROWS_PER_BLOCK", 300)


@pytest.mark.parametrize("text", [True, False])
@pytest.mark.parametrize(
    "options", [{}, {"row_group_size": 700}, {"use_dictionary": False}, {"dictionary_pagesize_limit": 64}]
)
def test_data_are_those_of_the_table_in_memory(tmp_path, small_blocks, text, options):
    table = events(text=text)
    pq.write_table(table, tmp_path / "t.parquet", **options)

    read = read_tables(tmp_path / "t.parquet")

    found, wanted = prepare(check(read)[0]), prepare(check(read_tables(table))[0])
    assert pa.types.is_dictionary(read.interactions["user_id"].type)
    assert read_table(tmp_path / "t.parquet").equals(table)
    assert found.content_hash == wanted.content_hash


@pytest.mark.parametrize("others", ["large_string", "dictionary", "same"])
def test_files_of_a_folder_may_hold_ids_in_other_ways(tmp_path, small_blocks, others):
    first, second = events(), events(seed=1)
    both = pa.concat_tables([first, second])
    if others != "same":
        ids = second["item_id"]
        ids = ids.dictionary_encode() if others == "dictionary" else ids.cast(pa.large_string())
        second = second.set_column(1, "item_id", ids)
    pq.write_table(first, tmp_path / "a.parquet", row_group_size=1000)
    pq.write_table(second, tmp_path / "b.parquet")

    found = prepare(check(read_tables(tmp_path))[0])

    assert found.content_hash == prepare(check(read_tables(both))[0]).content_hash


def test_the_report_names_every_problem_as_of_the_table_in_memory(tmp_path, small_blocks):
    table = pa.concat_tables([events(), events().slice(10, 3)])
    users, items = table["user_id"].to_pylist(), table["item_id"].to_pylist()
    times, events_of = table["timestamp_s"].to_pylist(), table["event"].to_pylist()
    users[7], users[2000], users[2001], items[3000], items[4000] = None, "NULL", " user 3", "", "x" * 2000
    times[17], times[1018], events_of[4999] = None, -5, "purchased"
    table = pa.table({"user_id": users, "item_id": items, "timestamp_s": times, "event": events_of})
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=999)

    for policy in (Policy(), Policy(bad_id="drop", bad_time="drop", repeated_event="keep")):
        found = examine(read_tables(tmp_path / "t.parquet"), policy)[1].findings
        assert found == examine(read_tables(table), policy)[1].findings
        assert {"bad_id", "bad_time", "id_spelling", "repeated_event"} <= {one.kind for one in found}


@pytest.mark.parametrize("type_", [pa.string(), pa.binary()])
@pytest.mark.parametrize("name", ["user_id", "comment"])
def test_a_long_text_in_many_rows_is_refused_before_it_is_unpacked(tmp_path, monkeypatch, name, type_):
    monkeypatch.setattr(parquet, "MAX_UNPACKED", 1 << 20)
    many = pa.DictionaryArray.from_arrays(pa.array(np.zeros(100_000, np.int32)), pa.array(["x" * 100_000]).cast(type_))
    table = pa.table({name: many, "item_id": np.arange(100_000)})
    pq.write_table(table, tmp_path / "t.parquet", store_schema=False)

    before = pa.total_allocated_bytes()
    with pytest.raises(TableError, match=r"bytes unpack to more than [\d,]+: text that repeats; shorten it"):
        read_table(tmp_path / "t.parquet")
    assert pa.total_allocated_bytes() - before < 10 << 20


def test_bytes_come_as_bytes(tmp_path):
    table = pa.table({"user_id": [b"a", None, b"b"], "look": pa.array([b"x", b"y", b"x"], pa.large_binary())})
    pq.write_table(table, tmp_path / "t.parquet")

    assert read_table(tmp_path / "t.parquet").equals(table)
    assert read_tables(tmp_path / "t.parquet").interactions.equals(table)


def test_text_longer_than_a_chunk_of_strings_is_given_in_several(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "_MAX_TEXT", 1000)
    pq.write_table(events(), tmp_path / "t.parquet")

    found = read_table(tmp_path / "t.parquet")

    assert found.equals(events())
    assert found["user_id"].num_chunks > 10


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from /proc")
@pytest.mark.parametrize("kind", ["whole numbers", "text"])
def test_a_watch_more_takes_sixty_bytes_at_the_peak_at_most(tmp_path, kind):
    few, many = 2_000_000, 8_000_000  # of less, what allocators round up to would be seen
    peaks = {}
    for n in (few, many):
        rng = np.random.default_rng(0)
        users, items = rng.integers(0, n // 50, n), rng.integers(0, n // 100, n)
        ids = {"user_id": users, "item_id": items}
        if kind == "text":
            names = {name: pa.array([f"{name} {one:020d}" for one in range(n // 50)]) for name in ids}
            ids = {name: names[name].take(pa.array(values)) for name, values in ids.items()}
        file = tmp_path / f"{n}.parquet"
        pq.write_table(pa.table({**ids, "timestamp_s": 1_500_000_000 + rng.integers(0, 10**8, n)}), file)
        done = subprocess.run(
            [sys.executable, "-c", CHILD, str(file)], cwd=ROOT, capture_output=True, text=True, check=True
        )
        n_read, peaks[n] = json.loads(done.stdout.splitlines()[-1])
        assert n_read > 0.99 * n

    assert (peaks[many] - peaks[few]) / (many - few) <= MAX_BYTES_PER_WATCH


@pytest.mark.parametrize("n", [0, 40])
def test_views_of_text_and_bytes_are_read_as_text_and_bytes(tmp_path: Path, n: int) -> None:
    text = pa.array([f"u{i % 7}" for i in range(n)], pa.string_view())
    table = pa.table({"user_id": text, "item_id": pa.array(range(n), pa.int64()), "note": text, "raw": text})
    table = table.set_column(3, "raw", text.cast(pa.binary()).cast(pa.binary_view()))
    pq.write_table(table, tmp_path / "views.parquet", row_group_size=7)
    read = read_tables(tmp_path / "views.parquet").interactions
    assert str(read.schema.field("user_id").type).startswith("dictionary<values=")
    assert read["user_id"].to_pylist() == read["note"].to_pylist() == text.to_pylist()
    assert read["raw"].to_pylist() == table["raw"].to_pylist()


def test_check_counts_the_distinct_ids_of_a_file(tmp_path: Path) -> None:
    pq.write_table(events(500), tmp_path / "events.parquet", row_group_size=60)
    raw = read_tables(tmp_path / "events.parquet")
    checked = examine(raw)[0]
    uses = {use.column: use.distinct for use in column_uses(raw, checked, None)}
    given = events(500)
    assert [uses[name] for name in ("user_id", "item_id")] == [
        len(given[name].unique().drop_null()) for name in ("user_id", "item_id")
    ]
