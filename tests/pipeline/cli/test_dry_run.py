"""`--dry-run` and `doctor --rates`: figures instead of work, and the exit code that a script looks at."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from belfry.pipeline.cli import commands as cli
from belfry.pipeline.jobs.estimate import costs, dry_run, rates
from belfry.pipeline.jobs.estimate.rates import REFERENCE


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("BELFRY_CACHE", str(tmp_path / "cache"))


def belfry(*arguments):
    return CliRunner().invoke(cli.app, [*map(str, arguments)])


def test_training_is_estimated_and_nothing_is_made(tmp_path, monkeypatch):
    pq.write_table(pa.table({"user_id": [1, 2], "item_id": ["a", "b"]}), tmp_path / "events.parquet")
    asked = ("train", "--interactions", tmp_path / "events.parquet", "--artifacts", tmp_path / "runs", "--dry-run")
    monkeypatch.setattr(dry_run, "_with_own", lambda available: 1 << 40)

    done = belfry(*asked)

    assert done.exit_code == 0
    assert done.output.startswith("training: 2 watches, 2 users, 2 items\nCPU ")
    assert not (tmp_path / "runs").exists()
    monkeypatch.setattr(dry_run, "_with_own", lambda available: 1 << 20)
    done = belfry(*asked)
    assert done.exit_code == 2
    assert f"error: memory: at least about {costs.TRAINING_MIB[0]:,} MiB are needed" in done.output
    assert json.loads(belfry(*asked, "--json").output)["is_enough"] is False


def test_a_table_is_estimated_and_not_written(tmp_path, tiny_run: Path):
    done = belfry("batch", "--artifacts", tiny_run, "--out", tmp_path / "out", "-n", "5", "--dry-run")

    assert done.exit_code == 0
    assert done.output.startswith("table of 5 for ")
    assert not (tmp_path / "out").exists()


def test_doctor_measures_the_machine_once_and_estimates_say_so(tmp_path, monkeypatch):
    monkeypatch.setattr(rates, "measure", lambda: rates.Rates(*[REFERENCE.products_per_s / 2] * 3, "2026-01-01"))

    done = belfry("doctor", "--rates")

    assert done.exit_code == 0
    assert done.output.endswith(f"kept in {tmp_path / 'cache' / 'rates.json'}\n")
    pq.write_table(pa.table({"user_id": [1], "item_id": [1]}), tmp_path / "events.parquet")
    told = belfry("train", "--interactions", tmp_path / "events.parquet", "--artifacts", tmp_path, "--dry-run").output
    assert "times as slow as theirs (2026-01-01)" in told
