"""How alike lists are."""

import numpy as np
import pytest

from belfry.evaluation.reports.comparison.changes import histogram, rank_biased_overlap, shared_by_depth


def naive_rbo(first, second, p, n):
    """Equation 23 of Webber, Moffat and Zobel for lists of one length, written with sets."""
    agreement = [len(set(first[:d]) & set(second[:d])) / d for d in range(1, n + 1)]
    return (1 - p) * sum(p ** (d - 1) * agreement[d - 1] for d in range(1, n + 1)) + agreement[-1] * p**n


def test_lists_agree_from_nothing_to_all():
    first = np.array([[1, 2, 3], [1, 2, 3], [1, 2, 3], [1, 2, 0]], np.int32)
    second = np.array([[1, 2, 3], [4, 5, 6], [3, 2, 1], [2, 0, 0]], np.int32)
    assert shared_by_depth(first, second).tolist() == [[1, 2, 3], [0, 0, 0], [0, 1, 3], [0, 1, 1]]
    assert rank_biased_overlap(first[:2], second[:2]).tolist() == pytest.approx([1, 0])


def test_rank_biased_overlap_is_that_of_its_source():
    generator = np.random.default_rng(0)
    first, second = (np.array([generator.permutation(20)[:10] + 1 for _ in range(50)], np.int32) for _ in range(2))
    ours = rank_biased_overlap(first, second, 0.9)
    theirs = [naive_rbo(a, b, 0.9, 10) for a, b in zip(first.tolist(), second.tolist(), strict=True)]
    assert ours.tolist() == pytest.approx(theirs)


def test_a_histogram_keeps_losses_and_gains_apart_and_counts_everybody_but_zeros():
    values = np.array([-0.31, -0.02, 0.0, 0.0, 0.001, 0.4, 1.0, np.nan])
    bins = histogram(values)
    assert sum(one.n_users for one in bins) == 5
    assert all(one.high <= 1e-12 or one.low >= -1e-12 for one in bins)
    assert sum(one.n_users for one in bins if one.high <= 1e-12) == 2
    assert histogram(np.zeros(4)) == ()
