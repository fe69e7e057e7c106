"""A run whose items have columns of every kind for rules, trained in a moment: 30 items, 40 users."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from belfry.pipeline.config import load_config
from belfry.pipeline.serving.recommender import Recommender
from belfry.pipeline.training.publish import train_and_publish
from tests.pipeline.small_world import N_ITEMS, small_data

SETTINGS = ("retrieval.kind=pure_svd", "retrieval.embedding_size=4", "ranker=none", "sources=[]", "n_candidates=6")


def item_table() -> pa.Table:
    """Items 1 to 30. Item 5 has no genres and no artist, item 6 no year; every other item is open from 2026 on."""
    items = np.arange(1, N_ITEMS + 1)
    genres: list[list[str] | None] = [[f"g{item % 3}", "all"] if item % 2 else [f"g{item % 3}"] for item in items]
    genres[4] = None
    return pa.table(
        {
            "item_id": items,
            "title": [f"Film {item}" for item in items],
            "genres": genres,
            "artist": [None if item == 5 else f"a{item % 4}" for item in items],
            "year": pa.array([None if item == 6 else 1990 + item for item in items.tolist()], pa.int64()),
            "price": pa.array(items * 0.1, pa.float32()),
            "opens": ["2026-01-01" if item % 2 else "2025-01-01T00:00:00+00:00" for item in items],
            "closes_s": pa.array([4_000_000_000 if item % 5 else None for item in items.tolist()], pa.int64()),
        }
    )


@pytest.fixture(scope="session")
def shaped_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    table = item_table()
    data = replace(small_data(), item_table=table, titles=table["title"].combine_chunks())
    return train_and_publish(
        data,
        load_config("default", holdout="random", settings=SETTINGS),
        preset="default",
        holdout="random",
        seed=0,
        artifacts=tmp_path_factory.mktemp("shaped") / "artifacts",
    )


@pytest.fixture(scope="session")
def shaped(shaped_run: Path) -> Recommender:
    return Recommender.load(shaped_run)
