"""Reliability: by hand, for a forecaster that is right, and for one that knows nothing."""

import numpy as np
import pytest

from belfry.dataset.candidates import Candidates, take_top_k
from belfry.dataset.history.seen_items import SeenItems
from belfry.evaluation.reports.reliability import measure_reliability


def handed(probability: np.ndarray, is_hit: np.ndarray) -> tuple[Candidates, SeenItems]:
    """One user's candidates, items 1, 2, ... in the order of `probability`; those that hit."""
    items = np.arange(1, len(probability) + 1, dtype=np.int32)
    row_user = np.zeros(len(items), np.int64)
    lists = take_top_k(
        np.array([1], np.int32), row_user, items, probability.astype(np.float32), top_k=len(items), origin="o"
    )
    return lists, SeenItems(np.array([0, 0, is_hit.sum()]), items[is_hit])


def test_by_hand():
    found = measure_reliability(*handed(np.array([0.25, 0.75, 0.75, 0.25]), np.array([False, True, True, True])))
    assert found is not None
    assert [(part.predicted, part.observed, part.n_rows) for part in found.bins] == [(0.25, 0.5, 2), (0.75, 1, 2)]
    assert found.calibration_error == 0.25
    assert found.brier == pytest.approx((3 * 0.25**2 + 0.75**2) / 4)
    assert (found.observed, found.n_rows) == (0.75, 4)
    assert found.brier_of_constant == 0.75 * 0.25


def test_bins_hold_as_many_rows_each():
    probability = np.random.default_rng(0).permutation(1000) / 1000
    found = measure_reliability(*handed(probability, probability > 0.5))
    assert found is not None
    assert [part.n_rows for part in found.bins] == [100] * 10
    assert [part.predicted for part in found.bins] == sorted(part.predicted for part in found.bins)


@pytest.mark.parametrize("n", [1, 3, 11])
def test_few_rows_and_equal_ones(n):
    found = measure_reliability(*handed(np.full(n, 0.5), np.ones(n, np.bool_)))
    assert found is not None
    assert [part.n_rows for part in found.bins] == [n]
    assert found.calibration_error == found.brier * 2 == 0.5


def test_who_is_right_has_no_error_and_who_is_sure_of_the_wrong_has_most():
    generator = np.random.default_rng(0)
    probability = generator.random(20_000)
    is_hit = generator.random(20_000) < probability
    right = measure_reliability(*handed(probability, is_hit))
    wrong = measure_reliability(*handed(1 - probability, is_hit))
    assert right is not None
    assert wrong is not None
    assert right.calibration_error < 0.02
    assert right.brier < right.brier_of_constant < wrong.brier
    assert wrong.calibration_error == pytest.approx(0.5, abs=0.02)


def test_nobody_has_a_candidate():
    assert measure_reliability(*handed(np.zeros(0), np.zeros(0, np.bool_))) is None
