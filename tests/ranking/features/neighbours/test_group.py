"""Neighbours: all tables at once, and what a damaged file of them is told."""

from collections.abc import Callable

import numpy as np
import pytest

from belfry.dataset.errors import ArtifactError
from belfry.dataset.features import FeatureTables
from belfry.ranking.features.neighbours import group
from belfry.ranking.features.neighbours.group import Neighbours
from tests.ranking.features.world import CONFIG, candidates_for, matrix_of


@pytest.mark.parametrize("cells", [1, 300])
def test_steps_of_few_users_give_the_columns_of_one_step(
    world: FeatureTables, monkeypatch: pytest.MonkeyPatch, cells: int
) -> None:
    asked = candidates_for(world, [3, 0, 30, 1, 7])
    whole = matrix_of(world, asked)
    monkeypatch.setattr(group, "_CELLS_PER_STEP", cells)
    for name, column in matrix_of(world, asked).items():
        np.testing.assert_allclose(column, whole[name], rtol=1e-5, atol=1e-6, err_msg=name)


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("start", lambda own: np.concatenate([own, own]), "no rows of neighbours"),
        ("start", lambda own: own[:-1], "no rows of neighbours"),
        ("start", lambda own: own.astype(np.float32), "wanted integers"),
        ("neighbour", lambda own: own[:, np.newaxis], "wanted integers"),
        ("neighbour", lambda own: own - own.max() - 1, "numbers below 0"),
        ("neighbour", lambda own: own + 9_999, "items that there are not"),
        ("tables", lambda own: np.append(own[1:], "others"), "no rows of neighbours"),
        ("n_recent", lambda own: own[:-1], "of the shape"),
        ("weight", lambda own: own[:-1], "of the shape"),
    ],
)
def test_rows_that_lead_out_are_refused(
    world: FeatureTables, name: str, change: Callable[[np.ndarray], np.ndarray], words: str
) -> None:
    arrays = Neighbours.fit(world, CONFIG)
    Neighbours(arrays)
    with pytest.raises(ArtifactError, match=f"pair features: neighbours.*{words}.*; train again"):
        Neighbours({**arrays, name: change(arrays[name])})
