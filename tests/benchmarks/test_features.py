"""The benchmark of pair features: what is left out, whom rankers are judged on, costs, and the page."""

import subprocess
import sys

import numpy as np
import pytest

from belfry.ranking.examples import Examples
from belfry.ranking.features.pair_features import PairFeatures
from belfry.ranking.lists import Lists
from belfry.ranking.listwise.config import DeepRankerConfig
from benchmarks.features.measure import (
    AGAIN,
    ALL,
    WHOLE,
    Cost,
    Result,
    cross_validated,
    measure_costs,
    names_of,
    without,
)
from benchmarks.features.page import difference, page
from tests.ranking.features.world import CONFIG, candidates_for, random_world

QUICK = DeepRankerConfig(members=1, widths=(8,), min_steps=80, dropout=0)


def told_by(column: str) -> Examples:
    """60 lists of 10 rows; of columns a, standard_a and b, `column` tells which row is relevant."""
    generator = np.random.default_rng(0)
    labels = np.tile(np.eye(10, dtype=np.float32)[0], (60, 1))
    labels = generator.permuted(labels, axis=1).ravel()
    names = ("a", "standard_a", "b")
    pairs = generator.normal(size=(600, 3)).astype(np.float32)
    pairs[:, names.index(column)] = labels
    starts, users = np.arange(61) * 10, np.arange(60, dtype=np.int32) // 2 + 1
    lists = Lists(pairs, names, np.ones(600, np.int32), starts, users, np.zeros((60, 50), np.int32))
    return Examples(lists, labels, np.ones(60, np.int64))


def test_a_ranker_misses_what_tells_the_order() -> None:
    examples = told_by("standard_a")
    assert without(examples, {"a", "standard_a"}).names == ("b",)
    scores = cross_validated(examples, seed=0, config=QUICK)
    assert scores.mean() > 0.95
    assert cross_validated(without(examples, {"a", "standard_a"}), seed=0, config=QUICK).mean() < 0.7
    assert (scores == cross_validated(examples, seed=0, config=QUICK)).all()


def test_every_column_has_one_group_and_costs_are_of_all() -> None:
    world = random_world()
    asked = candidates_for(world, [1, 2, 3])
    features = PairFeatures.fit(world, CONFIG)
    columns = features.names(world, asked.sources)
    own = [names_of(group, world, asked.sources) & set(columns) for group in features.groups]
    assert sum(map(len, own)) == len(columns) == len(set.union(*own))
    costs = measure_costs(features, world, asked)
    assert [*costs] == [*(group.name for group in features.groups), WHOLE]
    parts = [cost for name, cost in costs.items() if name != WHOLE]
    assert costs[WHOLE].n_bytes == sum(cost.n_bytes for cost in parts)
    assert costs[WHOLE].compute_us >= max(cost.compute_us for cost in parts)


def test_the_page_pairs_lists_and_draws_users() -> None:
    generator = np.random.default_rng(0)
    everything = generator.random((2, 240))
    of_user = np.repeat(generator.normal(size=120), 2) / 10  # both lists of a user gain the same
    result = Result(
        users=np.repeat(np.arange(120), 2).tolist(),
        ndcg={ALL: everything.tolist(), "ease": (everything + of_user).tolist(), AGAIN: everything.tolist()},
        n_columns={"retrieval_scores": 3, "ease": 4},
        costs={name: Cost(compute_us=1.5, fit_s=0.25, n_bytes=2048) for name in ("retrieval_scores", "ease", WHOLE)},
        n_cost_users=20,
        n_candidates=200,
        threads="1",
        versions={"numpy": "2"},
        measured_on="2026-01-02",
    )
    found = difference(result, "ease")
    assert found.mean == pytest.approx(of_user.mean())
    assert found.error == pytest.approx(of_user[::2].std() / np.sqrt(120))  # as of 120 values, not of 240
    assert found.low < found.mean < found.high
    text = page({"100k-last": result}, command="make benchmark-features")
    assert "| `retrieval_scores` | 3 | - | | | 1.5 | 0.250 | 2 |" in text
    assert f"| `ease` | 4 | {found.mean:+.4f} | {found.error:.4f} |" in text
    assert "| +0.0000 | 0.0000 | [+0.0000, +0.0000] |" in text
    assert (
        len({line.count("|") for line in text.splitlines() if line.startswith(("| `ease`", "| nothing", "| (the"))})
        == 1
    )


def test_arguments_are_checked() -> None:
    command = [sys.executable, "-m", "benchmarks.features", "--cases", "100k-last,nothing"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "nothing: known are 100k-random" in done.stderr
