"""NumericColumns: the user's, the item's, and the distance from the history."""

import numpy as np

from belfry.dataset.candidates import Candidates
from belfry.dataset.features import FeatureTables


def test_numbers_of_user_and_item_and_the_distance_from_the_history(
    world: FeatureTables, asked: Candidates, columns: dict[str, np.ndarray]
) -> None:
    np.testing.assert_array_equal(columns["user.age"], world.users.numeric["age"][asked.user_num])
    year = world.items.numeric["year"]
    np.testing.assert_array_equal(columns["item.year"], year[asked.item_num])
    means = [year[world.history.item_num[world.history.user_num == user]].mean() for user in asked.user_num]
    np.testing.assert_allclose(columns["distance.year"], abs(year[asked.item_num] - means), rtol=1e-4, atol=1e-5)
