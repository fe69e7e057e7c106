"""Where rows stand within their list."""

from itertools import pairwise

import numpy as np
import pytest

from belfry.dataset.candidates import Candidates
from belfry.ranking.features.list_places import standard_scores


@pytest.mark.parametrize("starts", [[0, 2, 2, 6], [0, 3, 6], [0, 6, 6]])
def test_standard_scores_of_each_list_alone(starts: list[int]) -> None:
    """Lists of any length, of one length, and one that is empty. Equal values have the standard score 0."""
    values = np.array([[1, 3, 6, 2, 4, 4], np.ones(6)], np.float32)
    standard = standard_scores(values, np.array(starts))
    for start, stop in pairwise(starts):
        own = values[0, start:stop]
        if len(own):
            np.testing.assert_allclose(standard[0, start:stop], (own - own.mean()) / own.std(), rtol=1e-5, atol=1e-6)
    assert not standard[1].any()


def test_other_lists_change_no_bit() -> None:
    """Neither their number nor their lengths."""
    values = np.random.default_rng(0).normal(size=(3, 9 + 30 + 30 + 12)).astype(np.float32)
    together = standard_scores(values, np.array([0, 9, 39, 69, 81]))
    alike = standard_scores(values[:, 9:69], np.array([0, 30, 60]))
    alone = standard_scores(values[:, 9:39], np.array([0, 30]))
    np.testing.assert_array_equal(together[:, 9:69], alike)
    np.testing.assert_array_equal(together[:, 9:39], alone)


def test_standard_scores_of_nothing() -> None:
    assert standard_scores(np.zeros((2, 0), np.float32), np.array([0, 0])).shape == (2, 0)
    assert standard_scores(np.zeros((0, 3), np.float32), np.array([0, 3])).shape == (0, 3)


def test_columns_of_places_are_of_the_list(asked: Candidates, columns: dict[str, np.ndarray]) -> None:
    for place in range(len(asked.users)):
        rows = slice(*asked.starts[place : place + 2])
        score = asked.score[rows]
        np.testing.assert_allclose(columns["standard_score"][rows], (score - score.mean()) / score.std(), atol=1e-5)
