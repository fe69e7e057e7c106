"""Final lists by every kind of ranker, beside the same candidates in other orders: docs/results/ranking.md.

Run as `make benchmark-ranking`, or `python -m benchmarks.ranking [--data-folder DIR] [--split NAME] [--rankers a,b]
[--seeds 3] [--results DIR] [--write-only]`. What is stored under --results is not measured again, so that a long run
can be done in parts. All rankers of a seed learn from the same examples and order the same candidates. Full ranking
over the catalogue, seen items removed; training sees the train part alone.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import cast

import numpy as np
from pydantic import BaseModel, ConfigDict

from belfry.dataset.candidates import Candidates, order_by
from belfry.dataset.folds import Holdout
from belfry.dataset.prepare import Data
from belfry.evaluation.context import EvaluationContext
from belfry.evaluation.intervals import paired_intervals
from belfry.pipeline.config import PipelineConfig, load_config
from belfry.pipeline.progress import silent
from belfry.pipeline.runs.versions import installed_versions
from belfry.pipeline.training.list_trainer import ListRankerTrainer
from belfry.pipeline.training.retrieval_stage import FirstStage, fit_first_stage
from belfry.pipeline.training.sources import keep_usable
from belfry.pipeline.training.train import observe_folds
from belfry.ranking.base import SavedRanker
from belfry.ranking.listwise.config import (
    AttentionRankerConfig,
    CrossRankerConfig,
    DeepRankerConfig,
    LightGbmRankerConfig,
    ListRankerConfig,
    NeuralMfRankerConfig,
    TransformerRankerConfig,
    WideDeepRankerConfig,
)
from belfry.ranking.listwise.feature_ranker import FeaturedRanker, TrainedFeaturedRanker
from belfry.ranking.registry import KINDS
from belfry.retrieval.models.ease import EASE, EASEConfig
from benchmarks.judging import context_of, scores_of
from benchmarks.leaderboard.splits import CASES, Case

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "results" / "ranking.md"
RESULTS = ROOT / "build" / "benchmark-ranking"
HOLDOUTS: Mapping[str, Holdout] = {
    "100k-random": "random",
    "100k-last": "last",
    "100k-time": "time",
    "1m-random": "random",
}
PEERS = {  # the best that others measured on such a split, NDCG@10, and what the final lists are to reach
    "100k-random": ("LightGBM two-stage 0.4575", 0.475),
    "100k-last": ("LightGBM over recency-weighted EASE 0.120", 0.130),
    "100k-time": ("LightGBM two-stage 0.245", 0.270),
    "1m-random": ("LightGBM two-stage 0.4374, EASE 0.4357", 0.442),
}
RANKERS: Mapping[str, ListRankerConfig] = {
    "deep": DeepRankerConfig(),
    "lightgbm": LightGbmRankerConfig(),
    "deep, no blending": DeepRankerConfig(retrieval_weight=0),
    "deep, 1 member": DeepRankerConfig(members=1),
    "deep, 4 members": DeepRankerConfig(members=4),
    "cross": CrossRankerConfig(members=1),
    "wide_deep": WideDeepRankerConfig(members=1),
    "attention": AttentionRankerConfig(members=1),
    "transformer": TransformerRankerConfig(members=1),
    "neural_mf": NeuralMfRankerConfig(members=1),
    **{
        f"deep, {objective}": DeepRankerConfig(objective=objective, members=1)
        for objective in ("binary", "bpr", "hinge", "approx_ndcg", "lambda")
    },
}
ALWAYS = ("deep", "lightgbm")
DEFAULT, PEER = "deep", "lightgbm"
EASE_ALONE, RETRIEVAL = "EASE alone", "retrieval alone"


class Result(BaseModel):
    """One order of the candidates of one split and seed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    split: str
    system: str
    seed: int
    ndcg: list[float]  # @10 of each judged user, rising by number
    recall_10: float
    recall_100: float
    validation_ndcg: float | None = None  # of the ranker, over the lists that the gate saw
    gate_is_open: bool | None = None
    retrieval_weight: float | None = None
    training_s: float | None = None  # of the ranker alone
    all_training_s: float | None = None  # of both stages with this ranker
    pairs_per_s: float | None = None  # of CPU time of the serving form, features given
    described_per_s: float | None = None  # of CPU time, features computed
    versions: dict[str, str]
    measured_on: str


