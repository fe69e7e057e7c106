"""Watches with clusters of taste, of any size: users and items grow with them.

Run as `python -m benchmarks.scale.generate N FILE [--users N] [--items N]`; the file is Parquet, its last line on
stdout how long it took.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

WATCHES_PER_USER = 50
WATCHES_PER_ITEM = 100
_ITEMS_PER_CLUSTER = 200
_CLUSTER_SHARES = (0.6, 0.3, 0.1)  # of a user's watches, in the clusters that they like
_ANYWHERE = 0.15  # share of watches by popularity alone
_START_S, _SPREAD_S, _SPAN_S = 1_500_000_000, 60_000_000, 40_000_000  # of users' first events, and of a user's events


def sizes(n_watches: int) -> tuple[int, int]:
    """(users, items)."""
    return max(20, n_watches // WATCHES_PER_USER), max(20, n_watches // WATCHES_PER_ITEM)


def generate(n_watches: int, *, n_users: int | None = None, n_items: int | None = None, seed: int = 0) -> pa.Table:
    """[n_watches] `user_id`, `item_id`, `timestamp_s`, in no order; some users and items may have no watch.

    Each user likes three clusters of some 200 items; within one, as in the whole, popularity falls like a power. How
    much users watch is log-normal.
    """
    rng = np.random.default_rng(seed)
    default_users, default_items = sizes(n_watches)
    n_users, n_items = n_users or default_users, n_items or default_items
    activity = rng.lognormal(0, 1, n_users)
    user = rng.choice(n_users, n_watches, p=activity / activity.sum()).astype(np.int32)
    n_clusters = max(3, n_items // _ITEMS_PER_CLUSTER)
    size = n_items // n_clusters
    taste = rng.integers(0, n_clusters, (n_users, len(_CLUSTER_SHARES)), dtype=np.int32)
    liked = np.searchsorted(np.cumsum(_CLUSTER_SHARES[:-1]), rng.random(n_watches, np.float32), side="right")
    item = taste[user, liked] * size + (size * rng.random(n_watches, np.float32) ** 2.5).astype(np.int32)
    anywhere = np.flatnonzero(rng.random(n_watches, np.float32) < _ANYWHERE)
    item[anywhere] = (n_items * rng.random(len(anywhere)) ** 4).astype(np.int32)
    start_s = rng.integers(_START_S, _START_S + _SPREAD_S, n_users, dtype=np.int32)
    time_s = start_s[user] + rng.integers(0, _SPAN_S, n_watches, dtype=np.int32)
    columns = {"user_id": user, "item_id": item, "timestamp_s": time_s.astype(np.int64)}
    return pa.table({name: pa.array(values) for name, values in columns.items()})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("n_watches", type=int)
    parser.add_argument("file", type=Path)
    parser.add_argument("--users", type=int, help=f"how many [one for {WATCHES_PER_USER} watches]")
    parser.add_argument("--items", type=int, help=f"how many [one for {WATCHES_PER_ITEM} watches]")
    asked = parser.parse_args()
    started = time.process_time()
    table = generate(asked.n_watches, n_users=asked.users, n_items=asked.items)
    cpu_s = time.process_time() - started
    pq.write_table(table, asked.file)
    print(json.dumps({"n_watches": asked.n_watches, "cpu_s": cpu_s, "bytes": asked.file.stat().st_size}))


if __name__ == "__main__":
    main()
