"""Ratings told: those that a model of the run expects stand beside the items, and nothing where none does."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from belfry.dataset.sources.demo import generate
from belfry.pipeline.jobs.batch import write_batch
from belfry.pipeline.jobs.train import train_tables
from belfry.pipeline.serving.recommender import Recommender

QUICK = ("n_candidates=15", "sources=[]", "folds=2", "retrieval.embedding_size=8")
HEADS = ("retrieval.epochs=1", "retrieval.n_factors=2", "ranker=none")
FACTORS = ("retrieval.kind=pure_svd", "ranker.kind=bayesian_factorisation")
NEW = 10**6


def trained(preset: str, settings: tuple[str, ...], artifacts: Path) -> Recommender:
    published = train_tables(
        lambda: generate(n_users=80, n_items=60, n_watches=2_000, seed=1),
        preset=preset,
        holdout="random",
        settings=[*QUICK, *settings],
        seed=0,
        artifacts=artifacts,
    )
    return Recommender.load(published)


@pytest.fixture(scope="module", params=[("multitask", HEADS), ("default", FACTORS)], ids=["heads", "ranker"])
def recommender(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Recommender:
    return trained(*request.param, tmp_path_factory.mktemp("rated") / "artifacts")


def test_each_place_tells_the_rating_that_is_expected(recommender: Recommender) -> None:
    if recommender.two_stage.ratings is None:
        pytest.skip("the gate of the ranker is closed")
    user = recommender.users.ids[0].as_py()
    ratings = [result.expected_rating for result in recommender.recommend(user, 20)]
    assert all(rating is not None and 0 < rating < 6 for rating in ratings)
    assert len(set(ratings)) > 10
    again = [result.expected_rating for result in recommender.recommend(user, 5, exclude=[])]
    np.testing.assert_allclose(np.array(again), np.array(ratings[:5]), atol=1e-4)


def test_tables_hold_the_same(recommender: Recommender, tmp_path: Path) -> None:
    if recommender.two_stage.ratings is None:
        pytest.skip("the gate of the ranker is closed")
    users = [*recommender.users.ids[:3].to_pylist(), NEW]
    table = recommender.recommend_many(users, 4)
    alone = [result.expected_rating for user in users for result in recommender.recommend(user, 4)]
    np.testing.assert_allclose(table["expected_rating"].to_numpy(), alone, atol=1e-4)
    features = {"age": 31, "gender": "F", "occupation": "writer"}
    told = recommender.recommend(None, 4, features=features)
    asked = pq.ParquetFile  # a table of a newcomer goes the same way
    written = write_batch(recommender, tmp_path / "out", users=table_of(NEW, features), n=4)
    rows = asked(written.path).read()
    np.testing.assert_allclose(
        rows["expected_rating"].to_numpy(), [result.expected_rating for result in told], atol=1e-4
    )


def table_of(user: int, features: dict) -> object:
    import pyarrow as pa

    return pa.Table.from_pylist([{"user_id": user, **features}])


def test_a_run_without_such_a_model_tells_none(tiny_run: Path) -> None:
    recommender = Recommender.load(tiny_run)
    user = recommender.users.ids[0].as_py()
    assert {result.expected_rating for result in recommender.recommend(user, 5)} == {None}
    assert "expected_rating" not in recommender.recommend_many([user], 5).column_names
