"""The main job, from files to a run with its evaluation, on small data."""

import csv
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from belfry.dataset.sources.demo import generate
from belfry.dataset.split import TEST_FILE, TRAIN_FILE
from belfry.pipeline.jobs.run import MainJob, run_main_job
from belfry.pipeline.serving.recommender import Recommender


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder of one's own: three Parquet files."""
    made = tmp_path_factory.mktemp("data")
    tables = generate(n_users=120, n_items=100, n_watches=3_000, seed=1)
    for name, table in (("interactions", tables.interactions), ("items", tables.items), ("users", tables.users)):
        pq.write_table(table, made / f"{name}.parquet")
    return made


def run(folder: Path, artifacts: Path, preset: str, *settings: str) -> MainJob:
    return run_main_job(
        str(folder), data_folder=None, preset=preset, split=None, settings=settings, seed=0, n=5, artifacts=artifacts
    )


def test_both_stages(folder: Path, tmp_path: Path) -> None:
    quick = ("retrieval.epochs=3", "folds=2", "ranker.epochs=2", "ranker.min_steps=1", "ranker.members=1")
    job = run(folder, tmp_path / "artifacts", "default", *quick)
    recommender = Recommender.load(tmp_path / "artifacts")
    assert recommender.run.folder == job.run
    assert recommender.run.manifest.holdout == "time"
    seconds = recommender.run.manifest.notes["seconds"]
    stages = ("reading and checking", "source two_tower", "candidates and pair features", "ranker", "evaluation")
    assert all(seconds[stage]["wall"] > 0 for stage in stages)
    report = json.loads((job.run / "evaluation.json").read_text())
    assert [system["name"] for system in report["systems"]] == ["popularity", "ItemKNN", "retrieval", "both stages"]
    train, test = (pq.read_table(job.run / "split" / name) for name in (TRAIN_FILE, TEST_FILE))
    assert max(train["timestamp_s"].to_pylist()) < min(test["timestamp_s"].to_pylist())
    assert len(train) == len(recommender.features.history)
    table = pq.read_table(job.table.path)
    assert table["rank"].to_pylist()[:2] == [1, 2]
    assert recommender.run.manifest.gate.line in job.lines()
    assert job.lines()[-1] == f"evaluation  {job.run / 'evaluation.md'}"


def test_the_report_preset_leaves_its_training_curves(folder: Path, tmp_path: Path) -> None:
    job = run(folder, tmp_path / "artifacts", "report", "retrieval.epochs=2")
    recommender = Recommender.load(job.run)
    assert recommender.run.manifest.holdout == "random"
    assert recommender.two_stage.ranker is None
    curves = {path.name for path in (job.run / "training" / "curves").iterdir()}
    assert curves == {"training.csv", "loss.png", "top_1.png", "top_5.png", "top_10.png"}
    with (job.run / "test_accuracy.csv").open() as file:
        (accuracy,) = csv.DictReader(file)
    assert 0 <= float(accuracy["top_1"]) <= float(accuracy["top_100"]) <= 1
