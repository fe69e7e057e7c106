"""Terms: what a greedy choice weighs beside relevance, for many lists at once.

Each place goes to the candidate i of the largest

    relevance(i) + sum over terms of w / (1 - w) * gain(i)

where relevance is 1 for the best candidate of a list and 0 for the last that is weighed, and w is the rule's weight. A
gain that does not depend on the rest of the list, as that of freshness, is added to relevance at the start.
"""

from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from belfry.dataset.vocabulary import ItemNums

Gains: TypeAlias = npt.NDArray[np.float32]  # [n_lists, n_candidates]
Places: TypeAlias = npt.NDArray[np.int64]  # numbers of lists, or columns of candidates

_LEAST = np.float32(1e-4)  # of a residual: below it an item is like those above it, and rounding decides
_MIXED = 0.01  # share of the history in the list's shares, for finite divergences


class Term(Protocol):
    """Of some lists, while they are filled."""

    def gains(self) -> Gains:
        """Of each candidate, if it came next."""
        ...

    def take(self, rows: Places, columns: Places) -> None:
        """The candidates at `columns` of the lists `rows` were given a place."""
        ...


class MaxSum:
    """gain(i) = -2 / (n - 1) * sum over items j above of cos(i, j), for lists of n items.

    So that a list's gains add up to n times its mean pairwise dissimilarity, which the greedy choice maximises.

    Source: Gollapudi and Sharma, An axiomatic approach for result diversification, WWW 2009 (max-sum diversification).
    """

    def __init__(self, directions: Gains, items: ItemNums, n: int) -> None:
        """`directions`: [n_items + 1, dim] of unit length, or 0; `items`: [n_lists, n_candidates]."""
        self._directions = directions[items]
        self._sums = np.zeros(items.shape, np.float32)
        self._scale = 2 / max(n - 1, 1)

    def gains(self) -> Gains:
        return -self._scale * self._sums

    def take(self, rows: Places, columns: Places) -> None:
        self._sums[rows] += _cosines(self._directions, rows, columns)


class MaximalMarginalRelevance:
    """gain(i) = -max over items j above of cos(i, j).

    Source: Carbonell and Goldstein, The use of MMR, diversity-based reranking, SIGIR 1998.
    """

    def __init__(self, directions: Gains, items: ItemNums, n: int) -> None:
        """As `MaxSum`."""
        self._directions = directions[items]
        self._largest = np.full(items.shape, -1, np.float32)

    def gains(self) -> Gains:
        return -self._largest

    def take(self, rows: Places, columns: Places) -> None:
        self._largest[rows] = np.maximum(self._largest[rows], _cosines(self._directions, rows, columns))


class DeterminantalProcess:
    """gain(i) = log of what det(S) of the list is multiplied by if i joins it, S_ij = cos(i, j).

    With the relevance that is the greedy map of log det(L), L = diag(q) S diag(q). Each step keeps a column more of the
    Cholesky factor, as long as there are dimensions; then items are alike, and relevance decides.

    Source: Chen, Zhang and Zhou, Fast greedy MAP inference for determinantal point process, NeurIPS 2018.
    """

    def __init__(self, directions: Gains, items: ItemNums, n: int) -> None:
        """As `MaxSum`."""
        self._directions = directions[items]
        self._residuals = np.ones(items.shape, np.float32)
        self._factors: list[Gains] = []

    def gains(self) -> Gains:
        return np.log(np.maximum(self._residuals, _LEAST))

    def take(self, rows: Places, columns: Places) -> None:
        if len(self._factors) >= self._directions.shape[2]:
            return
        residual = self._residuals[rows, columns]
        products = _cosines(self._directions, rows, columns)
        for factor in self._factors:
            products -= factor[rows] * factor[rows, columns][:, None]
        is_new = residual > _LEAST
        added = np.zeros_like(self._residuals)
        added[rows[is_new]] = products[is_new] / np.sqrt(residual[is_new])[:, None]
        self._residuals -= added**2
        self._factors.append(added)


class Calibrated:
    """gain(i) = -2 k / n * KL(p || q') at place k of n: what comes first can still be made up for.

    p are the shares of categories in the history, q those in the list with i, and q' = 0.99 q + 0.01 p. Users without a
    history, or whose history has no category, get 0.

    Source: Steck, Calibrated recommendations, RecSys 2018, where all places weigh alike.
    """

    def __init__(self, shares: Gains, of_history: Gains, items: ItemNums, n: int) -> None:
        """`shares`: [n_items + 1, n_labels] rows summing to 1 or 0; `of_history`: [n_lists, n_labels] likewise."""
        self._shares = shares[items]  # [n_lists, n_candidates, n_labels]
        self._of_history = of_history[:, None]
        self._sum = np.zeros_like(self._of_history)
        self._next = np.ones(len(items), np.float32)  # [n_lists] place to be filled
        self._scale = 2 / n
        self._entropy = np.where(of_history > 0, of_history * np.log(np.maximum(of_history, 1e-12)), 0).sum(axis=1)

    def gains(self) -> Gains:
        shares = self._sum + self._shares
        total = np.maximum(shares.sum(axis=2, keepdims=True), np.float32(1e-9))
        mixed = (1 - _MIXED) * shares / total + _MIXED * self._of_history
        logs = np.log(np.maximum(mixed, np.float32(1e-12)))
        crossed = np.einsum("lcg,lg->lc", logs, self._of_history[:, 0])
        weight = self._scale * self._next[:, None]
        return np.asarray(weight * (crossed - self._entropy[:, None]), np.float32)

    def take(self, rows: Places, columns: Places) -> None:
        self._sum[rows, 0] += self._shares[rows, columns]
        self._next[rows] += 1


def _cosines(directions: Gains, rows: Places, columns: Places) -> Gains:
    """[n_rows, n_candidates] of all candidates of some lists with the one of each that was taken."""
    return np.asarray(np.matmul(directions[rows], directions[rows, columns][:, :, None])[:, :, 0])
