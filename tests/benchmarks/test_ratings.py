"""The benchmark of ratings: its splits, its intervals, and a page of two systems on generated data."""

import numpy as np
import pytest

from belfry.dataset.prepare import prepare
from belfry.dataset.sources.movielens import read_movielens
from belfry.dataset.sources.web.download import find
from belfry.dataset.split import split_random
from belfry.dataset.validation.check import check
from benchmarks import ratings as benchmark
from benchmarks.rating_peers import Biases
from benchmarks.ratings import Errors, measure, pairs_of, split_u1, validation_split


def test_errors_against_values_worked_by_hand() -> None:
    errors = Errors(np.array([1, 1, 2]), np.array([1.0, -1.0, 2.0]), np.zeros(3), 0)
    assert errors.mse == pytest.approx(2)
    assert errors.rmse == pytest.approx(np.sqrt(2))
    assert errors.mae == pytest.approx(4 / 3)
    (rmse_low, rmse_high), (mae_low, mae_high) = errors.intervals(0)  # samples: user 1 twice, both, user 2 twice
    assert (rmse_low, rmse_high) == pytest.approx((1, 2))
    assert (mae_low, mae_high) == pytest.approx((1, 2))


def test_intervals_cover_the_truth() -> None:
    generator = np.random.default_rng(0)
    covered = []
    for draw in range(100):
        users = np.repeat(np.arange(100), 10)
        error = generator.normal(size=1000) * generator.choice([0.5, 1.5], 100)[users]
        low, high = Errors(users, error, error, 0).intervals(draw)[0]
        covered.append(low < np.sqrt((0.25 + 2.25) / 2) < high)
    assert 0.88 <= np.mean(covered) <= 1


def test_what_is_asked_holds_neither_ratings_nor_times(tiny_data) -> None:
    split = split_random(tiny_data.interactions, seed=0)
    asked = pairs_of(split.test)
    np.testing.assert_array_equal(asked.user_num, split.test.user_num)
    np.testing.assert_array_equal(asked.item_num, split.test.item_num)
    assert not asked.score.any()


def test_the_random_page_names_every_system(tiny_data, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "SYSTEMS", {"biases": Biases})
    monkeypatch.setattr("benchmarks.ratings.split_random", lambda events, seed: rated_split(events, seed))
    lines = benchmark._random(tiny_data, 2)
    assert any(line.startswith("| biases | ") and "±" in line for line in lines)


def rated_split(events, seed: int):
    return split_random(events.select(np.isfinite(events.rating)), seed=seed)


def test_biases_beat_the_mean(tiny_data) -> None:
    split = rated_split(tiny_data.interactions, 0)
    assert measure(tiny_data, split, Biases, seed=0).mse < np.var(split.test.rating)


@pytest.mark.realdata
def test_u1_is_whole_and_validation_lies_inside_its_base() -> None:
    archive = find("ml-100k")
    events = prepare(check(read_movielens(archive))[0]).interactions
    u1 = split_u1(events, archive)
    assert (len(u1.train), len(u1.test)) == (80_000, 20_000)
    assert events.users.take([u1.test.user_num.max()]).to_pylist() == [462]
    validation = validation_split(u1, seed=0)
    assert len(validation.train) + len(validation.test) == len(u1.train)
    assert not np.isin(validation.test.user_num, u1.test.user_num).any()
    counts = [np.bincount(part.user_num) for part in (validation.train, validation.test)]
    users = np.flatnonzero(counts[1])
    assert len(users) == benchmark.VALIDATION_USERS
    share = counts[1][users].sum() / (counts[0][users] + counts[1][users]).sum()
    assert share == pytest.approx(0.5, abs=0.02)
