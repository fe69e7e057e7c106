"""What is kept of samples: the mean of a product of two tables, as one product of low rank; and what lies around it."""

import numpy as np

from belfry.dataset.vocabulary import UserNums
from belfry.ranking.ratings.gibbs_sampler import PerPair
from belfry.ranking.ratings.rated_pairs import Table

_SAMPLES_PER_MERGE = 25


class PosteriorMean:
    """(1/n) sum over samples of L_s R_s^T, truncated to `rank`.

    Side by side, [L_1, L_2, ...] [R_1, R_2, ...]^T is the sum. Every few samples it is truncated to its leading
    singular vectors, so memory is bounded and no [n_left, n_right] table is ever made.
    """

    def __init__(self, rank: int) -> None:
        self._rank = rank
        self._left: list[Table] = []
        self._right: list[Table] = []
        self._n_samples = 0

    def add(self, left: Table, right: Table) -> None:
        """Add a sample: L [n_left, size] and R [n_right, size]; n_left and n_right are the same for all samples."""
        self._left.append(left)
        self._right.append(right)
        self._n_samples += 1
        if self._n_samples % _SAMPLES_PER_MERGE == 0:
            self._merge()

    def factors(self) -> tuple[Table, Table]:
        """[n_left, n] and [n_right, n], n <= rank, whose product is the mean, truncated to that rank."""
        self._merge()
        return self._left[0] / self._n_samples, self._right[0]

    def _merge(self) -> None:
        """Truncate the sum to `rank`: by QR, L R^T = Q_L (T_L T_R^T) Q_R^T, and only the small middle needs an SVD."""
        left, left_triangle = np.linalg.qr(np.hstack(self._left))
        right, right_triangle = np.linalg.qr(np.hstack(self._right))
        left_vectors, values, right_vectors = np.linalg.svd(left_triangle @ right_triangle.T)
        root = np.sqrt(values[: self._rank])
        self._left = [left @ (left_vectors[:, : len(root)] * root)]
        self._right = [right @ (right_vectors[: len(root)].T * root)]


class VarianceOfUsers:
    """How far ratings lie from their posterior mean, by user: their noise, and what samples differ by."""

    def __init__(self, user_num: UserNums, n_rows: int) -> None:
        """`user_num` [n_pairs]: who rated; [n_rows] variances are to be told."""
        self._user_num, self._n_samples = user_num, 0
        self._sum, self._squares, self._noise = np.zeros(len(user_num)), np.zeros(len(user_num)), np.zeros(n_rows)

    def add(self, fitted: PerPair, noise: PerPair) -> None:
        """Add a sample: what it predicts of the rated pairs, and the variance [n_rows] of each user's noise."""
        self._sum += fitted
        self._squares += fitted**2
        self._noise += noise
        self._n_samples += 1

    def variance(self) -> PerPair:
        """[n_rows]; of users who have rated nothing, the mean of the others."""
        n = max(self._n_samples, 1)
        counts = np.bincount(self._user_num, minlength=len(self._noise))
        between = np.maximum(self._squares / n - (self._sum / n) ** 2, 0)
        variance = self._noise / n + np.bincount(self._user_num, between, len(self._noise)) / np.maximum(counts, 1)
        variance[counts == 0] = variance[counts > 0].mean()
        return np.asarray(variance)
