"""Cosine: sums over the nearest neighbours that were watched, and what each watched item adds."""

import numpy as np
import pytest

from belfry.dataset.candidates import Candidates
from belfry.dataset.features import FeatureTables
from belfry.dataset.similarity import cosine_neighbours
from belfry.ranking.features.groups.cosine import Cosine
from tests.ranking.features.world import CONFIG, profiles


@pytest.mark.parametrize("kind", ["uniform", "recency"])
def test_cosine_is_the_history_times_the_cosines_of_the_neighbours(
    world: FeatureTables, asked: Candidates, columns: dict[str, np.ndarray], kind: str
) -> None:
    neighbours = cosine_neighbours(world.history.matrix, n_neighbours=4, shrink=1.0)  # row i: the neighbours of i
    assert np.diff(neighbours.indptr).max() == 4
    cells = (asked.user_num, asked.item_num)
    cosine = profiles(world, kind) @ neighbours.T.toarray()
    np.testing.assert_allclose(columns[f"cosine_{kind}"], cosine[cells], rtol=1e-5, atol=1e-6)
    if kind == "uniform":
        watched = profiles(world, kind) > 0
        nearest = (watched[:, None, :] * neighbours.toarray()[None]).max(axis=2)
        np.testing.assert_allclose(columns["cosine_nearest"], nearest[cells], rtol=1e-6)


def test_item_weights_are_the_cosines_of_the_nearest_and_else_0(world: FeatureTables) -> None:
    arrays = Cosine.fit(world, CONFIG)
    watched, items = world.history.seen_items.of(3), np.arange(21, dtype=np.int32)
    weights = Cosine(arrays).item_weights(watched, items)
    cosines = cosine_neighbours(world.history.matrix, n_neighbours=4, shrink=1.0).toarray()
    np.testing.assert_array_equal(weights, cosines[np.ix_(items, watched)])
    assert weights.any()
