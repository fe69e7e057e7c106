"""UtilityRanker: standard scores and the mix by hand, and probabilities in the order of the utility."""

import numpy as np
import pytest

from belfry.dataset.candidates import Candidates
from belfry.dataset.features import FeatureTables
from belfry.ranking.base import Scores
from belfry.ranking.calibration import Calibration
from belfry.ranking.utility import RatingLabels, UtilityRanker, standard_scores, utility
from tests.ranking.multitask_world import pairs, world


class ByNumber:
    """Expects a rating of a tenth of the item's number."""

    def score(self, candidates: Candidates, features: FeatureTables) -> Scores:
        return (candidates.item_num / 10).astype(np.float32)


def asked(*items: list[int], scores: list[float]) -> Candidates:
    """A list of items for each of users 1, 2, ..., with retrieval's scores."""
    user = np.repeat(np.arange(1, len(items) + 1, dtype=np.int32), [len(of_user) for of_user in items])
    candidates = pairs(user, np.concatenate(items).astype(np.int32))
    candidates.score[:] = scores
    return candidates


def test_standard_scores_by_hand() -> None:
    """Of two lists, and of a list of one."""
    standard = standard_scores(asked([1, 2, 3], [4], [5, 6], scores=[1, 2, 6, 9, -1e6, 1e6]))
    deviation = np.std([1, 2, 6])
    assert standard.dtype == np.float32
    assert standard == pytest.approx([-2 / deviation, -1 / deviation, 3 / deviation, 0, -1, 1], rel=1e-6)


def test_scores_that_are_all_alike() -> None:
    assert standard_scores(asked([1, 2, 3], scores=[3e7] * 3)).tolist() == [0, 0, 0]


def test_the_mix_by_hand() -> None:
    expected = np.array([[4, 1], [2, 0]], np.float32)
    mixed = utility(np.array([-1, 1], np.float32), expected, (0.3, 0.2), (2.0, 0.5))
    assert mixed == pytest.approx([0.5 * -1 + 0.3 * 4 / 2 + 0.2 * 1 / 0.5, 0.5 * 1 + 0.3 * 2 / 2])


def test_scores_are_the_calibrated_utility() -> None:
    features, candidates = world(), asked([1, 2, 3], [9, 4], scores=[3, 5, 4, 0, 10])
    ranker = UtilityRanker(RatingLabels(ByNumber()), (0.4,), (0.5,), Calibration(2.0, -1.0))
    mixed = 0.6 * standard_scores(candidates) + 0.4 * candidates.item_num / 10 / 0.5
    np.testing.assert_allclose(ranker.utility(candidates, features), mixed, rtol=1e-5)
    np.testing.assert_allclose(ranker.score(candidates, features), 1 / (1 + np.exp(1 - 2 * mixed)), rtol=1e-5)


def test_nobody_asked() -> None:
    nothing = asked([1], scores=[0]).select(np.zeros(0, np.int64))
    assert UtilityRanker(RatingLabels(ByNumber()), (0.4,), (1.0,)).score(nothing, world()).shape == (0,)
