"""What singular vectors make of a history: EASE of what was watched, liked and disliked, and projections."""

from dataclasses import replace

import numpy as np
import pytest

from belfry.dataset.candidates import Candidates
from belfry.dataset.features import FeatureTables
from belfry.dataset.similarity import ease_weights
from belfry.ranking.features.groups.singular_vectors import EaseByRating, SingularVectors
from tests.ranking.features.world import CONFIG, candidates_for, matrix_of, profiles


@pytest.mark.parametrize("kind", ["uniform", "recency"])
def test_ease_is_the_history_times_the_item_weights(
    world: FeatureTables, asked: Candidates, columns: dict[str, np.ndarray], kind: str
) -> None:
    """There are as many singular vectors as the rank of the history. Some candidates are watched, where B is 0."""
    ease = profiles(world, kind) @ ease_weights(world.history, l2=CONFIG.ease_l2)
    np.testing.assert_allclose(columns[f"ease_{kind}"], ease[asked.user_num, asked.item_num], rtol=1e-3, atol=1e-6)
    assert world.history.seen_items.contains(asked.user_num, asked.item_num).any()


def test_with_fewer_singular_vectors_it_comes_near(world: FeatureTables) -> None:
    unseen = candidates_for(world, [1, 2, 3], n=20)
    ease = (profiles(world, "uniform") @ ease_weights(world.history, l2=CONFIG.ease_l2))[
        unseen.user_num, unseen.item_num
    ]
    configs = {rank: CONFIG.model_copy(update={"ease_rank": rank, "svd_sizes": (1,)}) for rank in (2, 10, 15)}
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


def test_item_weights_are_those_of_ease(world: FeatureTables) -> None:
    watched, items = world.history.seen_items.of(3), np.arange(1, 21, dtype=np.int32)
    weights = SingularVectors(SingularVectors.fit(world, CONFIG)).item_weights(watched, items)
    expected = ease_weights(world.history, l2=CONFIG.ease_l2)[np.ix_(watched, items)].T
    np.testing.assert_allclose(weights, expected, rtol=1e-3, atol=1e-6)


def test_svd_is_the_history_projected_onto_the_largest_singular_vectors(
    world: FeatureTables, asked: Candidates, columns: dict[str, np.ndarray]
) -> None:
    _, _, vectors = np.linalg.svd(world.history.matrix.toarray().astype(np.float64))
    largest = vectors[:16]  # [n_factors, n_items + 1]
    expected = profiles(world, "uniform") @ largest.T @ largest
    np.testing.assert_allclose(columns["svd_16"], expected[asked.user_num, asked.item_num], atol=1e-5)


def test_all_parts_of_a_history_have_the_same_columns(world: FeatureTables) -> None:
    """20 items have 20 singular vectors at most, and three events three: what there is fills every size."""
    config = CONFIG.model_copy(update={"svd_sizes": (2, 20, 21)})
    part = replace(world, history=world.history.select(np.arange(3)))
    assert SingularVectors.fit(part, config)["factors"].shape[1] <= 3
    asked = candidates_for(world, [1, 2, 3], n=12)
    for features in (world, part):
        svd = SingularVectors(SingularVectors.fit(features, config))
        names = [column.name for column in svd.columns(features, ())]
        assert names == ["ease_uniform", "ease_recency", "svd_2", "svd_20", "svd_21"]
        columns = matrix_of(features, asked, config)
        assert columns["svd_2"].any()
        np.testing.assert_allclose(columns["svd_20"], columns["svd_21"], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        matrix_of(world, asked, config)["svd_21"],
        profiles(world, "uniform")[asked.user_num, asked.item_num],  # with all of them, what was watched comes back
        atol=1e-5,
    )
