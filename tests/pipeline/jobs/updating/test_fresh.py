"""Fresh watches of many users at once are answered as by `recommend(history=...)`, and nothing is published."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import belfry
from belfry.dataset.errors import InputError, TableError
from belfry.pipeline.jobs.batch import write_batch
from belfry.pipeline.jobs.batch_parts import BatchJob
from belfry.pipeline.jobs.updating.fresh import with_history
from belfry.pipeline.serving.users.asked import AskedUsers
from tests.pipeline.jobs.updating.world import QUICK, SOURCES, START_S, items, later, train

FRESH = [(2, 4), (1, 6), (2, 10), (4, 2), (1, 12), (2, 99)]  # user 1 and item 99 are new


@pytest.fixture(scope="module")
def recommender(tmp_path_factory: pytest.TempPathFactory) -> belfry.Recommender:
    return train(tmp_path_factory.mktemp("fresh"), *QUICK, SOURCES, items=items())


def test_each_user_is_answered_as_alone(recommender: belfry.Recommender, caplog: pytest.LogCaptureFixture) -> None:
    folded = with_history(recommender, later(FRESH))
    assert "1 rows are of items that run" in caplog.text
    assert folded.users.ids.to_pylist() == [*recommender.users.ids.to_pylist(), 1]
    for user in (1, 2, 4):
        alone = recommender.recommend(user, 8, history=[item for one, item in FRESH if one == user])
        together = folded.recommend_many([user], 8)
        assert together["item_id"].to_pylist() == [one.item_id for one in alone]
        assert together["score"].to_pylist() == pytest.approx([one.score for one in alone], rel=1e-5)
    others = [user for user in recommender.users.ids.to_pylist() if user not in (2, 4)]
    assert folded.recommend_many(others, 8).equals(recommender.recommend_many(others, 8))


def test_times_decide_what_came_first(recommender: belfry.Recommender) -> None:
    backwards = later(FRESH).take(list(range(len(FRESH)))[::-1])
    assert (
        with_history(recommender, backwards)
        .recommend_many([2], 8)
        .equals(with_history(recommender, later(FRESH)).recommend_many([2], 8))
    )
    untimed = later(FRESH).select(["user_id", "item_id"])
    assert (
        with_history(recommender, untimed)
        .recommend_many([2], 8)
        .equals(with_history(recommender, later(FRESH)).recommend_many([2], 8))
    )


def test_a_table_of_all_users_and_its_resumption(recommender: belfry.Recommender, tmp_path: Path) -> None:
    folded = with_history(recommender, later(FRESH))
    result = write_batch(folded, tmp_path, n=5)
    assert result.n_users == len(recommender.users) + 1
    assert 1 in pq.read_table(result.path)["user_id"].to_pylist()

    def key(one: belfry.Recommender) -> str:
        return BatchJob(one, AskedUsers(recommender.users.ids), 5, "final", "exclude", pa.schema([])).key

    assert len({key(recommender), key(folded), key(with_history(recommender, later(FRESH[:2])))}) == 3
    assert key(folded) == key(with_history(recommender, later(FRESH)))


def test_what_the_run_has_already_is_not_read_again(
    recommender: belfry.Recommender, caplog: pytest.LogCaptureFixture
) -> None:
    known = recommender.features.history.to_table().slice(0, 20)
    folded = with_history(recommender, known)
    assert "20 rows are in run" in caplog.text
    assert folded.recommend_many([2, 4], 8).equals(recommender.recommend_many([2, 4], 8))


def test_wrong_tables_are_told(recommender: belfry.Recommender) -> None:
    with pytest.raises(TableError, match="history: has no rows"):
        with_history(recommender, later([]))
    with pytest.raises(TableError, match="history: column 'user_id' is string, the ids learned from are int64"):
        with_history(recommender, pa.table({"user_id": ["2"], "item_id": [4]}))
    with pytest.raises(TableError, match="history: column 'item_id' is missing"):
        with_history(recommender, pa.table({"user_id": [2], "timestamp_s": [START_S]}))


def test_models_that_know_users_by_their_id_refuse(tmp_path: Path) -> None:
    light = ("retrieval.kind=pure_svd", "retrieval.embedding_size=4", "sources=[]", "n_candidates=8")
    by_rating = train(
        tmp_path / "ratings", *light, "ranker.kind=bayesian_factorisation", "ranker.sweeps=2", "ranker.warm_up=1"
    )
    if by_rating.two_stage.ranker is None:
        pytest.skip("the gate is closed")
    with pytest.raises(
        InputError, match="bayesian_factorisation, knows users by their id, and 1 are new; take them into the run with"
    ):
        with_history(by_rating, later([(1, 4)]))


def test_times_that_say_nothing_leave_the_rows_as_they_stand(recommender: belfry.Recommender) -> None:
    plain = later(FRESH).select(["user_id", "item_id"])
    empty = plain.append_column("timestamp_s", pa.nulls(len(FRESH), pa.int64()))
    lists = [with_history(recommender, table).recommend_many([2, 1], 8) for table in (plain, empty)]
    assert lists[0].equals(lists[1])
