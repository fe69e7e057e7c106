"""What a process of its own is asked to do; its last line on stdout is the answer, as JSON."""

import argparse
import json
import resource
import sys
import time
from pathlib import Path

import numpy as np

N_CALLS = 300
DIM = 64
TOP_K = 200


def calls(artifacts: Path) -> dict[str, float]:
    """Single calls of `recommend(user, 10)`, and the memory of the process."""
    from belfry import Recommender

    recommender = Recommender.load(artifacts)
    users = np.random.default_rng(0).choice(len(recommender.users.ids), N_CALLS + 50)
    ids = [recommender.users.ids[int(user)].as_py() for user in users]
    spent = []
    for user in ids:
        started = time.perf_counter()
        recommender.recommend(user, 10)
        spent.append(1000 * (time.perf_counter() - started))
    p50, p99 = np.percentile(spent[50:], [50, 99])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"p50_ms": float(p50), "p99_ms": float(p99), "peak_mib": peak}


def reading(file: Path) -> dict[str, float]:
    """Reading, checking and numbering alone: CPU seconds, and the peak of memory beyond what the libraries take."""
    from belfry.dataset.prepare import prepare
    from belfry.dataset.sources.tabular import read_tables
    from belfry.dataset.validation.check import check

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.process_time()
    data = prepare(check(read_tables(file))[0])
    cpu_s = time.process_time() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"cpu_s": cpu_s, "bytes_per_watch": 1024 * (peak - before) / len(data.interactions)}


def parts(file: Path) -> dict[str, float]:
    """What goes with the items: CPU seconds of each part, and the peak of memory beyond what was there. Linux alone."""
    from belfry.dataset.concurrency.blas import one_thread
    from belfry.dataset.prepare import prepare
    from belfry.dataset.similarity import bm25_neighbours, truncated_svd
    from belfry.dataset.sources.tabular import read_tables
    from belfry.dataset.validation.check import check
    from belfry.ranking.features.config import PairFeaturesConfig
    from belfry.ranking.features.pair_features import PairFeatures

    data = prepare(check(read_tables(file))[0])
    history = data.interactions
    features, found = data.features(history), {"n_items": float(len(history.items))}
    computations = {
        "singular_vectors": lambda: truncated_svd(history.matrix, DIM),
        "bm25_neighbours": lambda: bm25_neighbours(history, n_neighbours=TOP_K),
        "pair_features": lambda: PairFeatures.fit(features, PairFeaturesConfig()),
    }
    with one_thread:
        for name, compute in computations.items():
            Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
            before, started = _memory_mib("VmRSS"), time.process_time()
            kept = compute()
            found[f"{name}_cpu_s"] = time.process_time() - started
            found[f"{name}_peak_mib"] = _memory_mib("VmHWM") - before
            del kept
    return found


def _memory_mib(field: str) -> float:
    """Of this process, by a field of its status."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field))


def index(n_items: int) -> dict[str, float]:
    """An index of generated vectors in clusters, tuned and measured on different queries."""
    from belfry.retrieval.index.choose import build_index
    from belfry.retrieval.index.config import IndexConfig
    from belfry.retrieval.index.exact import ExactIndex
    from belfry.retrieval.index.measure import measure_index

    rng = np.random.default_rng(0)
    centres = rng.normal(size=(max(1, n_items // 200), DIM)).astype(np.float32)

    def near_centres(n: int) -> np.ndarray:
        noise = rng.normal(size=(n, DIM)).astype(np.float32)
        return centres[rng.integers(0, len(centres), n)] + np.float32(0.7) * noise

    vectors, queries = near_centres(n_items), near_centres(800)
    items = np.arange(1, n_items + 1, dtype=np.int32)
    started = time.process_time()
    built = build_index(vectors, items, IndexConfig(), queries[:300])
    build_cpu_s = time.process_time() - started
    exact = ExactIndex.build(vectors, items)
    measured = measure_index(built, exact, queries[300:], TOP_K)
    started = time.perf_counter()
    exact.search(queries[300:500], TOP_K)
    exact_per_s = 200 / (time.perf_counter() - started)
    return {
        "build_cpu_s": build_cpu_s,
        "recall": measured.recall,
        "p50_ms": measured.p50_latency_ms,
        "queries_per_s": measured.queries_per_s,
        "exact_queries_per_s": exact_per_s,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", choices=["calls", "reading", "parts", "index"])
    parser.add_argument("about", help="artifacts, a file, or a number of items")
    asked = parser.parse_args()
    if asked.task == "index":
        answer = index(int(asked.about))
    else:
        answer = {"calls": calls, "reading": reading, "parts": parts}[asked.task](Path(asked.about))
    sys.stdout.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
