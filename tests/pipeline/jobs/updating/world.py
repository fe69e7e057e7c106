"""A small shop whose ids leave room between them, so that new ones move the numbers of those behind."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

import belfry

N_USERS, N_ITEMS, DAY_S, START_S = 30, 24, 86_400, 1_600_000_000
LIGHT = ("retrieval.kind=pure_svd", "retrieval.embedding_size=4", "ranker=none", "sources=[]")
QUICK = (
    *("retrieval.epochs=2", "retrieval.embedding_size=8", "folds=2", "n_candidates=10"),
    *("ranker.epochs=1", "ranker.min_steps=5", "ranker.members=1", "ranker.widths=[8]"),
)
SOURCES = 'sources=[{model={kind="ease"}},{model={kind="item_knn"}},{model={kind="sequential_rules"}}]'


def events(n_users: int = N_USERS, n_items: int = N_ITEMS, *, rated: bool = True) -> pa.Table:
    """Half of all pairs of even ids, oldest first."""
    generator = np.random.default_rng(0)
    cells = generator.permutation(n_users * n_items)[: n_users * n_items // 2]
    columns = {
        "user_id": 2 * (cells // n_items) + 2,
        "item_id": 2 * (cells % n_items) + 2,
        "timestamp_s": START_S + np.sort(generator.integers(0, 60 * DAY_S, len(cells))),
        "rating": generator.integers(1, 6, len(cells)).astype(np.float32),
    }
    return pa.table(columns if rated else {name: columns[name] for name in ("user_id", "item_id", "timestamp_s")})


def items(ids: Sequence[int] | None = None) -> pa.Table:
    """Titles and genres of the even ids, or of these."""
    ids = list(range(2, 2 * N_ITEMS + 1, 2)) if ids is None else list(ids)
    genres = [[f"g{number // 2 % 3}", f"h{number // 2 % 2}"] for number in ids]
    return pa.table({"item_id": ids, "title": [f"title {number}" for number in ids], "genres": genres})


def later(rows: Sequence[tuple[int, int]], *, days: float = 61) -> pa.Table:
    """Watches of (user, item), a minute apart, behind all others."""
    times = [START_S + int(days * DAY_S) + 60 * place for place in range(len(rows))]
    return pa.table(
        {
            "user_id": [user for user, _ in rows],
            "item_id": [item for _, item in rows],
            "timestamp_s": times,
            "rating": np.full(len(rows), 4, np.float32),
        }
    )


def train(
    artifacts: Path, *settings: str, interactions: pa.Table | None = None, **options: object
) -> belfry.Recommender:
    """A run on `events`, or on others."""
    interactions = events() if interactions is None else interactions
    return belfry.train(interactions, settings=settings or LIGHT, artifacts=artifacts, **options)  # type: ignore[arg-type]
