"""How counts are spread, by hand-worked values."""

import numpy as np
import pytest

from belfry.evaluation.reports.description.counts import spread_of


def test_ranges_grow_and_every_count_is_in_one() -> None:
    counts = np.array([0, 1, 2, 2, 3, 5, 6, 10, 11, 20, 21, 50, 51, 100, 101, 150])
    found = spread_of(counts)
    assert found.histogram == (
        ("1", 1),
        ("2", 2),
        ("3-5", 2),
        ("6-10", 2),
        ("11-20", 2),
        ("21-50", 2),
        ("51-100", 2),
        ("101-150", 2),
    )
    assert (found.n, found.smallest, found.largest) == (15, 1, 150)
    assert found.n_few == 4


def test_the_last_range_is_one_number_where_it_starts_at_the_largest() -> None:
    assert spread_of(np.array([1, 3])).histogram == (("1", 1), ("2", 0), ("3", 1))


def test_the_curve_goes_from_nothing_to_everything() -> None:
    found = spread_of(np.array([6, 2, 1, 1]))
    assert found.curve == ((0, 0), (0.25, 0.6), (0.5, 0.8), (0.75, 0.9), (1, 1))
    assert found.top_share == pytest.approx(0.6)
    assert found.mean == pytest.approx(2.5)
