"""Gibbs steps of a Bayesian factorisation: the factors of users, or of items, and how noisy each user's ratings are.

Each step draws from the distribution that is exact given all the rest.
"""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from belfry.dataset.vocabulary import Numbers, UserNums
from belfry.ranking.ratings.rated_pairs import Table

PerPair: TypeAlias = npt.NDArray[np.float64]  # [n_pairs]

_START = 0.1  # standard deviation of the first factors
_FREE = 0.01  # precision of the intercepts, which is next to no prior
_ROWS_PER_BLOCK = 1 << 13


class Noise:
    """How precise ratings are: one level for all, times one of each user around 1.

    Before any rating the level is worth one error of 1, so that ratings which fit exactly do not make it endless.
    """

    def __init__(self, user_num: UserNums, n_rows: int, *, freedom: float) -> None:
        """`freedom`: degrees of freedom of a user's level; the more, the nearer all are to 1."""
        self._user_num, self._counts = user_num, np.bincount(user_num, minlength=n_rows)
        self._freedom = freedom
        self._overall = 1.0

    def draw(self, errors: PerPair, generator: np.random.Generator) -> PerPair:
        """[n_pairs] precision of each rating, given how far the factors are off."""
        squares = np.bincount(self._user_num, errors**2, len(self._counts))
        of_user = generator.gamma((self._freedom + self._counts) / 2) * 2
        of_user /= self._freedom + self._overall * squares
        self._overall = float(generator.gamma((1 + len(errors)) / 2) * 2 / (1 + of_user @ squares))
        return self._overall * of_user[self._user_num]


class FactorDraws:
    """Factors and bias of users (or of items), with the normal distribution that they come from.

    Its mean is linear in the side inputs. Each table of those has a strength of its own, drawn too, so that inputs that
    tell nothing lose their say. Rows without ratings are not drawn: they are at their mean.
    """

    def __init__(
        self,
        own_num: Numbers,
        other_num: Numbers,
        side_inputs: tuple[Table, ...],
        n_factors: int,
        generator: np.random.Generator,
    ) -> None:
        """`own_num` and `other_num` [n_pairs]: row of each rating here and on the other side."""
        n_rows, size = len(side_inputs[0]), n_factors + 1
        self._order = np.lexsort((other_num, own_num))
        self._other_num = other_num
        self._columns = other_num[self._order]
        counts = np.bincount(own_num, minlength=n_rows)
        self._rated = np.flatnonzero(counts)
        self._starts = np.append(0, np.cumsum(counts[self._rated]))
        self._inputs = np.hstack([np.ones((n_rows, 1)), *side_inputs])
        widths = [1, *(table.shape[1] for table in side_inputs)]
        self._table_of = np.repeat(np.arange(len(widths)), widths)  # [n_inputs]
        self._strength = np.full(len(widths), 10.0)
        self._strength[0] = _FREE
        self._slopes = np.zeros((self._inputs.shape[1], size))
        self._precision = 10 * np.eye(size)
        self.factors = generator.normal(scale=_START, size=(n_rows, size))  # [n_rows, n_factors + 1], the bias last
        self.factors[:, -1] = 0
        rated_inputs = self._inputs[self._rated]
        self._gram = rated_inputs.T @ rated_inputs

    def draw(self, targets: PerPair, precision: PerPair, other: "FactorDraws", generator: np.random.Generator) -> None:
        """New factors given the other side's, then a new distribution given the factors."""
        self._draw_factors(targets - other.factors[self._other_num, -1], precision, other, generator)
        self._draw_slopes(generator)
        self._draw_precision(generator)
        self._draw_strength(generator)

    def _draw_factors(
        self, targets: PerPair, precision: PerPair, other: "FactorDraws", generator: np.random.Generator
    ) -> None:
        design = np.hstack([other.factors[:, :-1], np.ones((len(other.factors), 1))])  # [n_other, size]
        size = design.shape[1]
        row, column = np.triu_indices(size)
        squares = design[:, row] * design[:, column]
        self.factors = self._inputs @ self._slopes
        weights, values = precision[self._order], (precision * targets)[self._order]
        for first in range(0, len(self._rated), _ROWS_PER_BLOCK):
            rows = self._rated[first : first + _ROWS_PER_BLOCK]
            starts = self._starts[first : first + len(rows) + 1]
            pairs = slice(starts[0], starts[-1])
            shape = (len(rows), len(design))
            cells = (self._columns[pairs], starts - starts[0])
            told = sp.csr_array((weights[pairs], *cells), shape=shape) @ squares
            posterior = np.empty((len(rows), size, size))
            posterior[:, row, column] = posterior[:, column, row] = told
            posterior += self._precision
            pull = sp.csr_array((values[pairs], *cells), shape=shape) @ design + self.factors[rows] @ self._precision
            # A solution of P x = pull + C z has mean inv(P) pull and covariance inv(P) where C C' = P.
            chance = np.linalg.cholesky(posterior) @ generator.standard_normal((len(rows), size, 1))
            self.factors[rows] = np.linalg.solve(posterior, pull[..., np.newaxis] + chance)[..., 0]

    def _draw_slopes(self, generator: np.random.Generator) -> None:
        posterior = self._gram + np.diag(self._strength[self._table_of])
        pull = self._inputs[self._rated].T @ self.factors[self._rated]
        spread = np.linalg.cholesky(np.linalg.inv(self._precision))
        chance = np.linalg.cholesky(posterior) @ generator.standard_normal(pull.shape) @ spread.T
        self._slopes = np.linalg.solve(posterior, pull + chance)

    def _draw_precision(self, generator: np.random.Generator) -> None:
        """From a Wishart distribution, by Bartlett's decomposition."""
        apart = self.factors[self._rated] - self._inputs[self._rated] @ self._slopes
        weighted = self._slopes * self._strength[self._table_of, np.newaxis]
        size = len(self._precision)
        scale = np.linalg.inv(np.eye(size) + apart.T @ apart + weighted.T @ self._slopes)
        freedom = size + len(apart) + len(self._slopes)
        triangle = np.tril(generator.standard_normal((size, size)), -1)
        triangle[np.diag_indices(size)] = np.sqrt(generator.chisquare(freedom - np.arange(size)))
        root = np.linalg.cholesky(scale) @ triangle
        self._precision = root @ root.T

    def _draw_strength(self, generator: np.random.Generator) -> None:
        for table in range(1, len(self._strength)):
            slopes = self._slopes[self._table_of == table]
            square = np.sum((slopes @ self._precision) * slopes)
            self._strength[table] = generator.gamma((1 + slopes.size) / 2) / ((1 + square) / 2)
