"""How much sooner the recommendation table is there when all cores score.

Run as `python -m benchmarks.workers RUN [--n 100]` on an idle machine: the same table by one process and by all,
alternately, by the clock; beside it the processor seconds, which do not mind a busy machine.
"""

import argparse
import resource
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

    n_workers: int  # processes that worked
    wall_s: float
    cpu_s: float  # of all processes
    own_cpu_s: float  # of this one, which scores from the first part to the last


def scaling(run_folder: Path, *, n: int = 100, repeats: int = REPEATS) -> float:
    """Seconds of one process over those of one for each core, for a table of all users; the best of `repeats` each.

    Below some ten seconds of work for one process, starting the others shows; below three none is started.
    """
    alone, together = measure(run_folder, n=n, repeats=repeats)
    return min(timed.wall_s for timed in alone) / min(timed.wall_s for timed in together)


def measure(run_folder: Path, *, n: int, repeats: int) -> tuple[list[Timed], list[Timed]]:
    """Tables by one process, and by one for each core."""
    recommender = Recommender.load(run_folder)
    recommender.recommend_many(recommender.users.ids[:100], n)
    pairs = [(_timed(recommender, n, 1), _timed(recommender, n, None)) for _ in range(repeats)]
    return [alone for alone, _ in pairs], [together for _, together in pairs]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--n", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=REPEATS)
    arguments = parser.parse_args()
    alone, together = measure(arguments.run, n=arguments.n, repeats=arguments.repeats)
    for timed in (*alone, *together):
        cpu = f"{timed.cpu_s:.2f} s of CPU, {timed.own_cpu_s:.2f} s of them in the first process"
        print(f"{timed.n_workers} processes: {timed.wall_s:.2f} s by the clock, {cpu}")
    wall = min(timed.wall_s for timed in alone) / min(timed.wall_s for timed in together)
    own = min(timed.own_cpu_s for timed in alone) / min(timed.own_cpu_s for timed in together)
    print(f"{wall:.2f}x by the clock; {own:.2f}x by the CPU seconds of the first process")


def _timed(recommender: Recommender, n: int, workers: int | None) -> Timed:
    with tempfile.TemporaryDirectory() as folder:
        wall_s, cpu_s, own_cpu_s = time.perf_counter(), _cpu_s(), time.process_time()
        result = write_batch(recommender, Path(folder) / "out", n=n, workers=workers)
        return Timed(
            n_workers=result.n_workers,
            wall_s=time.perf_counter() - wall_s,
            cpu_s=_cpu_s() - cpu_s,
            own_cpu_s=time.process_time() - own_cpu_s,
        )


def _cpu_s() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


if __name__ == "__main__":
    main()
