"""Row 21: 32 threads ask while one run after another becomes current: each list is wholly that of one run."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from belfry import recommend, train

SETTINGS = ["retrieval.kind=pure_svd", "ranker=none", "sources=[]"]
N_THREADS = 32
USERS = range(1, 41)


def publish(artifacts: Path, seed: int) -> dict[int, list[object]]:
    """The lists of a new run."""
    random = np.random.default_rng(seed)
    events = pa.table({"user_id": random.integers(1, 41, 400), "item_id": random.integers(100, 130, 400)})
    run = train(events, settings=SETTINGS, artifacts=artifacts, seed=seed)
    return {user: run.recommend(user, 5) for user in USERS}


def ask_over_swaps(artifacts: Path, *, n_calls: int, n_swaps: int) -> float:
    """Seconds in which 99 of 100 calls are answered."""
    wanted = [publish(artifacts, 0)]
    are_published = threading.Event()

    def swap() -> None:
        try:
            for seed in range(1, n_swaps + 1):
                wanted.append(publish(artifacts, seed))
        finally:
            are_published.set()

    def ask(number: int) -> tuple[list[tuple[int, list[object]]], list[float]]:
        random, lists, seconds = np.random.default_rng(number), [], []
        while len(lists) < n_calls or not are_published.is_set():
            user = int(random.choice(USERS))
            started = time.perf_counter()
            lists.append((user, recommend(user, 5, artifacts=artifacts)))
            seconds.append(time.perf_counter() - started)
        return lists, seconds

    with ThreadPoolExecutor(N_THREADS + 1) as threads:
        swapping = threads.submit(swap)
        answers = list(threads.map(ask, range(N_THREADS)))
        swapping.result()
    assert {user: recommend(user, 5, artifacts=artifacts) for user in USERS} == wanted[n_swaps]
    for lists, _ in answers:
        for user, found in lists:
            assert any(found == run[user] for run in wanted), user
    return float(np.quantile([second for _, seconds in answers for second in seconds], 0.99))


def test_row_21_two_swaps(tmp_path: Path) -> None:
    ask_over_swaps(tmp_path / "artifacts", n_calls=20, n_swaps=2)


@pytest.mark.slow
def test_row_21_twenty_swaps(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    record_property("p99_ms", f"{1000 * ask_over_swaps(tmp_path / 'artifacts', n_calls=300, n_swaps=20):.1f}")
