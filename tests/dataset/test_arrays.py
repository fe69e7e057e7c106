import numpy as np

from belfry.dataset.arrays import stretches


def test_stretches_are_concatenated():
    assert stretches(np.array([5, 9, 0, 2]), np.array([2, 0, 3, 1])).tolist() == [5, 6, 0, 1, 2, 2]
    assert len(stretches(np.zeros(0, np.int64), np.zeros(0, np.int64))) == 0
