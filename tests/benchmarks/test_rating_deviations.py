"""The benchmark of deviations: its measures, and a line of its page."""

import numpy as np
import pytest

from benchmarks.rating_deviations import Told, row_of, surprise


def test_shares_and_parts_worked_by_hand() -> None:
    told = Told(np.array([1.0, -3.0, 0.5, 4.0]), np.array([2.0, 2.0, 1.0, 1.0]))
    assert told.share_within(1) == 0.5
    assert told.share_within(2) == 0.75
    assert told.by_parts() == [(1, 0.5), (1, 4), (2, 1), (2, 3)]


def test_surprise_is_that_of_the_normal_density() -> None:
    assert surprise(np.zeros(3), 1.0) == pytest.approx(0.9189385)
    assert surprise(np.array([2.0]), np.array([2.0])) == pytest.approx(0.9189385 + np.log(2) + 0.5)


def test_true_deviations_are_less_surprising_than_one_for_all() -> None:
    generator = np.random.default_rng(0)
    deviation = generator.choice([0.5, 1.5], 20_000)
    cells = row_of("model", Told(deviation * generator.normal(size=20_000), deviation)).split(" | ")
    assert cells[0] == "| model"
    assert [float(cell.rstrip("%")) for cell in cells[2:4]] == pytest.approx([68.3, 95.4], abs=1)
    assert float(cells[4]) < float(cells[5]) - 0.1
