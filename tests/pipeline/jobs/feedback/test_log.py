"""Logs of what a run showed under exploration: read, refused in words, and true on average over many of them."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from belfry import compare
from belfry.dataset.errors import InputError, TableError
from belfry.dataset.vocabulary import Vocabulary
from belfry.evaluation.reports.counterfactual import Policy
from belfry.evaluation.reports.evaluation import to_markdown
from belfry.pipeline.jobs.evaluate import evaluate_run
from belfry.pipeline.jobs.evaluate_table import evaluate_table
from belfry.pipeline.jobs.feedback.log import read_log
from belfry.pipeline.serving.recommender import Recommender

N, N_ITEMS = 4, 30
USERS = list(range(1, 41))
EXPLORE = {"share": 0.5, "temperature": 2.0}


def worth(lists: pa.Table) -> np.ndarray:
    """[n_rows] chance that the user of a row takes its item."""
    return (lists["user_id"].to_numpy() * 7 + lists["item_id"].to_numpy() * 11) % 10 / 10


def shown(recommender: Recommender, seed: int) -> pa.Table:
    """Lists with drawn places, and what came of them."""
    lists = recommender.recommend_many(USERS, N, rules={"explore": {**EXPLORE, "seed": seed}})
    rewards = np.random.default_rng(seed).random(len(lists)) < worth(lists)
    return lists.append_column("reward", pa.array(rewards.astype(np.float64)))


def turned_round(recommender: Recommender) -> pa.Table:
    """Lists that no run made: what the run has at the fifth to the eighth place."""
    lists = recommender.recommend_many(USERS, 2 * N)
    lists = lists.filter(pc.greater(lists["rank"], N))
    return lists.set_column(1, "rank", pc.cast(pc.subtract(lists["rank"], N), pa.int32())).drop_columns(["score"])


def test_estimates_from_drawn_places_are_true_on_average(shaped: Recommender) -> None:
    """Of lists that hold nothing but what the log shows by chance, over 300 logs."""
    other = turned_round(shaped)
    truth = float(worth(other).mean())
    lists = shaped.items.numbers(other["item_id"]).reshape(len(USERS), N)
    found = []
    for seed in range(300):
        log = read_log(shown(shaped, seed), shaped.users, shaped.items)
        policy, reward = Policy.of_lists("other", lists, log), log.reward
        weight = policy.weight
        robust = policy.expected.mean() + (weight * (reward - policy.predicted)).sum() / len(USERS)
        found.append(((weight * reward).sum() / len(USERS), robust, weight.sum() / len(USERS)))
    means, errors = np.mean(found, axis=0), np.std(found, axis=0) / np.sqrt(len(found))
    assert np.abs(means - [truth, truth, 1]).max() < 0.06
    assert (np.abs(means - [truth, truth, 1]) < 3.5 * errors).all()


def test_evaluate_holds_a_run_and_a_table_against_a_log(shaped: Recommender, tmp_path: Path) -> None:
    log = pa.concat_tables(shown(shaped, seed) for seed in range(6))
    history = shaped.features.history
    train = history.to_table()
    test = pa.table({"user_id": USERS, "item_id": shaped.recommend_many(USERS, 1)["item_id"]})
    report = evaluate_run(shaped, test, n=N, log=read_log(log, shaped.users, shaped.items), seed=0)
    of_run = report.feedback
    assert of_run is not None and not of_run.refused
    assert (of_run.n_lists, of_run.n_users, of_run.n_rows) == (240, 40, 960)
    lists = shaped.recommend_many(USERS, N)
    truth = worth(lists).mean()
    for value in of_run.values:
        assert value.challenger_low <= truth <= value.challenger_high
        assert value.baseline == pytest.approx(float(pc.mean(log["reward"]).as_py()))
    section = to_markdown(report).partition("## What these lists would have earned")[2]
    assert "| doubly robust | " in section and "960 rows of the log, 240 lists of 40 users; worth 960 rows" in section
    refused = evaluate_run(shaped, test, n=N, log=read_log(log[:4], shaped.users, shaped.items), seed=0)
    assert "cannot be said: for as shown the log is worth 4.0 rows" in to_markdown(refused)
    items = pa.table({"item_id": shaped.items.ids})
    of_table = evaluate_table(lists, train, test, items=items, n=N, log=log, seed=0).feedback
    assert of_table is not None
    assert of_table.values[0].challenger == pytest.approx(of_run.values[0].challenger)


def test_compare_counts_users_of_the_log_who_did_nothing_later(shaped: Recommender) -> None:
    """The test part has one user; the log's value is of all of them."""
    log = pa.concat_tables(shown(shaped, seed) for seed in range(6))
    train, lists = shaped.features.history.to_table(), shaped.recommend_many(USERS, N)
    test = pa.table({"user_id": [1], "item_id": lists["item_id"][:1]})
    items = pa.table({"item_id": shaped.items.ids})
    found = compare(lists, turned_round(shaped), train=train, test=test, items=items, log=log)
    value = found.challengers[0].counterfactual
    assert value is not None and (value.n_users, value.n_lists) == (40, 240)