@dataclass(frozen=True)
class Measured:
    """A first stage on the train part, its candidates for the judged users, and what they are judged by."""

    case: Case
    seed: int
    config: PipelineConfig
    data: Data  # of the train part
    first: FirstStage
    candidates: Candidates
    context: EvaluationContext
    first_s: float

    def result(self, system: str, lists: Candidates, **more: object) -> Result:
        found = scores_of(lists, self.context, depth=self.config.n_candidates, cutoffs=(100,)).per_user
        return Result(
            split=self.case.name,
            system=system,
            seed=self.seed,
            ndcg=found["ndcg@10"].tolist(),
            recall_10=float(found["recall@10"].mean()),
            recall_100=float(found["recall@100"].mean()),
            versions=installed_versions(),
            measured_on=f"{datetime.now(UTC):%Y-%m-%d}",
            **more,  # type: ignore[arg-type]
        )


def measure(case: Case, seed: int, wanted: Sequence[str], data_folder: Path | None, folder: Path) -> None:
    """Train both stages once, every wanted ranker on the same examples, and store what each gives."""
    everything, holdout = case.load(data_folder), HOLDOUTS[case.name]
    split = case.split(everything.interactions, seed)
    data = replace(everything, interactions=split.train)
    config, _ = keep_usable(load_config("default", holdout=holdout), data)
    started = perf_counter()
    with closing(ListRankerTrainer(data, config, seed=seed, progress=silent)) as trainer:
        tuning = observe_folds(data, config, trainer, holdout=holdout, seed=seed).tuning
        rankers = {}
        folds_s = perf_counter() - started
        for name in wanted:
            started = perf_counter()
            rankers[name] = (*trainer.fit(RANKERS[name]), perf_counter() - started)
            print(f"{case.name} seed {seed} {name}: validation {rankers[name][1].ranker_ndcg}", flush=True)
    started = perf_counter()
    first = fit_first_stage(data, split.train, config, seed=seed, tuning=tuning)
    first_s = folds_s + perf_counter() - started
    context, exclude = context_of(split, min_history=case.min_history), split.train.seen_items
    users = context.users
    candidates = first.retriever.retrieve(users, first.features, top_k=config.n_candidates, exclude=exclude)
    judged = Measured(case, seed, config, data, first, candidates, context, first_s)
    ease = EASE(EASEConfig()).fit(split.train, first.features, seed=seed)
    by_ease = ease.retrieve(users, first.features, top_k=config.n_candidates, exclude=exclude)
    keep(judged.result(EASE_ALONE, by_ease), folder)
    keep(judged.result(RETRIEVAL, candidates, all_training_s=first_s), folder)
    for name, (ranker_of, gate, training_s) in rankers.items():
        assert ranker_of is not None
        trained = cast(TrainedFeaturedRanker, ranker_of(first))
        with TemporaryDirectory() as place:
            trained.export(Path(place))
            saved = SavedRanker(Path(place), RANKERS[name], config.pair_features)
            ranker = cast(FeaturedRanker, KINDS[RANKERS[name].kind].load(saved))
            started = process_time()
            lists = ranker.describe(candidates, first.features)
            described = process_time() - started
            started = process_time()
            scores = ranker.score_lists(lists)
            scored = process_time() - started
        result = judged.result(
            name,
            order_by(candidates, scores, top_k=config.n_candidates),
            validation_ndcg=gate.ranker_ndcg,
            gate_is_open=gate.is_open,
            retrieval_weight=trained.score_blend.retrieval_weight,
            training_s=training_s,
            all_training_s=first_s + training_s,
            pairs_per_s=len(candidates) / scored,
            described_per_s=len(candidates) / described,
        )
        keep(result, folder)
        print(f"{case.name} seed {seed} {name}: NDCG@10 {np.mean(result.ndcg):.4f}", flush=True)


