"""EASE: a history times the item-to-item weights, of what was watched, liked and disliked."""

from dataclasses import replace

import numpy as np
import pytest

from belfry.dataset.candidates import Candidates
from belfry.dataset.features import FeatureTables
from belfry.dataset.similarity import ease_weights
from belfry.ranking.features.groups.ease import Ease, EaseByRating
from tests.ranking.features.world import CONFIG, candidates_for, matrix_of, profiles


@pytest.mark.parametrize("kind", ["uniform", "recency"])
@pytest.mark.parametrize("max_items", [0, 20])
def test_ease_is_the_history_times_the_item_weights(
    world: FeatureTables, asked: Candidates, kind: str, max_items: int
) -> None:
    """By the table of all pairs, or by singular vectors, of which there are as many as the rank of the history.

    Some candidates are watched, where B is 0.
    """
    columns = matrix_of(world, asked, CONFIG.model_copy(update={"ease_max_items": max_items}))
    ease = profiles(world, kind) @ ease_weights(world.history, l2=CONFIG.ease_l2)
    np.testing.assert_allclose(columns[f"ease_{kind}"], ease[asked.user_num, asked.item_num], rtol=1e-3, atol=1e-6)
    assert world.history.seen_items.contains(asked.user_num, asked.item_num).any()


def test_with_fewer_singular_vectors_it_comes_near(world: FeatureTables) -> None:
    unseen = candidates_for(world, [1, 2, 3], n=20)
    ease = (profiles(world, "uniform") @ ease_weights(world.history, l2=CONFIG.ease_l2))[
        unseen.user_num, unseen.item_num
    ]
    configs = {rank: CONFIG.model_copy(update={"ease_rank": rank, "ease_max_items": 0}) for rank in (2, 10, 15)}
    off = {
        rank: np.abs(matrix_of(world, unseen, config)["ease_uniform"] - ease).mean() for rank, config in configs.items()
    }
    assert off[2] > 2 * off[10] > 2 * off[15]


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
        ease = profile @ ease_weights(pairs, l2=CONFIG.ease_l2 / 2)
        found = columns[f"ease_{name}"]
        np.testing.assert_allclose(found, ease[asked.user_num, asked.item_num], rtol=1e-3, atol=1e-6)
        assert found.any()


def test_without_ratings_nothing_is_liked_or_disliked(world: FeatureTables) -> None:
    assert not EaseByRating.can_fit(replace(world, history=replace(world.history, rating=None)), CONFIG)


@pytest.mark.parametrize("max_items", [0, 20])
def test_item_weights_are_those_of_the_table(world: FeatureTables, max_items: int) -> None:
    watched, items = world.history.seen_items.of(3), np.arange(1, 21, dtype=np.int32)
    weights = Ease(Ease.fit(world, CONFIG.model_copy(update={"ease_max_items": max_items}))).item_weights(
        watched, items
    )
    expected = ease_weights(world.history, l2=CONFIG.ease_l2)[np.ix_(watched, items)].T
    np.testing.assert_allclose(weights, expected, rtol=1e-3, atol=1e-6)
