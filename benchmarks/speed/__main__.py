"""Ours and the peers in one go: training, tables and single answers, in CPU seconds, by the clock and in memory.

Run as `make benchmark-speed`, or `python -m benchmarks.speed [--cases 100k,1m,beauty] [--repeats 3]
[--repeats-large 1] [--contestants belfry,belfry-trees,ease-lightgbm,als,tfrs] [-n 100] [--data-folder DIR]
[--page FILE]`. Writes docs/results/speed.md.
"""

import argparse
import shlex
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.speed.cases import CASES
from benchmarks.speed.contestants import CONTESTANTS
from benchmarks.speed.measure import measure_case
from benchmarks.speed.page import page
from benchmarks.speed.process import ROOT

RESULT = ROOT / "docs" / "results" / "speed.md"
NAMES = tuple(contestant.name for contestant in CONTESTANTS)


def main(arguments: Sequence[str] | None = None) -> None:
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=_names_of(tuple(CASES)), default=("100k", "1m"), help="data sets")
    parser.add_argument("--contestants", type=_names_of(NAMES), default=NAMES)
    parser.add_argument("--repeats", type=int, default=3, help="on 100k; seeds 0, 1, ...")
    parser.add_argument("--repeats-large", type=int, default=1, help="on all other data")
    parser.add_argument("-n", type=int, default=100, help="length of the lists of a table")
    parser.add_argument("--data-folder", type=Path, help="where ml-100k.zip, ml-1m and shops lie [BELFRY_DATA]")
    parser.add_argument("--page", type=Path, default=RESULT, help="file to write")
    asked = parser.parse_args(arguments)
    if min(asked.repeats, asked.repeats_large, asked.n) < 1:
        parser.error("--repeats, --repeats-large and -n: give 1 or more")
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for case in asked.cases:
            n_repeats = asked.repeats if case == "100k" else asked.repeats_large
            options = {"n_repeats": n_repeats, "n": asked.n, "data_folder": asked.data_folder}
            found.append(measure_case(case, asked.contestants, folder=Path(folder), **options))
            # After each case, so that what was measured is there where a later one fails.
            command = shlex.join(["python", "-m", "benchmarks.speed", *arguments])
            asked.page.write_text(page(found, command=command if arguments else "make benchmark-speed", n=asked.n))
    print(f"written to {asked.page}")


def _names_of(known: Sequence[str]):  # type: ignore[no-untyped-def]
    def names(text: str) -> tuple[str, ...]:
        chosen = tuple(text.split(","))
        if unknown := set(chosen) - set(known):
            raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))}: known are {', '.join(known)}")
        return chosen

    return names


if __name__ == "__main__":
    main()