def keep(result: Result, folder: Path) -> None:
    path = _path(folder, result.split, result.system, result.seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(result.model_dump_json(indent=1))


def _path(folder: Path, split: str, system: str, seed: int) -> Path:
    return folder / split / f"{system}.seed{seed}.json"


def stored(folder: Path, split: str, system: str, seeds: Sequence[int]) -> list[Result]:
    paths = [_path(folder, split, system, seed) for seed in seeds]
    return [Result(**json.loads(path.read_text())) for path in paths if path.exists()]


def page(folder: Path, seeds: Sequence[int]) -> str:
    sections, versions, days = [], {}, set()
    for case in CASES:
        found = {name: stored(folder, case.name, name, seeds) for name in (EASE_ALONE, RETRIEVAL, *RANKERS)}
        found = {name: results for name, results in found.items() if results}
        if not found:
            continue
        for results in found.values():
            versions |= results[0].versions
            days |= {result.measured_on for result in results}
        sections += _section(case, found)
    shown = ", ".join(
        f"{name} {versions[name]}" for name in ("tensorflow", "scann", "lightgbm", "numpy") if name in versions
    )
    return "\n".join(
        [
            "# Final lists by every ranker",
            "",
            f"Written by `make benchmark-ranking` from measurements of {', '.join(sorted(days))}; {shown}.",
            "",
            "Full ranking over the whole catalogue, seen items removed, means over users. All rankers of a seed",
            "learned from the same examples, held back on the train part, and order the same candidates.",
            "`validation` is NDCG@10 over the lists that the gate sees. Brackets: 95% bootstrap over users.",
            "Wall time on shared cores; pairs/s of CPU time, one thread: the serving form / computing the features.",
            "",
            *sections,
        ]
    )


def _section(case: Case, found: Mapping[str, list[Result]]) -> list[str]:
    peer, goal = PEERS[case.name]
    n_users = len(next(iter(found.values()))[0].ndcg)
    lines = [
        f"## {case.title}",
        "",
        f"{n_users:,} users judged. Best measured by others on such a split: {peer}; wanted here: {goal:.3f}.",
        "",
        "| order | NDCG@10 (each seed) | minus LightGBM | recall@10 | recall@100 | validation | training s | pairs/s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, results in found.items():
        figures = np.array([np.mean(result.ndcg) for result in results])
        last = results[-1]
        lines.append(
            f"| {name} | **{figures.mean():.4f}** ({' / '.join(f'{figure:.4f}' for figure in figures)}) "
            f"| {_difference(found.get(PEER, []), results) if name != PEER else ''} "
            f"| {np.mean([result.recall_10 for result in results]):.4f} "
            f"| {np.mean([result.recall_100 for result in results]):.4f} "
            f"| {_mean([result.validation_ndcg for result in results])} "
            f"| {_seconds(results)} "
            f"| {_thousands(last.pairs_per_s)} / {_thousands(last.described_per_s)} |"
        )
    return [*lines, ""]


def _mean(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{np.mean(known):.4f}" if known else ""


def _seconds(results: Sequence[Result]) -> str:
    alone = [result.training_s for result in results if result.training_s is not None]
    whole = [result.all_training_s for result in results if result.all_training_s is not None]
    return (
        f"{np.mean(whole):.0f} ({np.mean(alone):.0f} the ranker)" if alone else f"{np.mean(whole):.0f}" if whole else ""
    )


def _thousands(per_s: float | None) -> str:
    return "-" if per_s is None else f"{per_s / 1e3:.0f}k"


def _difference(peer: Sequence[Result], results: Sequence[Result]) -> str:
    """Mean over users of what they gain, averaged over the seeds that both have, and its interval."""
    pairs = [(mine, theirs) for mine in results for theirs in peer if mine.seed == theirs.seed]
    if not pairs:
        return ""
    lengths = {len(mine.ndcg) for mine, _ in pairs}
    if len(lengths) > 1:  # a random split may leave a user without a test row: other users are judged
        pairs = pairs[:1]
    mine, theirs = (np.mean([pair[side].ndcg for pair in pairs], axis=0) for side in (0, 1))
    gain = paired_intervals(theirs[:, None], mine[:, None], seed=0)[0]
    return f"{gain.mean:+.4f} [{gain.low:+.4f}, {gain.high:+.4f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-folder", type=Path, help="where ml-100k.zip and ml-1m lie [BELFRY_DATA]")
    parser.add_argument("--split", action="append", choices=list(HOLDOUTS), help="default: all")
    parser.add_argument("--rankers", default=",".join(ALWAYS), help="names, or all")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of stored results")
    parser.add_argument("--write-only", action="store_true", help="write the page of what is stored")
    asked = parser.parse_args()
    names = list(RANKERS) if asked.rankers == "all" else asked.rankers.split(";" if ";" in asked.rankers else ",")
    for case in CASES:
        for seed in range(0 if asked.write_only else asked.seeds):
            wanted = [name for name in names if not stored(asked.results, case.name, name, [seed])]
            if wanted and case.name in (asked.split or HOLDOUTS):
                measure(case, seed, wanted, asked.data_folder, asked.results)
    PAGE.write_text(page(asked.results, range(asked.seeds)))
    print(f"written to {PAGE}")


if __name__ == "__main__":
    main()
