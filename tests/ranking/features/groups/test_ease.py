"""EASE: a history times the item-to-item weights, of what was watched, liked and disliked."""

from dataclasses import replace

import numpy as np
import pytest

from belfry.dataset.candidates import Candidates
from belfry.dataset.features import FeatureTables
from belfry.dataset.similarity import ease_weights
from belfry.ranking.features.groups.ease import Ease, EaseByRating
from tests.ranking.features.world import CONFIG, profiles

L2 = CONFIG.ease_l2 * np.sqrt(30)  # of 30 users


@pytest.mark.parametrize("kind", ["uniform", "recency"])
def test_ease_is_the_history_times_the_item_weights(
    world: FeatureTables, asked: Candidates, columns: dict[str, np.ndarray], kind: str
) -> None:
    ease = profiles(world, kind) @ ease_weights(world.history.matrix, l2=L2)
    np.testing.assert_allclose(columns[f"ease_{kind}"], ease[asked.user_num, asked.item_num], rtol=1e-4, atol=1e-6)


def test_ease_rated_weighs_by_the_rating_above_the_users_mean(
    world: FeatureTables, asked: Candidates, columns: dict[str, np.ndarray]
) -> None:
    history = world.history
    assert history.rating is not None
    profile = profiles(world, "uniform")
    for user in range(1, 30):
        rows = history.by_user.of(user)
        above = history.rating[rows] - np.nanmean(history.rating[rows])
        profile[user, history.item_num[rows]] *= np.nan_to_num(above)
    ease = profile @ ease_weights(history.matrix, l2=L2)
    np.testing.assert_allclose(columns["ease_rated"], ease[asked.user_num, asked.item_num], rtol=1e-4, atol=1e-5)


def test_liked_and_disliked_are_models_of_their_own(
    world: FeatureTables, asked: Candidates, columns: dict[str, np.ndarray]
) -> None:
    """Each learned of the pairs rated above, or below, their user's mean, and asked with those of one user."""
    history = world.history
    assert history.rating is not None
    above = history.rating - [np.nanmean(history.rating[history.user_num == user]) for user in history.user_num]
    for name, chosen in (("liked", above > 0), ("disliked", above < 0)):
        pairs = history.select(chosen)
        profile = profiles(world, "uniform") * (pairs.matrix.toarray() > 0)
        ease = profile @ ease_weights(pairs.matrix, l2=L2 / 2)
        found = columns[f"ease_{name}"]
        np.testing.assert_allclose(found, ease[asked.user_num, asked.item_num], rtol=1e-4, atol=1e-6)
        assert found.any()


def test_large_catalogues_do_without_ease(world: FeatureTables) -> None:
    """The world has 20 items."""
    for limit, is_there in ((19, False), (20, True)):
        config = CONFIG.model_copy(update={"ease_max_items": limit})
        assert Ease.can_fit(world, config) == is_there
        assert EaseByRating.can_fit(world, config) == is_there


def test_without_ratings_nothing_is_liked_or_disliked(world: FeatureTables) -> None:
    assert not EaseByRating.can_fit(replace(world, history=replace(world.history, rating=None)), CONFIG)


def test_item_weights_are_those_of_the_table(world: FeatureTables) -> None:
    arrays = Ease.fit(world, CONFIG)
    watched, items = world.history.seen_items.of(3), np.arange(1, 21, dtype=np.int32)
    weights = ease_weights(world.history.matrix, l2=L2)
    np.testing.assert_array_equal(Ease(arrays).item_weights(watched, items), weights[np.ix_(watched, items)].T)
