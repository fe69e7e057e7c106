"""Row 28: bytes of CSV and Parquet files changed, cut, doubled, put in: a load or an error in words, and soon."""

import os
import time
import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from belfry.dataset.errors import BelfryError
from belfry.dataset.sources.tabular import read_tables
from belfry.dataset.validation.check import check

MAX_S = 10  # of one file


def table(random: np.random.Generator) -> pa.Table:
    n = 200
    return pa.table(
        {
            "user_id": random.integers(1, 30, n),
            "item_id": [f"item {number}, of {number % 7}" for number in random.integers(1, 50, n)],
            "rating": random.integers(1, 6, n).astype(float),
            "timestamp_s": random.integers(1_500_000_000, 1_600_000_000, n),
            "event": [("watch", "play", None)[number] for number in random.integers(0, 3, n)],
        }
    )


def write(kind: str, path: Path, random: np.random.Generator) -> bytes:
    if kind == "csv":
        table(random).to_pandas().to_csv(path, index=False)
    else:
        pq.write_table(table(random), path, compression="none" if kind == "plain.parquet" else "snappy")
    return path.read_bytes()


def mutated(content: bytes, random: np.random.Generator) -> bytes:
    changed = bytearray(content)
    for _ in range(int(random.integers(1, 6))):
        place, length = int(random.integers(0, len(changed) + 1)), int(random.integers(1, 40))
        match random.integers(0, 6):
            case 0 if place < len(changed):
                changed[place] ^= 1 << int(random.integers(0, 8))
            case 1 if place < len(changed):
                changed[place] = int(random.choice([0, 9, 10, 13, 34, 44, 45, 59, 127, 255]))
            case 2:
                del changed[place : place + length]
            case 3:
                changed[place:place] = changed[place : place + length]
            case 4:
                changed[place:place] = random.bytes(length)
            case _:
                changed[place : place + length] = random.bytes(length)
    return bytes(changed)


def outcomes(kind: str, n: int, folder: Path) -> tuple[int, int]:
    """How many of n files were loaded, how many refused in words."""
    random = np.random.default_rng([n, len(kind)])
    path = folder / f"interactions.{kind.rpartition('.')[2]}"
    content = write(kind, path, random)
    n_loaded = n_refused = 0
    for number in range(n):
        path.write_bytes(mutated(content, random))
        started = time.monotonic()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                check(read_tables(path))
            n_loaded += 1
        except BelfryError as error:
            text = str(error)
            assert len(text) < 5_000, (number, text[:300])
            assert text.replace("\n", "").isprintable(), (number, text[:300])
            n_refused += 1
        assert time.monotonic() - started < MAX_S, number
    return n_loaded, n_refused


KINDS = ("csv", "parquet", "plain.parquet")


@pytest.mark.parametrize("kind", KINDS)
def test_row_28_600_mutated_files(kind: str, tmp_path: Path) -> None:
    assert sum(outcomes(kind, 200, tmp_path)) == 200


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_row_28_10_000_mutated_files(kind: str, tmp_path: Path) -> None:
    n = int(os.environ.get("BELFRY_MUTATIONS", "10002")) // 3
    assert sum(outcomes(kind, n, tmp_path)) == n
