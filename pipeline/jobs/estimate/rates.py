"""Rates: how fast this machine works beside the one whose figures estimates are made of."""

import json
import math
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from belfry.dataset.concurrency.blas import one_thread
from belfry.dataset.errors import InputError
from belfry.dataset.sources.web.cache import cache_folder
from belfry.pipeline.runs.disk import explain_failed_writes, remove

RATES_FILE = "rates.json"
_SIDE = 512  # of the matrices
_N_SORTED = 1 << 20
_WRITTEN = 32 << 20  # bytes
_AT_LEAST_S = 0.5  # CPU seconds that each rate is measured for


@dataclass(frozen=True)
class Rates:
    """Of one core, and of the disk that holds temporary files."""

    products_per_s: float  # multiplications of float32 in products of matrices
    sorted_per_s: float  # int64 in sorts of a million
    written_per_s: float  # bytes, until the disk has them
    measured: str = ""  # the day

    @property
    def slowness(self) -> float:
        """CPU seconds here for one of the machine that `docs/results/scale.md` was measured on."""
        return math.sqrt(REFERENCE.products_per_s / self.products_per_s * REFERENCE.sorted_per_s / self.sorted_per_s)

    def line(self) -> str:
        return (
            f"{self.products_per_s / 1e9:.1f} G products/s, {self.sorted_per_s / 1e6:.0f} M sorted/s a core, "
            f"{self.written_per_s / 1e6:,.0f} MB/s to disk; {self.slowness:.2f} CPU s for one of docs/results/scale.md "
            f"(measured {self.measured})"
        )


# Of the machine of docs/results/scale.md, by `measure`.
REFERENCE = Rates(products_per_s=60e9, sorted_per_s=200e6, written_per_s=500e6)


def measure() -> Rates:
    """Some three seconds of work."""
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(_SIDE, _SIDE)).astype(np.float32)
    numbers = rng.integers(0, 1 << 62, _N_SORTED)
    with one_thread:
        products = _SIDE**3 / _cpu_s(lambda: matrix @ matrix)
        sorts = _N_SORTED / _cpu_s(lambda: np.sort(numbers))
    return Rates(products, sorts, _written_per_s(), f"{datetime.now(UTC):%Y-%m-%d}")


def keep(rates: Rates) -> Path:
    """Where `known_rates` finds them; returns the file.

    Raises:
        InputError: the cache cannot be written.
    """
    folder = cache_folder()
    aside = folder / f"{RATES_FILE}.{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        aside.write_text(json.dumps(asdict(rates)), encoding="utf-8")
        aside.replace(folder / RATES_FILE)
    except OSError as error:
        remove(aside)
        raise InputError(f"{folder}: cannot be written ({error.strerror}); let BELFRY_CACHE name a folder") from error
    return folder / RATES_FILE


def known_rates() -> Rates | None:
    """Those that were kept; None where there are none that can be used."""
    try:
        found = json.loads((cache_folder() / RATES_FILE).read_text(encoding="utf-8"))
        numbers = {one.name: float(found[one.name]) for one in fields(Rates) if one.type is float}
        rates = Rates(**numbers, measured=str(found["measured"])[:10])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return rates if all(math.isfinite(value) and value > 0 for value in numbers.values()) else None


def _cpu_s(work: Callable[[], object]) -> float:
    """CPU seconds of one call, the first left out."""
    work()
    started, n_calls = time.process_time(), 0
    while (spent := time.process_time() - started) < _AT_LEAST_S:
        work()
        n_calls += 1
    return spent / n_calls


def _written_per_s() -> float:
    block = bytes(1 << 20)
    started = time.perf_counter()
    with explain_failed_writes(Path(tempfile.gettempdir())), tempfile.TemporaryFile() as file:
        for _ in range(_WRITTEN // len(block)):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
    return _WRITTEN / (time.perf_counter() - started)
