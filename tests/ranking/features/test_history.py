"""UserHistories: which events of a user are read."""

import numpy as np
import pytest

from belfry.dataset.features import FeatureTables
from belfry.ranking.features.history import UserHistories, means
from tests.ranking.features.world import CONFIG, candidates_for, matrix_of, random_world


def test_histories_of_many_users_stand_one_after_another(world: FeatureTables) -> None:
    """User 30 has no events, user 0 is unknown: their request time is the history's end."""
    users = np.array([7, 30, 0, 2], np.int32)
    many = UserHistories.of(users, world, CONFIG)
    assert many.lengths[[1, 2]].tolist() == [0, 0]
    assert many.last_s[[1, 2]].tolist() == many.request_s[[1, 2]].tolist() == [world.now_s] * 2
    for place, user in enumerate(users):
        alone = UserHistories.of(np.array([user], np.int32), world, CONFIG)
        events = slice(*many.starts[place : place + 2])
        np.testing.assert_array_equal(many.item_num[events], alone.item_num)
        np.testing.assert_array_equal(many.weights[:, events], alone.weights)
        assert many.mean_rating[place] == alone.mean_rating[0]
        assert many.last_s[place] == alone.last_s[0]


def test_the_recent_history_is_short() -> None:
    """Older events weigh nothing, and the weights of the others have unit length."""
    world = random_world()
    users = np.array([1, 30], np.int32)
    whole, recent = (
        UserHistories.of(users, world, CONFIG.model_copy(update={"recent_history": size})) for size in (1000, 3)
    )
    n_events = int(whole.lengths[0])
    np.testing.assert_array_equal(recent.weights[0], whole.weights[0])
    assert not recent.weights[1, : n_events - 3].any()
    np.testing.assert_allclose((recent.weights[1] ** 2).sum(), 1, rtol=1e-6)
    ratios = recent.weights[1, n_events - 3 :] / whole.weights[1, n_events - 3 :]
    np.testing.assert_allclose(ratios, ratios[0], rtol=1e-6)


def test_sums_over_histories(world: FeatureTables) -> None:
    users = np.array([7, 30, 2], np.int32)
    histories = UserHistories.of(users, world, CONFIG)
    table = np.random.default_rng(0).normal(size=(21, 4)).astype(np.float32)
    sums = histories.sums(table, histories.weights)
    assert sums.shape == (2, 3, 4)
    for place in range(3):
        events = slice(*histories.starts[place : place + 2])
        expected = histories.weights[:, events] @ table[histories.item_num[events]]
        np.testing.assert_allclose(sums[:, place], expected, rtol=1e-5, atol=1e-6)


def test_the_mean_of_an_empty_stretch_is_0() -> None:
    assert means(np.array([1, 3, 5], np.float32), np.array([0, 0, 2, 3, 3])).tolist() == [0, 2, 5, 0]


def test_only_the_newest_of_a_long_history_count() -> None:
    world = random_world()
    config = CONFIG.model_copy(update={"max_history": 3})
    candidates = candidates_for(world, [1, 2])
    columns = matrix_of(world, candidates, config)
    assert columns["history_length"].tolist() == pytest.approx([np.log(4)] * 16)
