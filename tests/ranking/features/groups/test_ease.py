"""EASE and PureSVD: a history times what the largest singular vectors make of all pairs of items."""

from dataclasses import replace

import numpy as np
import pytest

from belfry.dataset.candidates import Candidates
from belfry.dataset.features import FeatureTables
from belfry.dataset.similarity import ease_weights
from belfry.ranking.features.groups.ease import Ease, EaseByRating
from tests.ranking.features.world import CONFIG, candidates_for, matrix_of, profiles

L2 = CONFIG.ease_l2 * np.sqrt(30)  # of 30 users


@pytest.mark.parametrize("kind", ["uniform", "recency"])
def test_with_all_singular_vectors_it_is_ease(
    world: FeatureTables, asked: Candidates, columns: dict[str, np.ndarray], kind: str
) -> None:
    """The world's 20 items have fewer than `ease_rank`; some candidates are watched, where B is 0."""
    ease = profiles(world, kind) @ ease_weights(world.history.matrix, l2=L2)
    np.testing.assert_allclose(columns[f"ease_{kind}"], ease[asked.user_num, asked.item_num], rtol=1e-3, atol=1e-6)
    assert world.history.seen_items.contains(asked.user_num, asked.item_num).any()


def test_with_fewer_it_comes_near(world: FeatureTables) -> None:
    unseen = candidates_for(world, [1, 2, 3], n=20)
    ease = (profiles(world, "uniform") @ ease_weights(world.history.matrix, l2=L2))[unseen.user_num, unseen.item_num]
    off = {
        rank: np.abs(matrix_of(world, unseen, CONFIG.model_copy(update={"ease_rank": rank}))["ease_uniform"] - ease)
        for rank in (2, 10, 15)
    }
    assert off[2].mean() > 2 * off[10].mean() > 2 * off[15].mean()


def test_svd_is_the_history_projected_onto_the_largest_singular_vectors(
    world: FeatureTables, asked: Candidates, columns: dict[str, np.ndarray]
) -> None:
    _, _, vectors = np.linalg.svd(world.history.matrix.toarray().astype(np.float64))
    largest = vectors[:16]  # [n_factors, n_items + 1]
    expected = profiles(world, "uniform") @ largest.T @ largest
    np.testing.assert_allclose(columns["svd_16"], expected[asked.user_num, asked.item_num], atol=1e-5)


def test_sizes_that_the_data_cannot_fill_are_left_out(world: FeatureTables) -> None:
    """20 items have 20 singular vectors, and all of them are the history itself."""
    assert Ease.fit(world, CONFIG.model_copy(update={"svd_sizes": (19, 20)}))["sizes"].tolist() == [19]


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
        np.testing.assert_allclose(found, ease[asked.user_num, asked.item_num], rtol=1e-3, atol=1e-6)
        assert found.any()


def test_without_ratings_nothing_is_liked_or_disliked(world: FeatureTables) -> None:
    assert not EaseByRating.can_fit(replace(world, history=replace(world.history, rating=None)), CONFIG)


def test_item_weights_are_those_of_the_table(world: FeatureTables) -> None:
    watched, items = world.history.seen_items.of(3), np.arange(1, 21, dtype=np.int32)
    weights = Ease(Ease.fit(world, CONFIG)).item_weights(watched, items)
    expected = ease_weights(world.history.matrix, l2=L2)[np.ix_(watched, items)].T
    np.testing.assert_allclose(weights, expected, rtol=1e-3, atol=1e-6)
