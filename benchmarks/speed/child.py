"""What is measured inside a process, for `benchmarks.speed`; prints one JSON line.

python -m benchmarks.speed.child table RUN LISTS_FOLDER -n 100
python -m benchmarks.speed.child calls RUN
python -m benchmarks.speed.child machine --floats 3000000
"""

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, process_time

import numpy as np

N_CALLS = 2_000
_WARM_CALLS = 100
_SIDE = 1_024  # of the matrices that are multiplied


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["table", "calls", "machine"])
    parser.add_argument("run", type=Path, nargs="?")
    parser.add_argument("lists", type=Path, nargs="?")
    parser.add_argument("-n", type=int, default=100)
    parser.add_argument("--floats", type=int, default=3_000_000)
    asked = parser.parse_args()
    if asked.what == "machine":
        measured = _machine(asked.floats)
    else:
        measured = _table(asked.run, asked.lists, asked.n) if asked.what == "table" else _calls(asked.run)
    print(json.dumps(measured))


def _table(run: Path, lists: Path, n: int) -> dict[str, float]:
    """CPU seconds of the table job on an opened run."""
    from belfry import Recommender
    from belfry.pipeline.jobs.batch import write_batch
    from belfry.pipeline.stopwatch import Stopwatch

    recommender = Recommender.load(run)
    stopwatch = Stopwatch()
    write_batch(recommender, lists, n=n)
    return {"inside_cpu_s": stopwatch.total.cpu, "n_users": len(recommender.users)}


def _calls(run: Path) -> dict[str, float]:
    """Milliseconds of `recommend(user, 10)` on one core, by the clock and, on average, of CPU."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # before any library counts the cores
    from belfry import Recommender

    recommender = Recommender.load(run)
    users = recommender.users.ids.to_pylist()
    users = [users[place] for place in np.random.default_rng(0).permutation(len(users))]
    taken_ms, used_s = [], 0.0
    for place in range(_WARM_CALLS + N_CALLS):
        user = users[place % len(users)]
        started, cpu_started = perf_counter(), process_time()
        recommender.recommend(user, 10)
        taken_ms.append(1000 * (perf_counter() - started))
        used_s += (process_time() - cpu_started) if place >= _WARM_CALLS else 0.0
    found = taken_ms[_WARM_CALLS:]
    cpu_ms = 1000 * used_s / N_CALLS
    return {"p50_ms": float(np.median(found)), "p99_ms": float(np.percentile(found, 99)), "cpu_ms": cpu_ms}


def _machine(n_floats: int) -> dict[str, float]:
    """What one core of this machine does at most: products, copying, and lookups of floats in a table."""
    generator = np.random.default_rng(0)
    left, right = generator.random((2, _SIDE, _SIDE), dtype=np.float32)
    source = np.ones(1 << 25, np.float32)  # 128 MiB, beyond the caches
    table = np.ones(n_floats, np.float32)
    places = generator.integers(n_floats, size=1 << 20).astype(np.intp)
    target, found = np.empty_like(source), np.empty(len(places), np.float32)
    return {
        "flops": 2 * _SIDE**3 / _fastest_s(lambda: left @ right),
        "bytes": 2 * source.nbytes / _fastest_s(lambda: np.copyto(target, source)),
        "lookups": len(places) / _fastest_s(lambda: np.take(table, places, out=found, mode="clip")),
    }


def _fastest_s(call: Callable[[], object]) -> float:
    taken = []
    for _ in range(15):
        started = perf_counter()
        call()
        taken.append(perf_counter() - started)
    return min(taken)


if __name__ == "__main__":
    main()
