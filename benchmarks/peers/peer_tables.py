"""What the peers of `benchmarks.speed` share: events in, lists out. Nothing of Belfry is imported.

Scripts beside this file import it by its name, as they are run by their path.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from time import process_time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import scipy.sparse as sp


@dataclass(frozen=True)
class Events:
    """Numbered events, in the order of the file; users and items count from 0 in the order of their ids."""

    user_ids: np.ndarray
    item_ids: np.ndarray
    user: np.ndarray
    item: np.ndarray
    time_s: np.ndarray | None

    def matrix(self, rows=slice(None)):
        """[n_users, n_items] float32, 1 where there is an event among `rows`."""
        user, item = self.user[rows], self.item[rows]
        shape = len(self.user_ids), len(self.item_ids)
        matrix = sp.csr_matrix((np.ones(len(user), np.float32), (user, item)), shape=shape)
        matrix.sum_duplicates()
        matrix.data[:] = 1
        return matrix


def read_events(path: Path) -> Events:
    table = pq.read_table(path)
    user_ids, user = np.unique(table["user_id"].to_numpy(), return_inverse=True)
    item_ids, item = np.unique(table["item_id"].to_numpy(), return_inverse=True)
    time_s = table["timestamp_s"].to_numpy() if "timestamp_s" in table.column_names else None
    if time_s is not None and time_s.dtype.kind == "M":
        time_s = time_s.astype("datetime64[s]").astype(np.int64)
    return Events(user_ids, item_ids, user, item, time_s)


def write_lists(path: Path, user_id: np.ndarray, item_id: np.ndarray, score: np.ndarray, n_per_user: np.ndarray):
    """Rows of a user together, best first."""
    rank = np.concatenate([np.arange(1, n + 1, dtype=np.int32) for n in n_per_user])
    pq.write_table(pa.table({"user_id": user_id, "item_id": item_id, "rank": rank, "score": score}), path)


def tell(started_s: float, n_users: int) -> None:
    """The one JSON line that the benchmark reads: CPU seconds since `started_s`, by `process_time`."""
    print(json.dumps({"inside_cpu_s": process_time() - started_s, "n_users": n_users}))
