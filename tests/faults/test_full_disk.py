"""A disk that fills up while a run is written: said in words, the published run stays, nothing else is left."""

import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from belfry.dataset.errors import BelfryError, InputError
from belfry.pipeline.runs.manifest import RunInfo
from belfry.pipeline.runs.reader import open_run
from belfry.pipeline.runs.registry.listed import remove_runs
from belfry.pipeline.runs.writer import publish

INFO = RunInfo(preset="default", seed=0, holdout="time", config={}, versions={}, input_hash="")

WRITERS = {
    "python": lambda path: path.write_bytes(bytes(8_000_000)),
    "numpy": lambda path: np.save(path, np.zeros(1_000_000)),
    "parquet": lambda path: pq.write_table(pa.table({"a": np.random.default_rng(0).random(1_000_000)}), path),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_full_in_the_middle(small_disk, kind):
    artifacts = small_disk / "artifacts"
    with publish(artifacts, INFO) as writer:
        (writer.folder / "file").write_text("whole")
    before = sorted(path.name for path in artifacts.iterdir())

    with pytest.raises(BelfryError, match=rf"{small_disk}.*: the disk is full \([\d,]+ bytes free by now\)"):  # noqa: SIM117
        with publish(artifacts, INFO) as failing:
            WRITERS[kind](failing.folder / "large")

    assert sorted(path.name for path in artifacts.iterdir()) == before
    assert open_run(artifacts).folder == writer.published


def test_old_runs_are_pruned_from_a_full_disk(small_disk):
    artifacts, runs = small_disk / "artifacts", []
    for seed in range(2):
        with publish(artifacts, INFO.model_copy(update={"seed": seed})) as writer:
            (writer.folder / "weights").write_bytes(bytes(500_000))
        runs.append(writer.published)
    with pytest.raises(OSError, match="No space left"):
        (small_disk / "ballast").write_bytes(bytes(3_000_000))
    assert shutil.disk_usage(small_disk).free == 0
    assert remove_runs(artifacts, [run.name for run in runs]) == [runs[0].name]
    assert {path.name for path in artifacts.iterdir()} == {".lock", "current", runs[1].name}
    assert shutil.disk_usage(small_disk).free > 400_000


def test_full_before_the_start(small_disk):
    (small_disk / "ballast").write_bytes(bytes(2_500_000))
    with pytest.raises(InputError, match=r"the disk has [\d,]+ bytes free and at least 1,048,576 are needed"):  # noqa: SIM117
        with publish(small_disk / "artifacts", INFO):
            pass
    assert [path.name for path in small_disk.iterdir()] == ["ballast"]
