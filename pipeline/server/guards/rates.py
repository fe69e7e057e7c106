"""Rates: a bucket of tokens for each client."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

BURST_S = 2.0  # of its rate that a client may ask at once
MAX_CLIENTS = 10_000  # that are remembered; the one that was not seen longest is forgotten


@dataclass
class _Bucket:
    tokens: float
    filled_at_s: float


class Rates:
    """Of one worker: a client whose connections go to several has as many buckets."""

    def __init__(self, per_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_s, self._clock = per_s, clock
        self._full = max(1.0, BURST_S * per_s)
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def take(self, client: str) -> float:
        """0 where the client may ask now, else the seconds until it may."""
        now_s = self._clock()
        bucket = self._buckets.get(client)
        if bucket is None:
            bucket = self._buckets[client] = _Bucket(self._full, now_s)
            if len(self._buckets) > MAX_CLIENTS:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(client)
        bucket.tokens = min(self._full, bucket.tokens + (now_s - bucket.filled_at_s) * self._per_s)
        bucket.filled_at_s = now_s
        if bucket.tokens < 1:
            return (1 - bucket.tokens) / self._per_s
        bucket.tokens -= 1
        return 0.0
