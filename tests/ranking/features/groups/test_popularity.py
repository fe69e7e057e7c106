"""Popularity: of the candidate, and of what the user watched."""

import numpy as np

from belfry.dataset.candidates import Candidates
from belfry.dataset.features import FeatureTables


def test_popularity_of_the_candidate_and_of_the_history(
    world: FeatureTables, asked: Candidates, columns: dict[str, np.ndarray]
) -> None:
    history = world.history
    popularity = np.log1p([len(set(history.user_num[history.item_num == item])) for item in range(21)])
    np.testing.assert_allclose(columns["popularity"], popularity[asked.item_num], rtol=1e-6)
    for row, user in enumerate(asked.user_num):
        watched = history.item_num[history.user_num == user]
        assert columns["history_length"][row] == np.float32(np.log1p(len(watched)))
        np.testing.assert_allclose(columns["history_popularity"][row], popularity[watched].mean(), rtol=1e-6)
