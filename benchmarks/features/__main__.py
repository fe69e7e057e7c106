"""What each group of pair features is worth to the ranker, and what it costs: docs/results/features.md.

Run as `make benchmark-features`, or `python -m benchmarks.features [--data-folder DIR] [--cases a,b] [--seeds 2]
[--results DIR] [--page FILE]`. Cases that are stored under --results are not measured again. The train part of a split
alone is looked at: first stages on its folds make the lists, and rankers are judged on the lists of users that they did
not learn from.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from belfry.pipeline.config import load_config
from belfry.pipeline.training.sources import keep_usable
from benchmarks.features.measure import Result, measure
from benchmarks.features.page import page
from benchmarks.leaderboard.splits import CASES
from benchmarks.ranking import HOLDOUTS

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "results" / "features.md"
RESULTS = ROOT / "build" / "benchmark-features"


def main(arguments: Sequence[str] | None = None) -> None:
    known = {case.name: case for case in CASES}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-folder", type=Path, help="where ml-100k.zip and ml-1m lie [BELFRY_DATA]")
    parser.add_argument("--cases", default=",".join(HOLDOUTS), help="names, by commas")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of stored results")
    parser.add_argument("--page", type=Path, default=PAGE, help="file to write")
    asked = parser.parse_args(arguments)
    names = asked.cases.split(",")
    if unknown := [name for name in names if name not in known]:
        parser.error(f"--cases: {', '.join(unknown)}: known are {', '.join(known)}")
    results = {}
    for name in names:
        path = asked.results / f"{name}.{asked.seeds}-seeds.json"
        if not path.exists():
            everything, holdout = known[name].load(asked.data_folder), HOLDOUTS[name]
            data = replace(everything, interactions=known[name].split(everything.interactions, 0).train)
            config, _ = keep_usable(load_config("default", holdout=holdout), data)
            print(name, flush=True)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(measure(data, config, holdout, asked.seeds).model_dump_json())
        results[name] = Result.model_validate_json(path.read_text())
    command = f"python -m benchmarks.features --cases {asked.cases} --seeds {asked.seeds}"
    asked.page.write_text(page(results, command=command))
    print(f"written to {asked.page}")


if __name__ == "__main__":
    main()
