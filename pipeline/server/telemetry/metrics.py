"""Metrics for Prometheus, of one worker or, where a folder is shared, of all of them."""

import os

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # where the library has workers write; known before it is imported
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0, 5.0, 10.0)


class Metrics:
    """What happens, counted; paths are those of routes, so that there are few of them."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self.requests = Counter(
            "belfry_requests", "Requests that were answered", ["method", "route", "status"], registry=registry
        )
        self.seconds = Histogram(
            "belfry_request_seconds", "From head to end of answer", ["route"], buckets=_SECONDS, registry=registry
        )
        self.waiting = Gauge("belfry_requests_waiting", "For an answer", registry=registry, multiprocess_mode="livesum")
        self.cold = Counter("belfry_cold_lists", "Lists of users without a history", registry=registry)
        self.swaps = Counter("belfry_swaps", "Runs that were taken up or refused", ["outcome"], registry=registry)
        self.loaded = Gauge(
            "belfry_run_loaded_timestamp_seconds",
            "When the run that answers was taken up",
            registry=registry,
            multiprocess_mode="livemin",
        )

    def swapped(self, is_taken: bool) -> None:
        self.swaps.labels("taken_up" if is_taken else "refused").inc()
        if is_taken:
            self.loaded.set_to_current_time()

    def text(self) -> bytes:
        """In the text format of Prometheus."""
        if not os.environ.get(SHARED_FOLDER):
            return generate_latest(self._registry)
        shared = CollectorRegistry()
        MultiProcessCollector(shared)  # type: ignore[no-untyped-call]
        return generate_latest(shared)
