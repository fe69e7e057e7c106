"""Cosine and followers: sums over the newest items of a history, of those whose neighbours a candidate is among."""

import numpy as np
import pytest

from belfry.dataset.candidates import Candidates
from belfry.dataset.features import FeatureTables
from belfry.dataset.similarity import cosine_neighbours, followers, largest_of_rows
from tests.ranking.features.world import CONFIG, profiles


@pytest.mark.parametrize("name", ["cosine", "followers"])
def test_a_column_is_the_recent_history_times_the_nearest_of_each_watched_item(
    world: FeatureTables, asked: Candidates, columns: dict[str, np.ndarray], name: str
) -> None:
    history = world.history
    all_pairs = {
        "cosine": cosine_neighbours(history.matrix, n_neighbours=4, shrink=1.0),
        "followers": followers(history, n_steps=CONFIG.next_steps),
    }
    nearest = largest_of_rows(all_pairs[name], 4)  # row i: the neighbours of a watched item i
    assert np.diff(nearest.indptr).max() == 4
    expected = profiles(world, "recency") @ nearest.toarray()
    cells = (asked.user_num, asked.item_num)
    np.testing.assert_allclose(columns[f"{name}_recency"], expected[cells], rtol=1e-5, atol=1e-6)
    assert columns[f"{name}_recency"].any()
