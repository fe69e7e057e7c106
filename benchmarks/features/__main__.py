"""What each group of pair features is worth to the ranker, and what it costs: docs/results/features.md.

Run as `make benchmark-features`, or `python -m benchmarks.features [--data-folder DIR] [--cases a,b] [--left-out NAME
...] [--seeds 1] [--results DIR] [--page FILE]`. What is stored under --results is not measured again, so a long run can
be done in parts. The train part of a split alone is looked at: first stages on its folds make the lists, and rankers
are judged on the lists of users that they did not learn from.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from belfry.pipeline.config import load_config
from belfry.pipeline.training.sources import keep_usable
from belfry.ranking.example_store import read_examples, write_examples
from benchmarks.everywhere.systems import CASES, HOLDOUTS
from benchmarks.features.measure import AGAIN, MAX_LISTS, Result, describe, measure_missing
from benchmarks.features.page import page
from benchmarks.features.sets import SETS
from benchmarks.leaderboard.splits import Case

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "results" / "features.md"
RESULTS = ROOT / "build" / "benchmark-features"
RESULT, EXAMPLES = "result.json", "examples"  # of a case
DEFAULT_CASES = (
    "100k-random",
    "100k-last",
    "100k-time",
    "1m-random",
    "beauty-last",
    "beauty-random",
    "sports-last",
    "plays-weights",
)


def main(arguments: Sequence[str] | None = None) -> None:
    known = {case.name: case for case in CASES}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-folder", type=Path, help="where ml-100k.zip, ml-1m and shops lie [BELFRY_DATA]")
    parser.add_argument("--cases", default=",".join(DEFAULT_CASES), help="names, by commas")
    parser.add_argument("--left-out", action="append", choices=list(SETS), help="may be given again; default: all")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of stored results")
    parser.add_argument("--page", type=Path, default=PAGE, help="file to write")
    asked = parser.parse_args(arguments)
    names = asked.cases.split(",")
    if unknown := [name for name in names if name not in known]:
        parser.error(f"--cases: {', '.join(unknown)}: known are {', '.join(known)}")
    for name in names:
        measure_case(known[name], asked.data_folder, asked.results / name, asked.left_out or list(SETS), asked.seeds)
    paths = {case.name: asked.results / case.name / RESULT for case in CASES}
    results = {name: Result.model_validate_json(path.read_text()) for name, path in paths.items() if path.exists()}
    asked.page.write_text(page({name: result for name, result in results.items() if AGAIN in result.ndcg}))
    print(f"written to {asked.page}")


def measure_case(case: Case, data_folder: Path | None, folder: Path, left_out: Sequence[str], n_seeds: int) -> None:
    """Store what rankers of a case lose, each figure as soon as it is known."""
    path = folder / RESULT
    if not path.exists():
        everything, holdout = case.load(data_folder), HOLDOUTS[case.name]
        data = replace(everything, interactions=case.split(everything.interactions, 0).train)
        config, _ = keep_usable(load_config("default", holdout=holdout, settings=(f"max_lists={MAX_LISTS}",)), data)
        result, examples = describe(data, config, holdout)
        write_examples(examples, folder / EXAMPLES)
        path.write_text(result.model_dump_json())
    result = Result.model_validate_json(path.read_text())
    for line in measure_missing(result, read_examples(folder / EXAMPLES), left_out, n_seeds):
        path.write_text(result.model_dump_json())
        print(f"{case.name}: without {line}", flush=True)


if __name__ == "__main__":
    main()
