"""How much sooner the recommendation table is there when all cores score.

Run as `python -m benchmarks.workers RUN [--n 100]` on an idle machine: the same table by one thread and by one for each
core, alternately, by the clock. A busy machine has no answer to that; the CPU seconds beside it do not depend on it.
"""

import argparse
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from belfry.pipeline.jobs.batch import write_batch
from belfry.pipeline.serving.recommender import Recommender

REPEATS = 3


@dataclass(frozen=True)
class Timed:
    """One table."""

    wall_s: float
    cpu_s: float


def scaling(run_folder: Path, *, n: int = 100, repeats: int = REPEATS) -> float:
    """Seconds of one thread over those of one for each core, for a table of all users; the best of `repeats` each."""
    return _ratio(*measure(run_folder, n=n, repeats=repeats))


def measure(run_folder: Path, *, n: int, repeats: int) -> tuple[list[Timed], list[Timed]]:
    """Tables by one thread, and by one for each core."""
    recommender = Recommender.load(run_folder)
    recommender.recommend_many(recommender.users.ids[:300], n)
    pairs = [(_timed(recommender, n, 1), _timed(recommender, n, None)) for _ in range(repeats)]
    return [alone for alone, _ in pairs], [together for _, together in pairs]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--n", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=REPEATS)
    arguments = parser.parse_args()
    alone, together = measure(arguments.run, n=arguments.n, repeats=arguments.repeats)
    for name, tables in (("one thread", alone), ("all cores", together)):
        for timed in tables:
            print(f"{name}: {timed.wall_s:.2f} s by the clock, {timed.cpu_s:.2f} s of CPU")
    print(f"{_ratio(alone, together):.2f}x by the clock")


def _ratio(alone: list[Timed], together: list[Timed]) -> float:
    return min(timed.wall_s for timed in alone) / min(timed.wall_s for timed in together)


def _timed(recommender: Recommender, n: int, workers: int | None) -> Timed:
    with tempfile.TemporaryDirectory() as folder:
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        write_batch(recommender, Path(folder) / "out", n=n, workers=workers)
        return Timed(time.perf_counter() - wall_s, time.process_time() - cpu_s)


if __name__ == "__main__":
    main()
