"""MeanProduct: the mean of many products of two tables, as one product of low rank."""

import numpy as np

from belfry.ranking.ratings.rated_pairs import Table

_DRAWS_PER_MERGE = 25


class MeanProduct:
    """Adds up `left @ right.T` of many draws without ever holding one; merges as it goes, so memory is bounded."""

    def __init__(self, rank: int) -> None:
        self._rank = rank
        self._left: list[Table] = []
        self._right: list[Table] = []
        self._n_draws = 0

    def add(self, left: Table, right: Table) -> None:
        """`left` [n_left, size], `right` [n_right, size]; the numbers of rows are those of all draws."""
        self._left.append(left)
        self._right.append(right)
        self._n_draws += 1
        if self._n_draws % _DRAWS_PER_MERGE == 0:
            self._merge()

    def factors(self) -> tuple[Table, Table]:
        """[n_left, n] and [n_right, n], n <= rank, whose product is the mean, as near as that rank can come."""
        self._merge()
        return self._left[0] / self._n_draws, self._right[0]

    def _merge(self) -> None:
        """Keep the leading singular vectors of the sum, by way of two small triangles."""
        left, left_triangle = np.linalg.qr(np.hstack(self._left))
        right, right_triangle = np.linalg.qr(np.hstack(self._right))
        turned, values, other = np.linalg.svd(left_triangle @ right_triangle.T)
        root = np.sqrt(values[: self._rank])
        self._left = [left @ (turned[:, : len(root)] * root)]
        self._right = [right @ (other[: len(root)].T * root)]
