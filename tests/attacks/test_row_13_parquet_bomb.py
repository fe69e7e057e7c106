"""Row 13: a small Parquet file whose runs of equal values unpack to more than memory holds is refused unread."""

import resource
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from belfry.dataset.errors import TableError
from belfry.dataset.sources.parquet import MAX_UNPACKED
from belfry.dataset.sources.tabular import read_table

ROWS_OF_A_GROUP = 1_000_000


def write_runs(path: Path, n_groups: int) -> None:
    group = pa.table({name: np.full(ROWS_OF_A_GROUP, 7) for name in ("user_id", "item_id")})
    with pq.ParquetWriter(path, group.schema) as writer:
        for _ in range(n_groups):
            writer.write_table(group)


def test_row_13_runs_beyond_memory(tmp_path: Path) -> None:
    write_runs(tmp_path / "bomb.parquet", 100)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(TableError, match=r"bomb\.parquet: [\d,]+ bytes unpack to at least 1,600,000,000: 100,000,000"):
        read_table(tmp_path / "bomb.parquet")
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < MAX_UNPACKED / 10


def test_runs_that_memory_holds_are_read(tmp_path: Path) -> None:
    write_runs(tmp_path / "runs.parquet", 2)
    assert read_table(tmp_path / "runs.parquet").num_rows == 2 * ROWS_OF_A_GROUP
