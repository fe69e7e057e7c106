"""The default preset beside plain rules on every data set at hand: docs/results/everywhere.md.

Run as `make benchmark-everywhere`, or `python -m benchmarks.everywhere [--data-folder DIR] [--case NAME ...]
[--seeds 1] [--results DIR] [--page FILE] [--write-only] [--check]`. What is stored under --results and was measured
with the code as it is now is not measured again, so a long run can be done in parts. Nothing is tuned: training sees
the train part of a split alone. --check ends with exit code 1 where, on an asked case, lists do not beat the best rule
by an interval off zero, retrieval's recall@100 is below the best rule's, or a figure is missing.
"""

import argparse
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.everywhere.page import page
from benchmarks.everywhere.results import code_now, compare, keep, stored
from benchmarks.everywhere.systems import CASES
from benchmarks.leaderboard.results import ROOT
from benchmarks.leaderboard.splits import Case

PAGE = ROOT / "docs" / "results" / "everywhere.md"
RESULTS = ROOT / "build" / "benchmark-everywhere"


def main(arguments: Sequence[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    by_name = {case.name: case for case in CASES}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-folder", type=Path, help="where ml-100k.zip, ml-1m and shops lie [BELFRY_DATA]")
    parser.add_argument("--case", action="append", choices=list(by_name), help="may be given again; default: all")
    parser.add_argument("--seeds", type=int, default=1, help="0, 1, ...")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of stored results")
    parser.add_argument("--page", type=Path, default=PAGE, help="file to write")
    parser.add_argument("--write-only", action="store_true", help="measure nothing, write the page of what is stored")
    parser.add_argument("--check", action="store_true", help="fail where a rule is not beaten")
    asked = parser.parse_args(arguments)
    if asked.seeds < 1:
        parser.error("--seeds: give 1 or more")
    cases = [by_name[name] for name in dict.fromkeys(asked.case or by_name)]
    if not asked.write_only:
        for case in cases:
            measure_missing(case, asked.seeds, asked.results, asked.data_folder)
    found = {case: stored(asked.results, case.name, asked.seeds) for case in CASES}
    asked.page.write_text(page(found, command=_command({case.name: len(results) for case, results in found.items()})))
    print(f"written to {asked.page}")
    failures = failing(cases, asked.seeds, asked.results) if asked.check else []
    for line in failures:
        print(line, file=sys.stderr)
    return int(bool(failures))


def measure_missing(case: Case, n_seeds: int, folder: Path, data_folder: Path | None) -> None:
    """Seeds that are not stored, or with another state of the code."""
    there = {result.seed for result in stored(folder, case.name, n_seeds) if result.code == code_now()}
    missing = [seed for seed in range(n_seeds) if seed not in there]
    if not missing:
        return
    from benchmarks.everywhere.measure import measure  # imports TensorFlow, which a page does without

    data = case.load(data_folder)
    for seed in missing:
        result = measure(case, data, seed)
        keep(result, folder)
        for one in compare([result]):
            print(
                f"{case.name} seed {seed} {one.metric}: {one.ours:.4f}, {one.rule} {one.theirs:.4f}, "
                f"{one.difference.mean:+.4f} [{one.difference.low:+.4f}, {one.difference.high:+.4f}]",
                flush=True,
            )


def failing(cases: Sequence[Case], n_seeds: int, folder: Path) -> list[str]:
    """A line for each figure that is missing, or not as it must be."""
    lines = []
    for case in cases:
        results = stored(folder, case.name, n_seeds)
        if len(results) < n_seeds:
            lines.append(f"{case.name}: {len(results)} of {n_seeds} seeds are measured")
        for one in compare(results) if results else []:
            if not one.holds:
                lines.append(
                    f"{case.name}: {one.metric} {one.ours:.4f} is not above {one.rule} {one.theirs:.4f}: "
                    f"{one.difference.mean:+.4f} [{one.difference.low:+.4f}, {one.difference.high:+.4f}]"
                )
    return lines


def _command(n_seeds: Mapping[str, int]) -> str:
    """What measures so many seeds of each case, be it that they were measured in parts."""
    commands = []
    for count in sorted({*n_seeds.values()} - {0}):
        more = [name for name, own in n_seeds.items() if own >= count]
        some = more if len(more) < len(CASES) else ()
        told = [*(part for name in some for part in ("--case", name)), "--seeds", str(count)]
        commands.append(shlex.join(["python", "-m", "benchmarks.everywhere", *told]))
    return "; ".join(commands)


if __name__ == "__main__":
    sys.exit(main())
