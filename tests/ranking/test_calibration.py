"""From scores to probabilities."""

import numpy as np
from scipy.special import expit

from belfry.ranking.calibration import Calibration


def test_probabilities_are_those_of_a_sigmoid() -> None:
    scores = np.linspace(-40, 40, 1001)
    np.testing.assert_allclose(Calibration(0.8, -0.3)(scores), expit(0.8 * scores - 0.3), rtol=1e-6)


def test_scores_beyond_all_measure_are_certain() -> None:
    np.testing.assert_array_equal(Calibration()(np.array([-1e6, 0, 1e6])), [0, 0.5, 1])


def test_higher_scores_are_never_less_probable() -> None:
    scores = np.sort(np.random.default_rng(0).normal(scale=10, size=10_000))
    assert (np.diff(Calibration(2.0, 1.0)(scores)) >= 0).all()


def test_the_share_of_positives_is_found_again() -> None:
    generator = np.random.default_rng(0)
    scores = generator.normal(size=20_000)
    calibration = Calibration.fit(scores, generator.random(20_000) < expit(1.5 * scores - 1))
    np.testing.assert_allclose([calibration.slope, calibration.intercept], [1.5, -1], atol=0.06)
