"""The report's towers on MovieLens 100K beside the reference: top-k accuracy, and NDCG@10 with seen movies removed.

Run as `python -m benchmarks.report_preset [--data-folder DIR] [--seeds 6]`. Writes docs/results/report-preset.md.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter

import numpy as np

from belfry.dataset.prepare import Data, prepare
from belfry.dataset.sources.open import read_data
from belfry.dataset.split import split_random
from belfry.dataset.validation.check import check
from belfry.pipeline.runs.versions import installed_versions
from belfry.retrieval.base import Retriever
from belfry.retrieval.config import ReportConfig
from belfry.retrieval.index.exact import ExactIndex
from belfry.retrieval.indexed import IndexedRetriever
from belfry.retrieval.models.neural.report import ReportTwoTower, TopKAccuracy
from belfry.retrieval.popularity import Popularity, PopularityConfig
from benchmarks.judging import context_of, judged_users, scores_of

RESULT = Path(__file__).parent.parent / "docs" / "results" / "report-preset.md"
# Means over three seeds of a plain TensorFlow Recommenders script of the same recipe; its spread is not on record.
REFERENCE = {"train top-100": 0.407, "test top-10": 0.0104, "test top-100": 0.189, "NDCG@10": 0.088}
REFERENCE_SEEDS = 3
SEEDS = 6  # of three alone, a standard deviation says little
REFERENCE_POPULARITY = 0.222  # NDCG@10


@dataclass(frozen=True)
class Measured:
    """One seed: its split, initial weights and order of batches."""

    train: TopKAccuracy
    test: TopKAccuracy
    ndcg: float  # at 10, seen movies removed
    popularity_ndcg: float
    seconds: float  # of training, accuracy after each epoch included

    @property
    def values(self) -> dict[str, float]:
        sides = {"train": self.train, "test": self.test}
        found = {f"{side} top-{k}": getattr(sides[side], f"top_{k}") for side in sides for k in (1, 5, 10, 50, 100)}
        return found | {"NDCG@10": self.ndcg, "NDCG@10 of popularity": self.popularity_ndcg}


def measure(data: Data, config: ReportConfig, *, seed: int) -> Measured:
    split = split_random(data.interactions, seed=seed)
    features = data.features(split.train)
    started = perf_counter()
    towers = ReportTwoTower(config).fit(split.train, features, seed=seed)
    seconds = perf_counter() - started
    items = np.arange(1, len(split.train.items) + 1, dtype=np.int32)
    index = ExactIndex.build(towers.encode_candidates(items, features), items)

    def ndcg(retriever: Retriever) -> float:
        seen = split.train.seen_items
        lists = retriever.retrieve(judged_users(split), features, top_k=10, exclude=seen)
        return float(scores_of(lists, context_of(split), depth=10).per_user["ndcg@10"].mean())

    return Measured(
        train=towers.epochs[-1],
        test=towers.test_accuracy(split.test),
        ndcg=ndcg(IndexedRetriever(towers, index)),
        popularity_ndcg=ndcg(Popularity(PopularityConfig()).fit(split.train, features, seed=seed)),
        seconds=seconds,
    )


def standard_errors(name: str, measured: Sequence[Measured]) -> float:
    """How far the mean lies above the reference, in standard errors of the difference of the two means.

    The reference's seeds are taken to scatter as ours do.
    """
    values = [one.values[name] for one in measured]
    error = np.std(values, ddof=1) * np.sqrt(1 / len(values) + 1 / REFERENCE_SEEDS)
    return float((np.mean(values) - REFERENCE[name]) / error)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-folder", type=Path, help="where ml-100k.zip lies [BELFRY_DATA]")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="at least 2")
    arguments = parser.parse_args()
    data = prepare(check(read_data("ml-100k", arguments.data_folder))[0])
    sections = []
    for config in (ReportConfig(objective="softmax"), ReportConfig(objective="binary")):
        measured = []
        for seed in range(arguments.seeds):
            measured.append(measure(data, config, seed=seed))
            print(config.objective, seed, measured[-1], flush=True)
        sections.append(_section(config, measured))
    RESULT.write_text("\n".join([_head(arguments.seeds), *sections]))
    print(f"written to {RESULT}")


def _section(config: ReportConfig, measured: Sequence[Measured]) -> str:
    is_compared = config.objective == "softmax"
    titles = {
        "softmax": "## softmax: what the report's code ran",
        "binary": "## sigmoid: the equation that the report prints",
    }
    lines = [
        titles[config.objective],
        "",
        "| | mean | standard deviation |" + (" reference | difference in standard errors |" if is_compared else ""),
        "|---|---|---|" + ("---|---|" if is_compared else ""),
    ]
    for name in measured[0].values:
        values = [one.values[name] for one in measured]
        line = f"| {name} | {np.mean(values):.4f} | {np.std(values, ddof=1):.4f} |"
        if is_compared and name in REFERENCE:
            line += f" {REFERENCE[name]} | {standard_errors(name, measured):+.1f} |"
        elif is_compared:
            line += f" {REFERENCE_POPULARITY if 'popularity' in name else ''} | |"
        lines.append(line)
    seconds = np.mean([one.seconds for one in measured])
    share = np.mean([one.ndcg for one in measured]) / np.mean([one.popularity_ndcg for one in measured])
    lines += ["", f"Training took {seconds:.0f} s on average. NDCG@10 is {share:.0%} of popularity's.", ""]
    return "\n".join(lines)


def _head(n_seeds: int) -> str:
    versions = installed_versions()
    names = ("python", "tensorflow", "tf-keras", "tensorflow-recommenders", "numpy")
    return "\n".join(
        [
            "# The report's towers on MovieLens 100K",
            "",
            f"Written by `python -m benchmarks.report_preset` on {datetime.now(UTC):%Y-%m-%d}, {n_seeds} seeds, "
            + ", ".join(f"{name} {versions[name]}" for name in names if name in versions)
            + ".",
            "",
            "Random 80/20 split; a seed changes split, initial weights and batches. Top-k accuracy is over all titles",
            "with seen ones left in, on train after the last epoch; NDCG@10 is over all movies with seen ones removed.",
            "Reference: three seeds of a plain TensorFlow Recommenders script of the same recipe. A standard error is",
            "that of the difference of the two means, the reference's seeds taken to scatter as these do.",
            "",
        ]
    )


if __name__ == "__main__":
    main()
