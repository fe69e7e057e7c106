"""NDCG@10 and recall@100 of both stages on MovieLens 100K, three splits and three seeds; full ranking, seen removed.

Run as `make benchmark-accuracy`, or `python -m benchmarks.accuracy [--data-folder DIR] [--seeds 3]`.
Writes docs/results/accuracy.md. Training sees the train part alone; how far the defaults are free of the test parts is
said there.
"""

import argparse
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter

import numpy as np

from dataset.features import FeatureTables
from dataset.interactions import Interactions
from dataset.similarity import ease_weights
from dataset.sources.open import read_data
from dataset.split import Split, split_last_out, split_random, split_time
from dataset.validation import check
from evaluation.report import EvaluationReport
from evaluation.systems import evaluate_lists
from pipeline.config import Holdout, load_config
from pipeline.data import prepare
from pipeline.doctor import installed_versions
from pipeline.evaluate import evaluate_stages
from pipeline.train import train
from retrieval.dense import top_candidates

RESULT = Path(__file__).parent.parent / "docs" / "results" / "accuracy.md"
EASE_L2 = 500.0  # chosen on folds of the train part: docs/results/settings.md


@dataclass(frozen=True)
class Case:
    """One split, the earlier events a judged user must have, and what was measured of others on it."""

    holdout: Holdout
    make: Callable[[Interactions, int], Split]
    min_history: int
    references: str


CASES = [
    Case(
        "random",
        lambda events, seed: split_random(events, seed=seed),
        1,
        "LightGBM two-stage 0.4575, EASE 0.436, iALS 0.430, ItemKNN 0.396, popularity 0.222",
    ),
    Case(
        "last",
        lambda events, seed: split_last_out(events),
        1,
        "LightGBM over recency-weighted EASE 0.120, recency-weighted EASE 0.103, SASRec 0.089, EASE 0.072",
    ),
    Case(
        "time",
        lambda events, seed: split_time(events),
        5,
        "LightGBM two-stage 0.245, popularity of the last 7 days 0.214, iALS 0.181, EASE 0.177",
    ),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-folder", type=Path, help="where ml-100k.zip lies [BELFRY_DATA]")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", choices=[case.holdout for case in CASES])
    parser.add_argument("--set", action="append", default=[], dest="settings", help="as in belfry train")
    arguments = parser.parse_args()
    data = prepare(check(read_data("ml-100k", arguments.data_folder))[0])
    sections = []
    for case in CASES:
        if arguments.only not in (None, case.holdout):
            continue
        reports, seconds = [], []
        for seed in range(arguments.seeds):
            split = case.make(data.interactions, seed)
            config = load_config("default", holdout=case.holdout, settings=arguments.settings)
            started = perf_counter()
            stages = train(replace(data, interactions=split.train), config, holdout=case.holdout, seed=seed).stages
            seconds.append(perf_counter() - started)
            report = evaluate_stages(
                stages, split.test, run=f"seed {seed}", split=case.holdout, min_history=case.min_history, seed=seed
            )
            reports.append(replace(report, systems=(*report.systems, _ease(stages.features, report, split))))
            print(
                case.holdout,
                seed,
                {s.name: round(s.metrics["ndcg@10"].mean, 4) for s in reports[-1].systems},
                flush=True,
            )
        sections.append(_section(case, reports, seconds))
    if arguments.only is None and not arguments.settings:
        RESULT.write_text(_head(arguments.seeds) + "\n".join(sections))
        print(f"written to {RESULT}")


def _ease(features: FeatureTables, report: EvaluationReport, split: Split):
    """EASE alone, on the users of the report."""
    users = report.systems[0].users
    scores = features.history.matrix[users] @ ease_weights(features.history.matrix, l2=EASE_L2)
    lists = top_candidates(users, np.asarray(scores), features.history.seen_items, 500, "ease")
    return evaluate_lists("EASE", lists, split.test.seen_items, features.history, top_k=500, seed=0)


def _section(case: Case, reports: list[EvaluationReport], seconds: list[float]) -> str:
    values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for report in reports:
        for system in report.systems:
            for metric in ("ndcg@10", "recall@10", "recall@100", "recall@500", "coverage@10"):
                if metric in system.metrics:
                    values[system.name][metric].append(system.metrics[metric].mean)
    first = reports[0]
    both = next(system for system in first.systems if system.name == "both stages").metrics["ndcg@10"]
    gain = first.difference.metrics["ndcg@10"] if first.difference else both
    lines = [
        f"## {case.holdout}",
        "",
        f"{first.n_users} users judged. Training both stages took {np.mean(seconds):.0f} s on average.",
        "",
        "| system | NDCG@10 (each seed) | recall@10 | recall@100 | recall@500 | coverage@10 |",
        "|---|---|---|---|---|---|",
    ]
    for name, metrics in values.items():
        seeds = " / ".join(f"{value:.4f}" for value in metrics["ndcg@10"])
        means = " | ".join(
            f"{np.mean(metrics[metric]):.4f}" if metrics[metric] else "-"
            for metric in ("recall@10", "recall@100", "recall@500", "coverage@10")
        )
        lines.append(f"| {name} | **{np.mean(metrics['ndcg@10']):.4f}** ({seeds}) | {means} |")
    return "\n".join(
        [
            *lines,
            "",
            f"Seed 0, over users: both stages {both.mean:.4f} [{both.low:.4f}, {both.high:.4f}]; gain over retrieval "
            f"alone {gain.mean:+.4f} [{gain.low:+.4f}, {gain.high:+.4f}].",
            "",
            f"Measured by others on such a split (NDCG@10): {case.references}.",
            "",
        ]
    )


def _head(seeds: int) -> str:
    versions = installed_versions()
    shown = ", ".join(f"{name} {versions[name]}" for name in ("tensorflow", "scann", "numpy") if name in versions)
    return "\n".join(
        [
            "# Accuracy on MovieLens 100K",
            "",
            f"Written by `make benchmark-accuracy` on {datetime.now(UTC):%Y-%m-%d}, {seeds} seeds, {shown}.",
            "",
            "Full ranking over the whole catalogue, seen items removed, means over users. The seed changes the split",
            "(random only), the initial weights and the folds. Epochs and gate are chosen on the train part.",
            "The defaults are not free of these tests: prototypes that found them were compared on seed 0 of the",
            "random split and on the other two splits. Seeds 1 and 2 of the random split were not looked at.",
            "",
            "",
        ]
    )


if __name__ == "__main__":
    main()
