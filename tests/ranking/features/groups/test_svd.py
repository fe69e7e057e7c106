"""Svd: a history projected onto the largest singular vectors."""

import numpy as np

from belfry.dataset.candidates import Candidates
from belfry.dataset.features import FeatureTables
from belfry.ranking.features.groups.svd import Svd
from tests.ranking.features.world import CONFIG, profiles


def test_svd_is_the_history_projected_onto_the_largest_singular_vectors(
    world: FeatureTables, asked: Candidates, columns: dict[str, np.ndarray]
) -> None:
    _, _, vectors = np.linalg.svd(world.history.matrix.toarray().astype(np.float64))
    largest = vectors[:16]  # [n_factors, n_items + 1]
    expected = profiles(world, "uniform") @ largest.T @ largest
    np.testing.assert_allclose(columns["svd_16"], expected[asked.user_num, asked.item_num], atol=1e-5)


def test_sizes_that_the_data_cannot_fill_are_left_out(world: FeatureTables) -> None:
    """20 items have 20 singular vectors."""
    assert Svd.fit(world, CONFIG.model_copy(update={"svd_sizes": (20, 21)}))["sizes"].tolist() == [20]