LOG = {"user_id": [1, 1, 2, 2], "item_id": [1, 2, 1, 3], "rank": [1, 2, 1, 2]}
LOG |= {"propensity": [1.0, 0.5, 1.0, 0.5], "reward": [0, 1, 0, 0]}
IDS = Vocabulary(pa.array([1, 2, 3]))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"propensity": [1.0, 0.0, 1.0, 0.5]},
            r"'propensity' has 1 values that are not above 0 and up to 1 \(first",
        ),
        ({"propensity": [1.0, 1.5, None, 0.5]}, r"2 values that are not above 0 and up to 1 \(first in rows 1, 2\)"),
        ({"propensity": None}, "column 'propensity' is needed once; where items were shown at random, say so"),
        ({"reward": None}, "column 'reward' is needed once"),
        ({name: [] for name in LOG}, "^log: has no rows; hand in what was shown"),
        ({"reward": [0, None, 1, 1]}, r"'reward' has 1 values that are not numbers \(first in rows 1\)"),
        ({"rank": [0, 1, 1.5, 2]}, r"'rank' has 2 values that are not whole numbers from 1 \(first in rows 0, 2\)"),
        ({"rank": [1, 2, 2, 2]}, "lists of 1 users lack rows"),
        ({"rank": [2, 3, 1, 2]}, "lists of 1 users lack rows"),
        ({"rank": [1, 3, 1, 2]}, "lists of 1 users lack rows"),
        ({"user_id": [7, 7, 8, 8]}, "none of its users is in the data"),
        ({"user_id": ["a", "a", "b", "b"]}, "column 'user_id' is string and the data has int64 ids; cast it"),
    ],
)
def test_what_cannot_be_used_is_refused(change: dict[str, list[object] | None], words: str) -> None:
    table = pa.table({name: values for name, values in (LOG | change).items() if values is not None})
    with pytest.raises(InputError, match=words):
        read_log(table, IDS, IDS)


def test_lists_and_single_items_are_told_apart_by_ranks() -> None:
    log = read_log(pa.table(LOG), IDS, IDS)
    assert log.n_lists.tolist() == [1, 1]
    twice = pa.concat_tables([pa.table(LOG), pa.table(LOG).slice(0, 2)])
    assert read_log(twice, IDS, IDS).n_lists.tolist() == [2, 1]
    single = pa.table(LOG).drop_columns(["rank"])
    assert read_log(single, IDS, IDS).n_lists.tolist() == [2, 2]
    uniform = read_log(single.drop_columns(["propensity"]), IDS, IDS, is_uniform=True)
    assert uniform.propensity == pytest.approx(np.full(4, 1 / 3))
    with pytest.raises(TableError, match="'rank' says that lists were shown"):
        read_log(pa.table(LOG), IDS, IDS, is_uniform=True)
    with pytest.raises(InputError, match=r"weights cut to 0\.5: wanted at least 1"):
        read_log(pa.table(LOG), IDS, IDS, clip=0.5)
