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
from belfry.dataset.sources.parts import open_table
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


@pytest.fixture
def pool():
    """Knows the peak of what Arrow takes during a test."""
    usual = pa.default_memory_pool()
    counting = pa.proxy_memory_pool(usual)
    pa.set_memory_pool(counting)
    yield counting
    pa.set_memory_pool(usual)


def codes(n, values):
    """The first of `values`, n times."""
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, np.int32)), values)


@pytest.mark.parametrize("type_", [pa.string(), pa.binary()])
@pytest.mark.parametrize("name", ["user_id", "comment"])
def test_a_long_text_in_many_rows_is_refused_before_it_is_unpacked(tmp_path, monkeypatch, pool, name, type_):
    monkeypatch.setattr(parquet, "MAX_UNPACKED", 1 << 20)
    table = pa.table({name: codes(100_000, pa.array(["x" * 100_000], type_)), "item_id": np.arange(100_000)})
    pq.write_table(table, tmp_path / "t.parquet", store_schema=False)
    del table

    with pytest.raises(TableError, match=r"bytes unpack to at least 10,000,000,000: text that repeats; shorten it"):
        read_table(tmp_path / "t.parquet")
    assert pool.max_memory() < 20 << 20


ENDS = pa.array(np.linspace(0, 20_000, 101).astype(np.int32))  # of 100 lists
LISTS = {
    "list": lambda values: pa.ListArray.from_arrays(ENDS, values),
    "large list": lambda values: pa.LargeListArray.from_arrays(ENDS.cast(pa.int64()), values),
    "list of one length": lambda values: pa.FixedSizeListArray.from_arrays(values, 200),
    "list of structs": lambda values: pa.ListArray.from_arrays(ENDS, pa.StructArray.from_arrays([values], ["name"])),
    "struct of lists": lambda values: pa.StructArray.from_arrays([pa.ListArray.from_arrays(ENDS, values)], ["names"]),
    "keys": lambda values: pa.MapArray.from_arrays(ENDS, values, pa.array(range(len(values)))),
    "values": lambda values: pa.MapArray.from_arrays(ENDS, pa.array(range(len(values))), values),
}


@pytest.mark.parametrize("type_", [pa.string(), pa.large_string(), pa.binary()])
@pytest.mark.parametrize("shape", LISTS)
def test_long_text_in_lists_is_refused_before_it_is_unpacked(tmp_path, monkeypatch, pool, shape, type_):
    monkeypatch.setattr(parquet, "MAX_UNPACKED", 1 << 20)
    monkeypatch.setattr(parquet, "MAX_GROWTH", 50)
    column = LISTS[shape](codes(20_000, pa.array(["x" * 100_000], type_)))
    pq.write_table(pa.table({"item_id": range(100), "names": column}), tmp_path / "t.parquet", store_schema=False)

    with pytest.raises(TableError, match=r"bytes unpack to at least 2,000,000,000: text that repeats; shorten it"):
        read_table(tmp_path / "t.parquet")
    assert pool.max_memory() < 10 << 20


@pytest.mark.parametrize("shape", LISTS)
@pytest.mark.parametrize("options", [{}, {"row_group_size": 7}, {"use_dictionary": False, "store_schema": False}])
@pytest.mark.parametrize("bytes_per_block", [1000, 1 << 26])
def test_text_in_lists_is_that_of_the_table_in_memory(tmp_path, monkeypatch, shape, options, bytes_per_block):
    monkeypatch.setattr(parquet, "_BYTES_PER_BLOCK", bytes_per_block)
    table = pa.table({"names": LISTS[shape](pa.array([f"tag {i % 90}" for i in range(20_000)]))})
    pq.write_table(table, tmp_path / "t.parquet", **options)

    read = read_table(tmp_path / "t.parquet")

    assert (read["names"].num_chunks > 10) == (bytes_per_block == 1000 or "row_group_size" in options)
    assert read["names"].to_pylist() == table["names"].to_pylist()


@pytest.mark.parametrize("encoding", ["DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY"])
def test_text_told_by_differences_is_read_as_other_text(tmp_path, encoding):
    table = events().select(["user_id", "item_id"])
    written = {"use_dictionary": False, "column_encoding": dict.fromkeys(table.column_names, encoding)}
    pq.write_table(table, tmp_path / "t.parquet", **written)

    assert read_table(tmp_path / "t.parquet").equals(table)
    assert [one["user_id"].to_pylist() for one in open_table(tmp_path / "t.parquet").read(["user_id"])] == [
        table["user_id"].slice(start, 1024).to_pylist() for start in range(0, len(table), 1024)
    ]
    found = prepare(check(read_tables(tmp_path / "t.parquet"))[0])
    assert found.content_hash == prepare(check(read_tables(table))[0]).content_hash


def test_much_text_told_by_differences_is_refused_after_a_block(tmp_path, monkeypatch, pool):
    monkeypatch.setattr(parquet, "MAX_UNPACKED", 1 << 20)
    table = pa.table({"comment": ["x" * 10_000] * 10_000})
    written = {"use_dictionary": False, "column_encoding": {"comment": "DELTA_BYTE_ARRAY"}}
    pq.write_table(table, tmp_path / "t.parquet", **written)
    before = table.nbytes
    del table

    with pytest.raises(TableError, match=r"bytes unpack to at least 10,\d{3},\d{3}: text that repeats; shorten it"):
        read_table(tmp_path / "t.parquet")
    assert pool.bytes_allocated() < before / 2


