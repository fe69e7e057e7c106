"""Where rows stand within their list."""

import numpy as np

from belfry.dataset.candidates import Candidates
from belfry.ranking.features.list_places import list_places


def test_places_of_each_list_alone() -> None:
    """The second list is empty. Equal values have the standard score 0, and rank in the order of their rows."""
    values = np.array([[1.0, 3.0, 6.0, 2.0, 4.0, 4.0], np.ones(6)])
    standard, log_rank = list_places(values, np.array([0, 2, 2, 6]))
    root = np.sqrt(2)  # the standard deviation of 6, 2, 4, 4
    np.testing.assert_allclose(standard, [[-1, 1, 2 / root, -2 / root, 0, 0], np.zeros(6)])
    np.testing.assert_allclose(np.expm1(log_rank), [[1, 0, 0, 3, 1, 2], [0, 1, 0, 1, 2, 3]])


def test_columns_of_places_are_of_the_list(asked: Candidates, columns: dict[str, np.ndarray]) -> None:
    for place in range(len(asked.users)):
        rows = slice(*asked.starts[place : place + 2])
        score = asked.score[rows]
        np.testing.assert_allclose(columns["standard_score"][rows], (score - score.mean()) / score.std(), atol=1e-5)
        np.testing.assert_allclose(columns["log_rank_score"][rows], np.log1p(np.arange(12)), rtol=1e-6)
