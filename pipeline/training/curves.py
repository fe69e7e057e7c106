"""Training curves: as notes of a run, loss and validation by epoch; and as files, where a model keeps more."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import JsonValue

from belfry.dataset.interactions import Interactions
from belfry.pipeline.training.retrieval_stage import DEPTH_OF_REPEATS, RECALL_DEPTH

if TYPE_CHECKING:
    from belfry.pipeline.training.train import Trained
    from belfry.ranking.multitask.model import EpochLog
    from belfry.retrieval.base import TowerModel
    from belfry.retrieval.models.neural.report import EpochRecord

TOP_K = ("top_1", "top_5", "top_10", "top_50", "top_100")
CURVES = {  # the report's figures 2 to 5
    "loss": "Loss",
    "top_1": "Top-1 accuracy",
    "top_5": "Top-5 accuracy",
    "top_10": "Top-10 accuracy",
}


def notes_of_curves(trained: "Trained") -> JsonValue:
    """Of every source on the first fold, where it is validated, and of the ranker; none of what knows no epochs."""
    recall = f"recall@{DEPTH_OF_REPEATS if trained.config.repeats == 'only' else RECALL_DEPTH}"
    curves = {name: (recall, curve) for name, curve in trained.first.tuning.curves.items()}
    if curve := getattr(trained.ranker, "curve", None):
        curves["ranker"] = ("NDCG@10", curve)
    return {
        name: {"metric": metric, "epochs": [epoch._asdict() for epoch in curve]}
        for name, (metric, curve) in curves.items()
    }


def write_training_curves(towers: "TowerModel", folder: Path) -> None:
    """The report's towers: `training.csv`, and PNGs of the loss and of top-1, top-5 and top-10; tasks: `tasks.png`."""
    if tasks := getattr(towers, "epoch_logs", None):
        folder.mkdir(parents=True, exist_ok=True)
        _draw_tasks(tasks, folder / "tasks.png")
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


def _draw_tasks(logs: "Sequence[EpochLog]", path: Path) -> None:
    """Mean loss and length of the gradient on the shared weights, for each task over the epochs."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    titles = {"losses": "Mean loss", "gradient_norms": "Gradient on the shared weights"}
    for axes, (name, title) in zip(figure.subplots(1, 2), titles.items(), strict=True):
        curves = zip(logs[0].names, zip(*(getattr(log, name) for log in logs), strict=True), strict=True)
        for task, values in curves:
            axes.plot(range(1, len(logs) + 1), values, label=task)
        axes.set_yscale("symlog", linthresh=1e-4)  # a task that an epoch does not learn is at 0
        axes.set(title=title, xlabel="Epoch", ylim=(0, None))
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=120)


def _draw(records: "Sequence[EpochRecord]", folder: Path) -> None:
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    epochs = [record.epoch for record in records]
    for name, label in CURVES.items():
        figure = Figure(figsize=(6, 4), layout="constrained")
        axes = figure.subplots()
        axes.plot(epochs, [getattr(record, name) for record in records], marker="o")
        axes.set(title=f"{label} on the training watches", xlabel="Epoch", ylabel=label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        figure.savefig(folder / f"{name}.png", dpi=120)