def test_what_memory_cannot_hold_is_refused(tmp_path, monkeypatch):
    pq.write_table(pa.table({"user_id": ["u" * 500] * 1000, "comment": ["x" * 50] * 1000}), tmp_path / "t.parquet")

    for memory in (150_000, None):  # three times the comments; ids stay encoded
        monkeypatch.setattr(parquet, "available_bytes", lambda memory=memory: memory)
        assert len(read_tables(tmp_path / "t.parquet").interactions) == 1000
    monkeypatch.setattr(parquet, "available_bytes", lambda: 149_999)
    with pytest.raises(TableError, match=r"takes some 150,000 bytes of memory to read and check, and 149,999 can be"):
        read_tables(tmp_path / "t.parquet")
    monkeypatch.setattr(parquet, "available_bytes", lambda: 15_999)
    with pytest.raises(TableError, match=r"takes some 16,000 bytes of memory to read and check, and 15,999 can be had"):
        read_tables(tmp_path / "t.parquet")


@pytest.mark.parametrize("store_schema", [True, False])
def test_json_is_bounded_as_other_text(tmp_path, monkeypatch, store_schema):
    texts = ['{"a": 1}', None, '{"a": 1}' + " " * 1000]
    column = pa.ExtensionArray.from_storage(pa.json_(), pa.array(texts * 100))
    pq.write_table(pa.table({"look": column}), tmp_path / "t.parquet", store_schema=store_schema)

    assert read_table(tmp_path / "t.parquet")["look"].to_pylist() == texts * 100
    monkeypatch.setattr(parquet, "MAX_UNPACKED", 100_000)
    monkeypatch.setattr(parquet, "MAX_GROWTH", 10)
    with pytest.raises(TableError, match=r"unpack to at least 101,600: text that repeats"):
        read_table(tmp_path / "t.parquet")


def test_parts_hold_each_text_once(tmp_path, pool):
    n = 200_000
    one = codes(n, pa.array(["x" * 10_000]))
    table = pa.table({"user_id": one, "item_id": one, "rank": np.arange(n), "tags": one})
    pq.write_table(table, tmp_path / "t.parquet", store_schema=False)
    del table, one

    (part,) = open_table(tmp_path / "t.parquet").read(["item_id", "rank"])

    assert part["item_id"].combine_chunks().dictionary.to_pylist() == ["x" * 10_000]
    assert len(part) == n
    assert pool.max_memory() < 20 << 20


def test_parts_of_few_runs_are_refused_unread(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "MAX_UNPACKED", 1 << 20)
    runs = pa.table({name: np.full(1_000_000, 7) for name in ("user_id", "item_id")})
    pq.write_table(runs, tmp_path / "t.parquet")

    with pytest.raises(TableError, match=r"unpack to at least 16,000,000: 1,000,000 rows that repeat; write the table"):
        list(open_table(tmp_path / "t.parquet").read(["user_id", "item_id"]))


def test_bytes_come_as_bytes(tmp_path):
    table = pa.table({"user_id": [b"a", None, b"b"], "look": pa.array([b"x", b"y", b"x"], pa.large_binary())})
    pq.write_table(table, tmp_path / "t.parquet")

    assert read_table(tmp_path / "t.parquet").equals(table)
    assert read_tables(tmp_path / "t.parquet").interactions.equals(table)


def test_text_longer_than_a_chunk_of_strings_is_given_in_several(tmp_path, monkeypatch):
    monkeypatch.setattr("belfry.dataset.encoding.text._MAX_BYTES", 1000)
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
    lists = pa.ListArray.from_arrays(pa.array(range(n + 1), pa.int32()), text)
    ids = pa.array(range(n), pa.int64())
    table = pa.table({"user_id": text, "item_id": ids, "note": text, "raw": text, "tags": lists})
    table = table.set_column(3, "raw", text.cast(pa.binary()).cast(pa.binary_view()))
    pq.write_table(table, tmp_path / "views.parquet", row_group_size=7)
    read = read_tables(tmp_path / "views.parquet").interactions
    assert str(read.schema.field("user_id").type).startswith("dictionary<values=")
    assert read["user_id"].to_pylist() == read["note"].to_pylist() == text.to_pylist()
    assert read["raw"].to_pylist() == table["raw"].to_pylist()
    assert read["tags"].type == pa.list_(pa.large_string())
    assert read["tags"].to_pylist() == [[one] for one in text.to_pylist()]


def test_check_counts_the_distinct_ids_of_a_file(tmp_path: Path) -> None:
    pq.write_table(events(500), tmp_path / "events.parquet", row_group_size=60)
    raw = read_tables(tmp_path / "events.parquet")
    checked = examine(raw)[0]
    uses = {use.column: use.distinct for use in column_uses(raw, checked, None)}
    given = events(500)
    assert [uses[name] for name in ("user_id", "item_id")] == [
        len(given[name].unique().drop_null()) for name in ("user_id", "item_id")
    ]
