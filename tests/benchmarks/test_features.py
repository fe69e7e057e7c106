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
    measure_missing,
    names_of,
    sample_lists,
    without,
)
from benchmarks.features.page import difference, differences, page
from benchmarks.features.sets import SETS, columns_of, first_alike
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


def result_of(examples: Examples, columns: dict[str, list[str]]) -> Result:
    """Nothing is measured yet but costs."""
    return Result(
        users=examples.lists.users.tolist(),
        columns=columns,
        costs={name: Cost(compute_us=1.5, fit_s=0.25, n_bytes=2048) for name in (*columns, WHOLE)},
        n_cost_users=20,
        n_candidates=200,
        threads="1",
        versions={"numpy": "2"},
        measured_on="2026-01-02",
    )


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


def test_sets_are_of_groups_and_of_columns() -> None:
    groups = {
        "singular_vectors": ["ease_uniform", "standard_ease_uniform"],
        "categories": ["category.genres.uniform", "category.genres.recency"],
    }
    assert columns_of(("singular_vectors",), groups) == {*groups["singular_vectors"]}
    assert columns_of(("singular_vectors", "categories"), groups) == {
        *groups["singular_vectors"],
        *groups["categories"],
    }
    assert columns_of(("ease_uniform",), groups) == {*groups["singular_vectors"]}
    assert columns_of(("category.*.uniform",), groups) == {"category.genres.uniform"}
    assert (
        first_alike("ease_uniform", groups)
        == first_alike("ease_uniform + ease_recency + cosine_*", groups)
        == "singular_vectors"
    )
    assert first_alike("cosine_*", groups) is None
    world = random_world()
    pair_features = PairFeatures.fit(world, CONFIG)
    own = {group.name: names_of(group, world, ()) & {*pair_features.names(world)} for group in pair_features.groups}
    for name, parts in SETS.items():
        for part in {*parts} - {"repeats", "vectors", "user_vectors", "passed_over"}:  # the world has none
            assert columns_of((part,), own), f"{name}: {part} is no column"


def test_lists_are_sampled_by_users() -> None:
    sampled = sample_lists(told_by("a"), 21)
    users, counts = np.unique(sampled.lists.users, return_counts=True)
    assert len(users) == 10
    assert (counts == 2).all()
    assert len(sample_lists(told_by("a"), 60)) == 60


def test_what_is_missing_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[tuple[tuple[str, ...], int, int]] = []

    def judged(examples: Examples, *, seed: int, start: int) -> np.ndarray:
        read.append((examples.names, seed, start))
        return np.zeros(len(examples))

    monkeypatch.setattr("benchmarks.features.measure.cross_validated", judged)
    examples = told_by("b")
    result = result_of(examples, {"singular_vectors": ["a", "standard_a"], "categories": ["b"]})
    lines = list(
        measure_missing(result, examples, ["singular_vectors", "ease_uniform + ease_recency + cosine_*", "cosine_*"], 1)
    )
    assert read == [(examples.names, 0, 0), (examples.names, 0, 1_000), (("b",), 0, 0)]
    assert lines[-1] == "singular_vectors, seed 0: 0.0000"
    assert not list(measure_missing(result, examples, ["singular_vectors"], 1))
    assert list(measure_missing(result, examples, ["singular_vectors"], 2))[-1:] == ["singular_vectors, seed 1: 0.0000"]
    assert [(seed, start) for _, seed, start in read[3:]] == [(1, 0), (1, 1_000), (1, 0)]


def test_the_page_pairs_lists_and_draws_users() -> None:
    generator = np.random.default_rng(0)
    everything = generator.random((2, 240))
    of_user = np.repeat(generator.normal(size=120), 2) / 10  # both lists of a user gain the same
    chance = np.repeat(generator.normal(size=120), 2) / 100
    result = result_of(told_by("b"), {"retrieval_scores": ["score"], "singular_vectors": ["ease_uniform"]})
    result = result.model_copy(
        update={
            "users": np.repeat(np.arange(120), 2).tolist(),
            "ndcg": {
                ALL: (everything - chance).tolist(),
                AGAIN: (everything + chance).tolist(),
                "singular_vectors": (everything + of_user).tolist()[:1],
            },
        }
    )
    found = difference(result, "singular_vectors")
    assert found.mean == pytest.approx(of_user.mean())
    assert found.error == pytest.approx(of_user[::2].std() / np.sqrt(120))  # as of 120 values, not of 240
    assert found.low < found.mean < found.high
    again = difference(result, AGAIN)
    assert again.mean == pytest.approx(2 * chance.mean())
    alike = ["singular_vectors", "ease_uniform", *(name for name in SETS if name.startswith("ease_uniform + "))]
    assert differences(result) == dict.fromkeys(alike, found) | {AGAIN: again}
    text = page({"100k-last": result})
    assert "## MovieLens 100K, each user's last event" in text
    assert "| `retrieval_scores` | 1 | - | | | | 1.5 | 0.250 | 2 |" in text
    assert f"| `singular_vectors` | 1 | {found.mean:+.4f} | {found.error:.4f} |" in text
    shown = f"{1e3 * found.mean:+.1f} ± {1e3 * (found.high - found.low) / 2:.1f}"
    bold = "**" * found.is_off_zero
    assert f"| `singular_vectors` | {bold}{shown}{bold} | {1e3 * found.mean:+.1f} |" in text
    for table in text.split("\n## ")[1:3]:
        rows = [line for line in table.splitlines() if line.startswith("|")]
        assert len({row.count("|") for row in rows}) == 1


def test_arguments_are_checked() -> None:
    command = [sys.executable, "-m", "benchmarks.features", "--cases", "100k-last,nothing"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "nothing: known are 100k-random" in done.stderr
