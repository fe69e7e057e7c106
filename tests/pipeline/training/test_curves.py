import csv
from pathlib import Path
from types import SimpleNamespace

from belfry.pipeline.runs.manifest import MANIFEST, read_manifest
from belfry.pipeline.training.curves import write_test_accuracy, write_training_curves
from belfry.retrieval.models.neural.report import EpochRecord


def test_a_row_per_epoch_and_the_reports_four_curves(tmp_path: Path) -> None:
    records = [
        EpochRecord(epoch=epoch, loss=5.0 - epoch, top_1=0.1, top_5=0.2, top_10=0.3, top_50=0.4, top_100=0.5)
        for epoch in (1, 2)
    ]
    write_training_curves(SimpleNamespace(epochs=records), tmp_path / "training")
    with (tmp_path / "training" / "training.csv").open() as file:
        rows = list(csv.reader(file))
    assert rows == [
        ["epoch", "loss", "top_1", "top_5", "top_10", "top_50", "top_100"],
        ["1", "4.0", "0.1", "0.2", "0.3", "0.4", "0.5"],
        ["2", "3.0", "0.1", "0.2", "0.3", "0.4", "0.5"],
    ]
    for name in ("loss", "top_1", "top_5", "top_10"):
        assert (tmp_path / "training" / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_towers_without_records_leave_no_files(tmp_path: Path) -> None:
    write_training_curves(SimpleNamespace(), tmp_path / "training")
    write_test_accuracy(SimpleNamespace(), None, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_run_notes_how_towers_and_ranker_learned(tiny_run: Path) -> None:
    curves = read_manifest(tiny_run / MANIFEST).notes["curves"]
    assert isinstance(curves, dict)
    assert curves["two_tower"]["metric"] == "recall@100"
    assert curves["ranker"]["metric"] == "NDCG@10"
    for curve in curves.values():
        trained = [point for point in curve["epochs"] if point["epoch"]]
        assert [point["epoch"] for point in trained] == list(range(1, len(trained) + 1))
        assert all(point["loss"] > 0 for point in trained)
        assert all(0 <= point["validation"] <= 1 for point in curve["epochs"] if point["validation"] is not None)
        assert curve["epochs"][-1]["validation"] is not None
