"""Recall and latency of an index, measured at every build."""

from dataclasses import dataclass
from time import perf_counter

import numpy as np
import numpy.typing as npt

from belfry.retrieval.index.base import CandidateIndex, Vectors
from belfry.retrieval.index.exact import ExactIndex

N_TIMED_ALONE = 200


@dataclass(frozen=True)
class IndexMeasurement:
    """One line for the build log and the run folder."""

    mode: str
    n_items: int
    n_queries: int
    top_k: int
    recall: float  # share of the exact top_k that was found
    p50_latency_ms: float  # of one query at a time
    p95_latency_ms: float
    queries_per_s: float  # all queries at once

    def __str__(self) -> str:
        return (
            f"{self.mode}, {self.n_items:,} items: recall@{self.top_k} {self.recall:.4f} against exact search, "
            f"p50 {self.p50_latency_ms:.3f} ms, p95 {self.p95_latency_ms:.3f} ms, {self.queries_per_s:,.0f} queries/s "
            f"({self.n_queries} queries)"
        )


def measure_index(index: CandidateIndex, exact: ExactIndex, queries: Vectors, top_k: int) -> IndexMeasurement:
    """Recall and latency of `index` on `queries` [n_queries, dim]; at least one, best those of real users."""
    top_k = min(top_k, len(exact))
    started = perf_counter()
    _, score = index.search(queries, top_k)
    all_s = perf_counter() - started
    latencies_ms = [_latency_ms(index, query[None], top_k) for query in queries[:N_TIMED_ALONE]]
    p50, p95 = np.percentile(latencies_ms, [50, 95])
    return IndexMeasurement(
        mode=index.mode,
        n_items=len(index),
        n_queries=len(queries),
        top_k=top_k,
        recall=recall_of(score, exact.search(queries, top_k)[1]),
        p50_latency_ms=float(p50),
        p95_latency_ms=float(p95),
        queries_per_s=len(queries) / all_s,
    )


def recall_of(score: npt.NDArray[np.float32], exact_score: npt.NDArray[np.float32]) -> float:
    """Share of the true best that was found; both [n_queries, top_k], best first.

    A found item counts as right when it scores as high as the exact list's last one, so ties are no misses.
    """
    slack = 1e-5 * np.abs(exact_score).max(axis=1, keepdims=True)  # the two sum in different orders
    return float((score >= exact_score[:, -1:] - slack).mean())


def _latency_ms(index: CandidateIndex, query: Vectors, top_k: int) -> float:
    started = perf_counter()
    index.search(query, top_k)
    return 1000 * (perf_counter() - started)
