"""Svd: a history projected onto the largest singular vectors."""

from dataclasses import replace

import numpy as np

from belfry.dataset.candidates import Candidates
from belfry.dataset.features import FeatureTables
from belfry.ranking.features.groups.svd import Svd
from tests.ranking.features.world import CONFIG, candidates_for, matrix_of, profiles


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
    assert Svd.fit(part, config)["factors"].shape[1] <= 3
    asked = candidates_for(world, [1, 2, 3], n=12)
    for features in (world, part):
        svd = Svd(Svd.fit(features, config))
        assert [column.name for column in svd.columns(features, ())] == ["svd_2", "svd_20", "svd_21"]
        columns = matrix_of(features, asked, config)
        assert columns["svd_2"].any()
        np.testing.assert_array_equal(columns["svd_20"], columns["svd_21"])
    np.testing.assert_allclose(
        matrix_of(world, asked, config)["svd_21"],
        profiles(world, "uniform")[asked.user_num, asked.item_num],  # with all of them, what was watched comes back
        atol=1e-5,
    )
