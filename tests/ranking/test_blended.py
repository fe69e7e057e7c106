"""BlendedRanker: standard scores by hand, and an order that is the blend's."""

import numpy as np
import pytest

from dataset.candidates import Candidates
from dataset.features import FeatureColumns, FeatureTables
from dataset.interactions import Interactions
from ranking.base import Scores
from ranking.blended import BlendedRanker, standard_scores
from ranking.opinion import Opinion
from tests.ranking.multitask_world import pairs, world


class ByNumber:
    """Higher numbers are better, on a scale of its own for each user."""

    def score(self, candidates: Candidates, features: FeatureTables) -> Scores:
        return (1000 * candidates.user_num + 7 * candidates.item_num).astype(np.float32)


def asked(*items: list[int]) -> Candidates:
    """A list of items for each of users 1, 2, ...; none where it is empty."""
    user = np.repeat(np.arange(1, len(items) + 1, dtype=np.int32), [len(of_user) for of_user in items])
    return pairs(user, np.concatenate(items).astype(np.int32))


def test_standard_scores_by_hand() -> None:
    """Of two lists, and of a list of one."""
    standard = standard_scores(asked([1, 2, 3], [4], [5, 6]), np.array([1, 2, 6, 9, -1e6, 1e6], np.float32))
    deviation = np.std([1, 2, 6])
    assert standard.dtype == np.float32
    assert standard == pytest.approx([-2 / deviation, -1 / deviation, 3 / deviation, 0, -1, 1], rel=1e-6)


def test_scores_that_are_all_alike() -> None:
    assert standard_scores(asked([1, 2, 3]), np.full(3, 3e7, np.float32)).tolist() == [0, 0, 0]


def test_the_blend_is_made_of_standard_scores_and_is_a_probability() -> None:
    features, candidates = world(), asked([1, 2, 3], [9, 4])
    candidates.score[:] = [3, 5, 4, 0, 10]
    own, retrieval = (
        standard_scores(candidates, values) for values in (ByNumber().score(candidates, features), candidates.score)
    )
    scores = BlendedRanker(ByNumber(), Opinion(0.5, 2.0, -1.0)).score(candidates, features)
    np.testing.assert_allclose(scores, 1 / (1 + np.exp(-(2 * (own + 0.5 * retrieval) - 1))), rtol=1e-5)


def test_nobody_asked() -> None:
    features = FeatureTables(Interactions.from_table(world().history.to_table()), FeatureColumns(), FeatureColumns())
    nothing = asked([1]).select(np.zeros(0, np.int64))
    assert BlendedRanker(ByNumber(), Opinion()).score(nothing, features).shape == (0,)
