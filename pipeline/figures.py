"""The figures of the report's training, as files; towers of another kind leave none."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dataset.interactions import Interactions

if TYPE_CHECKING:
    from retrieval.base import TowerModel
    from retrieval.report import EpochRecord

TOP_K = ("top_1", "top_5", "top_10", "top_50", "top_100")
FIGURES = {  # the report's figures 2 to 5
    "loss": "Loss",
    "top_1": "Top-1 accuracy",
    "top_5": "Top-5 accuracy",
    "top_10": "Top-10 accuracy",
}


def write_training_figures(towers: "TowerModel", folder: Path) -> None:
    """`training.csv` with a row per epoch, and a PNG over the epochs for the loss and for top-1, top-5 and top-10."""
    if not (records := getattr(towers, "epochs", None)):
        return
    folder.mkdir(parents=True, exist_ok=True)
    _write_csv(folder / "training.csv", ("epoch", "loss", *TOP_K), records)
    _draw(records, folder)


def write_test_accuracy(towers: "TowerModel", test: Interactions, folder: Path) -> None:
    """`test_accuracy.csv` with one row: top-k accuracy on the test events, seen items not removed, as in the report."""
    if test_accuracy := getattr(towers, "test_accuracy", None):
        _write_csv(folder / "test_accuracy.csv", TOP_K, [test_accuracy(test)])


def _write_csv(path: Path, columns: Sequence[str], records: Sequence[object]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows([getattr(record, name) for name in columns] for record in records)


def _draw(records: "Sequence[EpochRecord]", folder: Path) -> None:
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    epochs = [record.epoch for record in records]
    for name, label in FIGURES.items():
        figure = Figure(figsize=(6, 4), layout="constrained")
        axes = figure.subplots()
        axes.plot(epochs, [getattr(record, name) for record in records], marker="o")
        axes.set(title=f"{label} on the training watches", xlabel="Epoch", ylabel=label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        figure.savefig(folder / f"{name}.png", dpi=120)
