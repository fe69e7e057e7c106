"""Ratings: how the item is rated, how the user rates."""

from dataclasses import replace

import numpy as np
import pytest

from belfry.dataset.candidates import Candidates
from belfry.dataset.features import FeatureTables
from tests.ranking.features.world import candidates_for, matrix_of, random_world


def test_item_and_user_rating(world: FeatureTables, asked: Candidates, columns: dict[str, np.ndarray]) -> None:
    history = world.history
    assert history.rating is not None
    rated = np.isfinite(history.rating)
    means = {user: history.rating[rated & (history.user_num == user)].mean() for user in asked.users}
    for row, (user, item) in enumerate(zip(asked.user_num, asked.item_num, strict=True)):
        about = rated & (history.item_num == item)
        above = [history.rating[event] - means[history.user_num[event]] for event in np.flatnonzero(about)]
        assert columns["item_rating"][row] == pytest.approx(np.sum(above) / (len(above) + 5), rel=1e-4, abs=1e-5)
        assert columns["user_rating"][row] == pytest.approx(means[user], rel=1e-5)


def test_a_history_whose_ratings_are_all_missing_keeps_their_columns() -> None:
    """Part of a table that has ratings elsewhere: they say nothing, and the features are those of the other parts."""
    world = random_world()
    unrated = replace(world.history, rating=np.full(len(world.history), np.nan, np.float32))
    columns = matrix_of(FeatureTables(unrated, world.users, world.items), candidates_for(world, [1, 30]))
    assert columns.keys() == matrix_of(world, candidates_for(world, [1])).keys()
    for name in ("item_rating", "user_rating"):
        assert not columns[name].any(), name
