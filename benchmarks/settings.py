"""The settings of the default towers, each varied alone, judged on folds of the train part only.

Run as `python -m benchmarks.settings [--data-folder DIR]`. Writes docs/results/settings.md. It checks defaults that
prototypes found, and those were compared on test parts too (docs/limits.md); it looks at no test part itself.
"""

import argparse
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from belfry.dataset.candidates import Candidates
from belfry.dataset.folds import Fold, make_folds
from belfry.dataset.prepare import prepare
from belfry.dataset.similarity import ease_weights
from belfry.dataset.sources.open import read_data
from belfry.dataset.validation.check import check
from belfry.evaluation.metrics import hits, lists_of, ndcg, recall
from belfry.pipeline.config import load_config
from belfry.pipeline.training.retrieval_stage import fit_first_stage
from belfry.retrieval.dense import top_candidates
from benchmarks.leaderboard.splits import CASES
from benchmarks.ranking import HOLDOUTS

RESULT = Path(__file__).parent.parent / "docs" / "results" / "settings.md"
VARIED = [
    "retrieval.l2=0.008",  # the default, to compare with
    "retrieval.l2=0.003",
    "retrieval.l2=0.03",
    "retrieval.history_dropout=0.1",
    "retrieval.history_dropout=0.4",
    "retrieval.embedding_size=32",
    "retrieval.embedding_size=128",
    "retrieval.learning_rate=0.005",
    "retrieval.learning_rate=0.02",
]
EASE_L2 = (2, 4, 8, 12, 16)  # per square root of the number of users


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-folder", type=Path, help="where ml-100k.zip lies [BELFRY_DATA]")
    arguments = parser.parse_args()
    data = prepare(check(read_data("ml-100k", arguments.data_folder))[0])
    cases = {HOLDOUTS[case.name]: case for case in CASES if case.data == "ml-100k"}
    lines = [
        "# Settings of the default towers",
        "",
        f"Written by `python -m benchmarks.settings` on {datetime.now(UTC):%Y-%m-%d}. MovieLens 100K, one fold of the",
        "train part of each split (seed 0): recall@100 / NDCG@10 on what the fold holds back.",
        "",
        f"| setting | {' | '.join(cases)} |",
        f"|---|{'---|' * len(cases)}",
    ]
    folds = {
        holdout: next(make_folds(case.split(data.interactions, 0).train, holdout, n_folds=5, seed=0))
        for holdout, case in cases.items()
    }
    for setting in VARIED:
        cells = []
        for holdout, fold in folds.items():
            config = load_config("default", holdout=holdout, settings=[setting, "sources=[]"])
            stage = fit_first_stage(data, fold.history, config, seed=0)
            users = fold.users
            cells.append(
                _cell(stage.retriever.retrieve(users, stage.features, top_k=100, exclude=fold.history.seen_items), fold)
            )
        lines.append(f"| `{setting}` | {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    for l2 in EASE_L2:
        cells = []
        for fold in folds.values():
            users, matrix = fold.users, fold.history.matrix
            scores = np.asarray(matrix[users] @ ease_weights(fold.history, l2=l2))
            cells.append(_cell(top_candidates(users, scores, fold.history.seen_items, 100, "ease"), fold))
        lines.append(f"| EASE alone, l2 = {l2} | {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    RESULT.write_text("\n".join([*lines, ""]))


def _cell(found: Candidates, fold: Fold) -> str:
    later = fold.later.seen_items
    right, n_relevant = hits(lists_of(found, 100), found.users, later), later.count(found.users)
    return f"{recall(right, n_relevant).mean():.4f} / {ndcg(right[:, :10], n_relevant).mean():.4f}"


if __name__ == "__main__":
    main()
