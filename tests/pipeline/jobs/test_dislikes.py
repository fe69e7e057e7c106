"""Dislikes, from a table to lists: never a watch, never listed, and no hit, whichever way they are told."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import belfry
from belfry import Recommender
from belfry.pipeline.jobs.batch import write_batch
from belfry.pipeline.jobs.evaluate import evaluate_run

N_USERS, N_ITEMS, N_EACH = 40, 30, 12
THUMBS = 'event_weights=[["like", 1.0], ["dislike", -1.0]]'
LIGHT = ("retrieval.kind=pure_svd", "retrieval.embedding_size=4", "ranker=none", "sources=[]")
TOWERS = (
    *("retrieval.epochs=2", "retrieval.embedding_size=8", "folds=2", "n_candidates=15", "sources=[]"),
    *("ranker.epochs=1", "ranker.min_steps=2", "ranker.members=1", "ranker.widths=[4]"),
)


def events() -> pd.DataFrame:
    """A third of the events is rated below 4."""
    generator = np.random.default_rng(0)
    item = np.concatenate([generator.permutation(N_ITEMS)[:N_EACH] for _ in range(N_USERS)])
    user = np.repeat(np.arange(N_USERS), N_EACH)
    rating = generator.choice([1.0, 3.0, 4.0, 5.0], len(user), p=[0.15, 0.2, 0.35, 0.3])
    time = 1_600_000_000 + generator.integers(0, 10**7, len(user))
    return pd.DataFrame({"user_id": user, "item_id": item, "rating": rating, "timestamp_s": time})


def thumbs() -> pd.DataFrame:
    table = events()
    return table.assign(event=np.where(table["rating"] < 4, "dislike", "like")).drop(columns="rating")


def disliked() -> pd.DataFrame:
    return events().query("rating < 4")[["user_id", "item_id"]]


@pytest.fixture(scope="module", params=["thumbs", "ratings", "towers"])
def recommender(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Recommender:
    table, settings = {
        "thumbs": (thumbs(), (THUMBS, *LIGHT)),
        "ratings": (events(), ("data.liked_from=4", *LIGHT)),
        "towers": (events(), ("data.liked_from=4", *TOWERS)),
    }[request.param]
    return belfry.train(table, settings=settings, artifacts=tmp_path_factory.mktemp("dislikes") / "artifacts")


def test_no_watch_and_not_listed(recommender: Recommender, tmp_path: Path) -> None:
    history = recommender.features.history
    assert len(history) == len(events()) - len(disliked())
    assert history.rating is None or history.rating.min() >= 4
    assert history.dislikes is not None
    assert len(history.dislikes.item_num) == len(disliked())
    lists = [
        recommender.recommend_many(list(range(N_USERS)), N_ITEMS).to_pandas(),
        pd.read_parquet(write_batch(recommender, tmp_path / "out", n=N_ITEMS).path),
    ]
    for table in lists:
        assert len(table) > N_USERS
        assert not len(table.merge(disliked()))
    for kind in ("allow", "only"):
        table = recommender.recommend_many(list(range(N_USERS)), N_ITEMS, repeats=kind).to_pandas()
        assert len(table) > N_USERS
        assert not len(table.merge(disliked()))
    own = set(disliked().query("user_id == 3")["item_id"])
    assert own
    watched = events()["item_id"][0]
    for fresh in ((), [watched]):
        assert not own & {result.item_id for result in recommender.recommend(3, N_ITEMS, history=fresh)}


def test_a_dislike_is_no_hit(recommender: Recommender) -> None:
    """Each user later likes one unseen item, and dislikes another."""
    seen = events().groupby("user_id")["item_id"].agg(set)
    unseen = [sorted(set(range(N_ITEMS)) - seen[user])[:2] for user in range(N_USERS)]
    later = pd.DataFrame(
        {
            "user_id": np.repeat(np.arange(N_USERS), 2),
            "item_id": np.ravel(unseen),
            "rating": [5.0, 1.0] * N_USERS,
            "event": ["like", "dislike"] * N_USERS,
        }
    )
    told = later.drop(columns="event" if recommender.parts.policy.liked_from else "rating")
    liked = later.query("rating == 5")[["user_id", "item_id"]]
    reports = [evaluate_run(recommender, pa.Table.from_pandas(table), n=5, seed=0) for table in (told, liked)]
    told_ndcg, liked_ndcg = ([system.metrics["ndcg@5"].mean for system in report.systems] for report in reports)
    assert told_ndcg == liked_ndcg


def test_compare_reads_events_as_its_runs_do(tmp_path: Path, recommender: Recommender) -> None:
    train = events() if recommender.parts.policy.liked_from else thumbs()
    items = np.random.default_rng(1).integers(0, N_ITEMS, len(train))
    test = train.assign(item_id=items, timestamp_s=train["timestamp_s"] + 10**8)
    folder = str(recommender.run.folder)
    found = belfry.compare(folder, folder, train=train, test=test, out=tmp_path / "report", seed=0)
    assert found.verification.n_train_rows == len(recommender.features.history)
    liked = test[test["rating"] >= 4] if "rating" in test else test[test["event"] == "like"]
    seen = set(zip(train["user_id"], train["item_id"], strict=True))
    assert found.verification.n_test_rows == len({*zip(liked["user_id"], liked["item_id"], strict=True)} - seen)


def test_compare_lets_lists_repeat_what_was_not_disliked(recommender: Recommender) -> None:
    train = events() if recommender.parts.policy.liked_from else thumbs()
    items = np.random.default_rng(1).integers(0, N_ITEMS, len(train))
    test = train.assign(item_id=items, timestamp_s=train["timestamp_s"] + 10**8)
    folder = str(recommender.run.folder)
    found = belfry.compare(folder, folder, train=train, test=test, repeats="allow", seed=0)
    liked = test[test["rating"] >= 4] if "rating" in test else test[test["event"] == "like"]
    kept_out = {*disliked().itertuples(index=False, name=None)}
    assert found.verification.n_test_rows == len({*zip(liked["user_id"], liked["item_id"], strict=True)} - kept_out)


def test_a_rating_that_means_not_rated_is_no_dislike_in_later_tables(tmp_path: Path) -> None:
    """-1 means watched and not rated, in the table of training and in those that are judged by."""
    table = events()
    unrated = table.assign(rating=table["rating"].where(table.index % 4 > 0, -1.0))
    settings = ["data.liked_from=4", "data.rating_range=[1,5]", "data.rating_out_of_range=null", *LIGHT]
    run = belfry.train(unrated, settings=settings, artifacts=tmp_path / "artifacts")
    history, n_disliked = run.features.history, int(unrated["rating"].isin([1, 3]).sum())
    assert len(history) == len(table) - n_disliked
    items = np.random.default_rng(1).integers(0, N_ITEMS, len(table))
    test = unrated.assign(item_id=items, timestamp_s=table["timestamp_s"] + 10**8)
    folder = str(run.run.folder)
    found = belfry.compare(folder, folder, train=unrated, test=test, out=tmp_path / "report", seed=0)
    assert found.verification.n_train_rows == len(history)
    kept, seen = test[~test["rating"].isin([1, 3])], set(zip(table["user_id"], table["item_id"], strict=True))
    assert found.verification.n_test_rows == len({*zip(kept["user_id"], kept["item_id"], strict=True)} - seen)
    report = evaluate_run(run, pa.Table.from_pandas(test), n=5, seed=0)
    assert report.n_users == found.verification.n_users
