"""Order without a clock, from a table to lists: trained, published, answered from, evaluated, compared."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import belfry
from belfry import Recommender
from belfry.dataset.columns import TIMESTAMP_S
from belfry.pipeline.jobs.evaluate import evaluate_run
from belfry.pipeline.jobs.evaluate_table import evaluate_table
from belfry.pipeline.serving.users.session import session_tables

N_USERS, N_ITEMS, N_EACH = 60, 40, 10
SEQUENCES = ("retrieval.kind=sequence", "retrieval.embedding_size=8", "retrieval.max_length=6", "retrieval.epochs=1")
QUICK = ("folds=2", "ranker.epochs=1", "ranker.min_steps=2", "ranker.members=1", "ranker.widths=[4]", "n_candidates=12")


def events() -> pd.DataFrame:
    """Walks around a ring of items; `turn` counts the steps of each user, and the rows are shuffled."""
    generator = np.random.default_rng(0)
    starts = generator.integers(0, N_ITEMS, N_USERS)
    user, turn = np.divmod(np.arange(N_USERS * N_EACH), N_EACH)
    table = pd.DataFrame({"user_id": user, "item_id": (starts[user] + 2 * turn) % N_ITEMS, "turn": turn})
    return table.sample(frac=1, random_state=0).reset_index(drop=True)


@pytest.fixture(scope="module")
def recommender(tmp_path_factory: pytest.TempPathFactory) -> Recommender:
    settings = ["data.order=turn", *SEQUENCES, *QUICK]
    return belfry.train(events(), settings=settings, artifacts=tmp_path_factory.mktemp("order") / "artifacts")


def test_order_is_kept_and_nothing_reads_a_clock(recommender: Recommender) -> None:
    assert recommender.run.manifest.holdout == "last"
    assert "popularity" in recommender.run.manifest.notes["left_out"]
    history = recommender.features.history
    assert history.timestamp_s is None and history.is_ordered
    own = events().query("user_id == 3").sort_values("turn")["item_id"].tolist()
    assert history.items.take(history.item_num[history.by_user.of(4)]).to_pylist() == own


def test_fresh_watches_come_last(recommender: Recommender) -> None:
    session = session_tables(recommender.features, 4, np.array([5, 2], np.int32)).history
    assert session.is_ordered
    known = recommender.features.history
    assert session.item_num[session.by_user.of(1)].tolist() == [*known.item_num[known.by_user.of(4)], 5, 2]
    before, after = (recommender.recommend(3, 3, history=items) for items in ((), [events()["item_id"][0]]))
    assert len(before) == len(after) == 3


def test_a_table_with_a_counter_is_trained_on_as_an_order(tmp_path: Path, recommender: Recommender) -> None:
    """The counter says what the column said, so the lists are the same."""
    counted = events().rename(columns={"turn": TIMESTAMP_S})
    again = belfry.train(counted, settings=[*SEQUENCES, *QUICK], artifacts=tmp_path / "artifacts")
    users = list(range(N_USERS))
    assert again.run.manifest.holdout == "last"
    assert again.recommend_many(users, 5).equals(recommender.recommend_many(users, 5))


def test_counters_are_judged_too(tmp_path: Path, recommender: Recommender) -> None:
    later = pd.DataFrame({"user_id": range(N_USERS), "item_id": (events()["item_id"][:N_USERS] + 1) % N_ITEMS})
    later[TIMESTAMP_S] = range(N_USERS)
    train = events().rename(columns={"turn": TIMESTAMP_S})
    for name, table in {"train": train, "later": later}.items():
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    lists = recommender.recommend_many(list(range(N_USERS)), 5)
    assert evaluate_run(recommender, pa.Table.from_pandas(later), n=5, seed=0).run == recommender.run.name
    assert evaluate_table(lists, tmp_path / "train.csv", tmp_path / "later.csv", n=5, seed=0).run == "table"
    found = belfry.compare(
        lists, lists, train=tmp_path / "train.csv", test=tmp_path / "later.csv", out=tmp_path / "report", seed=0
    )
    assert found.challengers
