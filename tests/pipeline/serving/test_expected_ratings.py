"""Ratings told: those that a model of the run expects stand beside the items, and nothing where none does."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from belfry.dataset.candidates import Candidates
from belfry.dataset.features import FeatureTables
from belfry.pipeline.cli.formatting import lines_of_list
from belfry.pipeline.jobs.batch import write_batch
from belfry.pipeline.jobs.updating.update import update
from belfry.pipeline.serving.expected_ratings import ExpectedRatings
from belfry.pipeline.serving.recommender import Recommender
from belfry.ranking.base import Matrix
from tests.pipeline.small_recommender import SmallRecommender

NEW = 10**6
FEATURES = {"age": 31, "gender": "F", "occupation": "writer"}


def test_each_place_tells_the_rating_that_is_expected(rated: Recommender) -> None:
    user = rated.users.ids[0].as_py()
    results = rated.recommend(user, 20)
    ratings = [result.expected_rating for result in results]
    assert all(rating is not None and 0 < rating < 6 for rating in ratings)
    assert len(set(ratings)) > 10
    changed = rated.recommend(user, 20, history=[result.item_id for result in results[-3:]])
    assert changed[0].expected_rating not in ratings  # heads read the history


def test_tables_hold_the_same(rated: Recommender, tmp_path: Path) -> None:
    users = [*rated.users.ids[:3].to_pylist(), NEW]
    table = rated.recommend_many(users, 4)
    alone = [result.expected_rating for user in users for result in rated.recommend(user, 4)]
    np.testing.assert_allclose(table["expected_rating"].to_numpy(), alone, atol=1e-4)
    told = [result.expected_rating for result in rated.recommend(None, 4, features=FEATURES)]
    asked = pa.Table.from_pylist([{"user_id": NEW, **FEATURES}])
    written = pq.read_table(write_batch(rated, tmp_path / "out", users=asked, n=4).path)
    np.testing.assert_allclose(written["expected_rating"].to_numpy(), told, atol=1e-4)


class ByNumbers:
    """Expects a rating that names the user and the item, as models of ids do."""

    label_names = ("finished", "rating")

    def expected(self, candidates: Candidates, features: FeatureTables) -> Matrix:
        assert len(features.history.users) > 1  # those of the run, not of a session
        rating = candidates.user_num * 100 + candidates.item_num
        return np.stack([np.zeros(len(candidates)), rating], axis=1).astype(np.float32)


def test_a_model_of_ids_is_asked_for_users_of_the_run() -> None:
    recommender = SmallRecommender()
    ratings = ExpectedRatings(ByNumbers(), recommender.features, knows_ids_alone=True)
    recommender = Recommender(replace(recommender.parts, two_stage=replace(recommender.two_stage, ratings=ratings)))
    numbers = {item: number for number, item in enumerate(recommender.items.ids.to_pylist(), 1)}
    for user, in_run, told in ((5, 5, {}), (5, 5, {"history": ["a"]}), (99, 0, {}), (None, 0, {"history": ["a"]})):
        for result in recommender.recommend(user, 5, **told):
            assert result.expected_rating == 100 * in_run + numbers[result.item_id]
    table = recommender.recommend_many([5, 99, 3], 2)
    wanted = [
        100 * (user if user < 99 else 0) + numbers[item]
        for user, item in zip(table["user_id"].to_pylist(), table["item_id"].to_pylist(), strict=True)
    ]
    assert table["expected_rating"].to_pylist() == wanted


def test_a_run_without_such_a_model_tells_none(tiny_run: Path) -> None:
    recommender = Recommender.load(tiny_run)
    user = recommender.users.ids[0].as_py()
    assert {result.expected_rating for result in recommender.recommend(user, 5)} == {None}
    assert "expected_rating" not in recommender.recommend_many([user], 5).column_names


class WithDeviations(ByNumbers):
    """Knows how far ratings lie from that, and nothing of the other label."""

    deviating_labels = ("rating",)

    def deviations(self, candidates: Candidates, features: FeatureTables) -> Matrix:
        return self.expected(candidates, features) / 1000


def test_deviations_stand_beside_the_ratings_of_models_that_know_them(tmp_path: Path) -> None:
    recommender = SmallRecommender()
    assert recommender.recommend(5, 1)[0].rating_deviation is None
    ratings = ExpectedRatings(WithDeviations(), recommender.features, knows_ids_alone=True)
    recommender = Recommender(replace(recommender.parts, two_stage=replace(recommender.two_stage, ratings=ratings)))
    for result in recommender.recommend(5, 3):
        assert result.expected_rating is not None
        assert result.rating_deviation == np.float32(result.expected_rating / 1000)
    table = recommender.recommend_many([5, 3], 2)
    assert table.column_names[-2:] == ["expected_rating", "rating_deviation"]
    told = next(line for line in lines_of_list("5", recommender.recommend(5, 1)) if "expected rating" in line)
    assert " +- 0.50" in told or " +- 0.51" in told


def test_regression_heads_tell_the_deviations_that_training_measured(rated: Recommender) -> None:
    """Of somebody unknown, and of sessions, that of the unknown user."""
    assert rated.two_stage.ratings is not None
    variance = rated.two_stage.ratings.error_variance
    assert variance is not None
    known = rated.users.ids[0].as_py()
    for user, number, told in ((known, 1, {}), (NEW, 0, {}), (None, 0, {"features": FEATURES})):
        results = rated.recommend(user, 3, **told)
        items = rated.items.numbers(pa.array([result.item_id for result in results]))
        wanted = variance.deviations(np.full(3, number, np.int32), items)
        np.testing.assert_array_equal([result.rating_deviation for result in results], wanted)
        assert (wanted > 0.3).all()
        assert (wanted < 3).all()
    assert "rating_deviation" in rated.recommend_many([NEW], 1).column_names


def test_updates_keep_deviations_and_new_ids_have_those_of_the_unknown(rated: Recommender, tmp_path: Path) -> None:
    shutil.copytree(rated.run.folder.parent, tmp_path / "runs", symlinks=True)
    user, item = rated.users.ids[0].as_py(), rated.items.ids[0].as_py()
    times = [rated.features.now_s] * 2
    update(tmp_path / "runs", pa.table({"user_id": [user, NEW], "item_id": [NEW, item], "timestamp_s": times}))
    after = Recommender.load(tmp_path / "runs")
    before, now = (one.two_stage.ratings.error_variance for one in (rated, after))
    assert before is not None
    assert now is not None
    users, items = after.users.numbers(pa.array([user, NEW])), after.items.numbers(pa.array([item, NEW]))
    np.testing.assert_array_equal(now.of_users[users], before.of_users[[1, 0]])
    np.testing.assert_array_equal(now.of_items[items], before.of_items[[1, 0]])
