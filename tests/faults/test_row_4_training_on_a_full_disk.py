"""Row 4: a disk of 3 MiB that fills while a real training publishes: weights, graphs, vectors, index, tables."""

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from belfry import train
from belfry.dataset.errors import BelfryError
from belfry.pipeline.runs.reader import open_run

PLAIN = ("retrieval.kind=pure_svd", "retrieval.embedding_size=128", "ranker=none", "sources=[]")
NEURAL = ("retrieval.embedding_size=64", "retrieval.epochs=1", "ranker=none", "sources=[]")
SMALL = ("retrieval.kind=pure_svd", "retrieval.embedding_size=2", "ranker=none", "sources=[]")


def events(n_items: int) -> pa.Table:
    random = np.random.default_rng(0)
    items = np.concatenate([np.arange(n_items), random.integers(0, n_items, 3 * n_items)])
    return pa.table({"user_id": random.integers(0, 300, len(items)), "item_id": items})


def fills(disk: Path, settings: tuple[str, ...], ballast_bytes: int) -> str:
    """The message of a training that finds no room; the run before it stays, and nothing else."""
    artifacts = disk / "artifacts"
    before = train(events(50), settings=SMALL, artifacts=artifacts).run.folder
    (disk / "ballast").write_bytes(bytes(ballast_bytes))
    there = sorted(disk.rglob("*"))
    with pytest.raises(BelfryError) as caught:
        train(events(6_000), settings=settings, artifacts=artifacts)
    assert sorted(disk.rglob("*")) == there
    assert open_run(artifacts).folder == before
    return str(caught.value)


@pytest.mark.parametrize("ballast_bytes", [0, 400_000, 800_000, 1_200_000])
def test_row_4_a_training_fills_the_disk(small_disk: Path, ballast_bytes: int) -> None:
    text = fills(small_disk, PLAIN, ballast_bytes)
    assert re.match(rf"{re.escape(str(small_disk))}.*: the disk is full \([\d,]+ bytes", text), text


@pytest.mark.slow
@pytest.mark.parametrize("ballast_bytes", [0, 300_000, 600_000, 900_000, 1_200_000, 1_500_000])
def test_row_4_a_neural_training_fills_the_disk(small_disk: Path, ballast_bytes: int) -> None:
    text = fills(small_disk, NEURAL, ballast_bytes)
    assert re.match(rf"{re.escape(str(small_disk))}.*: the disk is full \([\d,]+ bytes", text), text
