"""Dry runs: shapes read cheaply, words where there is too little, and estimates that real work bears out."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from belfry.dataset.errors import TableError
from belfry.dataset.sources.demo import generate
from belfry.dataset.sources.reading import Reading
from belfry.dataset.sources.web.cache import cache_folder
from belfry.pipeline.jobs.estimate import costs, dry_run
from belfry.pipeline.jobs.estimate.costs import Shape
from belfry.pipeline.jobs.estimate.dry_run import estimate_table, estimate_training, note_if_scarce, read_shape
from tests.pipeline.small_world import small_data

ROOT = Path(__file__).parents[4]
LEAST_MIB = f"{costs.TRAINING_MIB[0]:,} MiB"  # of any training
EVENTS = pa.table({"user_id": ["a", "b", "a", None], "item_id": [1, 2, 3, 3]})


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("BELFRY_CACHE", str(tmp_path / "cache"))


def test_shape_counts_rows_and_the_ids_of_all_tables(tmp_path):
    items = pa.table({"item_id": [1, 2, 3, 4, 5], "title": ["x"] * 5})
    pq.write_table(EVENTS, tmp_path / "events.parquet", row_group_size=2)
    pa.csv.write_csv(EVENTS.rename_columns(["who", "item_id"]), tmp_path / "events.csv")

    assert read_shape(tmp_path / "events.parquet", items) == Shape(4, 2, 5)
    assert read_shape(tmp_path / "events.csv", reading=Reading({"user_id": "who"})).n_items == 3
    with pytest.raises(TableError, match="interactions: no column user_id: "):
        read_shape(tmp_path / "events.csv")


def test_too_little_memory_or_disk_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(dry_run, "available_bytes", lambda: 1 << 20)
    monkeypatch.setattr(dry_run, "_with_own", lambda available: available)
    monkeypatch.setattr(dry_run, "_free", lambda folder: 1 << 20)

    found = estimate_training(EVENTS, artifacts=tmp_path / "artifacts")

    memory, disk = found.problems
    assert memory.startswith(f"memory: at least about {LEAST_MIB} are needed and 1 MiB can be had; take a machine")
    assert disk == f"disk: about {costs.RUN_MIB[0]} MiB are needed and 1 MiB are free; free some"
    assert found.lines()[-2:] == [f"error: {memory}", f"error: {disk}"]
    assert not found.document["is_enough"]
    assert replace(found, available_bytes=None, free_bytes=1 << 40).problems == ()


def test_lines_say_where_figures_come_from(tmp_path):
    lines = estimate_training(EVENTS, artifacts=tmp_path, is_default=False).lines()

    assert lines[0] == "training: 4 watches, 2 users, 3 items"
    assert lines[1] == f"CPU     about {costs.TRAINING_CPU_S[0]} s on one core"
    assert lines[2].startswith(f"memory  about {LEAST_MIB} at the peak; ")
    assert (
        "from the measured sizes of docs/results/scale.md, a core taken for as fast as theirs; `belfry doctor --rates`"
        in lines[4]
    )
    assert lines[5].startswith("note: the default preset was measured")


def test_training_says_first_where_there_is_too_little(monkeypatch, caplog, tmp_path):
    monkeypatch.setattr(dry_run, "_with_own", lambda available: 1 << 20)

    note_if_scarce(small_data(), tmp_path, 1)

    assert f"note: memory: at least about {LEAST_MIB} are needed" in caplog.text
    assert "default preset" in caplog.text


def test_a_table_is_estimated_by_its_run(tmp_path, shaped):
    found = estimate_table(shaped, tmp_path / "out", None, 10)

    n_users = len(shaped.users)
    assert found.lines()[0].startswith(f"table of 10 for {n_users:,} users: ")
    assert found.cost.disk_bytes[0] == 60 * 10 * n_users
    assert estimate_table(shaped, tmp_path / "out", shaped.users.ids[:3], 10).cost.cpu_s[0] < found.cost.cpu_s[0]
    assert not (tmp_path / "out").exists()


def test_the_disk_of_a_table_is_that_of_its_parts(tmp_path, monkeypatch, shaped):
    monkeypatch.setattr(dry_run, "_free", lambda folder: len(str(folder)))

    for out, folder in ((tmp_path / "a:b", tmp_path / "a:b"), (f"delta:{tmp_path}/lists", tmp_path / "lists")):
        assert estimate_table(shaped, out, None, 10).free_bytes == len(str(folder))
    kept = cache_folder() / "batch" / ("0" * 12)
    assert estimate_table(shaped, "s3://bucket/lists", None, 10).free_bytes == len(str(kept))


@pytest.mark.slow
def test_a_real_training_takes_what_was_estimated(tmp_path):
    tables = generate()
    pq.write_table(tables.interactions, tmp_path / "events.parquet")
    found = estimate_training(tmp_path / "events.parquet", artifacts=tmp_path / "artifacts")
    code = (
        "import re, sys, pathlib; from belfry import train;"
        f"train({str(tmp_path / 'events.parquet')!r}, artifacts={str(tmp_path / 'artifacts')!r});"
        "print(re.search(r'VmHWM:\\s+(\\d+) kB', pathlib.Path('/proc/self/status').read_text())[1])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    peak = int(re.findall(r"^\d+$", done.stdout, re.M)[-1]) * 1024
    low, high = found.cost.memory_bytes
    assert low / 2.5 <= peak <= 2.5 * high
    run_bytes = sum(path.stat().st_size for path in (tmp_path / "artifacts").rglob("*") if path.is_file())
    assert run_bytes <= 2.5 * found.cost.disk_bytes[1]
