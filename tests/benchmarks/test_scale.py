"""Generated watches: as many as are asked for, of as many users and items; and what parts of a training take."""

import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from benchmarks.scale.child import parts
from benchmarks.scale.generate import generate


@pytest.mark.parametrize(
    ("asked", "n_users", "n_items"), [({}, 400, 200), ({"n_users": 50, "n_items": 3_000}, 50, 3_000)]
)
def test_watches_are_of_as_many_users_and_items_as_asked_for(asked: dict[str, int], n_users: int, n_items: int) -> None:
    table = generate(20_000, **asked)
    assert len(table) == 20_000
    for name, count in (("user_id", n_users), ("item_id", n_items)):
        numbers = table[name].to_numpy()
        assert numbers.min() >= 0
        assert 0.8 * count < numbers.max() + 1 <= count


def test_the_command_takes_the_counts(tmp_path: Path) -> None:
    file = tmp_path / "w.parquet"
    command = [sys.executable, "-m", "benchmarks.scale.generate", "1000", str(file), "--items", "900", "--users", "20"]
    subprocess.run(command, check=True, capture_output=True)
    assert pq.read_table(file)["item_id"].to_numpy().max() > 500


@pytest.mark.skipif(sys.platform != "linux", reason="reads the memory of a process from /proc")
def test_each_part_takes_time_and_memory(tmp_path: Path) -> None:
    file = tmp_path / "w.parquet"
    pq.write_table(generate(5_000), file)
    found = parts(file)
    assert found.pop("n_items") <= 50
    assert len(found) == 6
    assert min(found.values()) >= 0
