"""Impressions, from a table to lists: kept in the run, read by the ranker, followed by an update."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import belfry
from belfry import Recommender
from belfry.pipeline.jobs.updating.update import update

N_USERS, N_ITEMS, START_S, DAY_S = 40, 30, 1_600_000_000, 86_400
DEEP = (
    *("retrieval.epochs=2", "retrieval.embedding_size=8", "n_candidates=29", "sources=[]"),
    *("ranker.min_steps=150", "folds=3", "ranker.members=1", "ranker.widths=[8]", "ranker.retrieval_weight=0"),
)


def events() -> pa.Table:
    """What is shown is watched in one of three cases, and nothing else is."""
    generator = np.random.default_rng(0)
    cells = generator.permutation(N_USERS * N_ITEMS)[:600]
    return pa.table(
        {
            "user_id": cells // N_ITEMS,
            "item_id": cells % N_ITEMS,
            "event": np.where(generator.random(600) < 1 / 3, "watched", "shown").tolist(),
            "timestamp_s": START_S + np.sort(generator.integers(0, 60 * DAY_S, 600)),
        }
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    artifacts = tmp_path_factory.mktemp("impressions") / "artifacts"
    belfry.train(events(), settings=DEEP, artifacts=artifacts)
    return artifacts


def items_of(recommender: Recommender, user: int | None, history: tuple[int, ...] = ()) -> list[int]:
    """Of the longest list, in its order."""
    return [int(result.item_id) for result in recommender.recommend(user, N_ITEMS, history=history)]


def test_what_was_passed_over_comes_behind(folder: Path) -> None:
    recommender = Recommender.load(folder)
    assert recommender.run.manifest.gate.is_open
    passed_over = {(row["user_id"], row["item_id"]) for row in events().to_pylist() if row["event"] == "shown"}
    places: dict[bool, list[float]] = {True: [], False: []}
    for user in range(N_USERS):
        items = items_of(recommender, user)
        for place, item in enumerate(items):
            places[(user, item) in passed_over].append(place / len(items))
    assert np.mean(places[True]) > np.mean(places[False]) + 0.1


def test_sessions_are_answered(folder: Path) -> None:
    recommender = Recommender.load(folder)
    assert items_of(recommender, 3, history=(7,))
    assert items_of(recommender, None, history=(7, 8))


def test_an_update_adds_what_was_shown_since(folder: Path, tmp_path: Path) -> None:
    before = Recommender.load(folder).features.history.impressions
    assert before is not None
    fresh = pa.table({"user_id": [3, 4, 50], "item_id": [29, 28, 0], "event": ["shown", "watched", "shown"]})
    fresh = fresh.append_column("timestamp_s", pa.array([START_S + 61 * DAY_S] * 3))
    done = update(folder, fresh, artifacts=tmp_path)
    assert done.is_published
    recommender = Recommender.load(tmp_path)
    after, items = recommender.features.history.impressions, recommender.items
    assert after is not None
    assert len(after.item_num) > len(before.item_num)
    for user, item in ((3, 29), (50, 0)):
        assert items.number(item) in after.of(recommender.users.number(user))
    assert items_of(recommender, 3)
