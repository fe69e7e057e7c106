"""Gibbs sampler of a Bayesian factorisation with side inputs and one noise scale per user.

The model of standardised ratings y_ui, shape and rate being the parameters of Gamma:

    y_ui ~ N(p_u . q_i + b_u + b_i, 1 / (a t_u)),    a ~ Gamma(1/2, 1/2),    t_u ~ Gamma(freedom / 2, freedom / 2)
    z_u = [p_u, b_u] ~ N(B^T x_u, L^-1),    x_u = [1, side inputs of u]
    B ~ matrix normal(0, S^-1, L^-1),    L ~ Wishart(size, I),    S = diag(s of each input's table),
    s ~ Gamma(1/2, 1/2)

and the same for [q_i, b_i]. With t_u integrated out, the noise of a user is Student-t. Each step samples from the exact
conditional posterior given all the rest.
"""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from belfry.dataset.vocabulary import Numbers, UserNums
from belfry.ranking.ratings.rated_pairs import Table

PerPair: TypeAlias = npt.NDArray[np.float64]  # [n_pairs]

_INITIAL_SCALE = 0.1  # standard deviation of the first factors
_FLAT = 0.01  # s of the intercepts: next to no prior
_ROWS_PER_BLOCK = 1 << 13


class NoiseSampler:
    """The precision of ratings, a t_u. With e the errors and n their number, n_u that of user u:

    t_u | rest ~ Gamma((freedom + n_u) / 2, (freedom + a sum over i of e_ui^2) / 2)
    a | rest ~ Gamma((1 + n) / 2, (1 + sum of t_u e_ui^2) / 2)
    """

    def __init__(self, user_num: UserNums, n_rows: int, *, freedom: float) -> None:
        """`freedom`: degrees of freedom; the more, the nearer all t_u are to 1."""
        self._user_num, self._counts = user_num, np.bincount(user_num, minlength=n_rows)
        self._freedom = freedom
        self._overall = 1.0  # a
        self.of_user = np.ones(n_rows)  # t

    def sample(self, errors: PerPair, generator: np.random.Generator) -> PerPair:
        """[n_pairs] precision a t_u of each rating, given the errors of the factors."""
        squares = np.bincount(self._user_num, errors**2, len(self._counts))
        of_user = generator.gamma((self._freedom + self._counts) / 2) * 2
        of_user /= self._freedom + self._overall * squares
        self.of_user = of_user
        self._overall = float(generator.gamma((1 + len(errors)) / 2) * 2 / (1 + of_user @ squares))
        return self._overall * of_user[self._user_num]

    @property
    def variance(self) -> PerPair:
        """[n_rows] 1 / (a t_u) of each user, as sampled last."""
        return np.asarray(1 / (self._overall * self.of_user))


class FactorSampler:
    """z, B, L and S of users (or of items). With w the precisions, d_i = [q_i, 1] and X, Z the rated rows:

    z_u | rest ~ N(P^-1 (L B^T x_u + sum over i of w_ui (y_ui - b_i) d_i), P^-1),
        P = L + sum over i of w_ui d_i d_i^T
    B | rest ~ matrix normal(G^-1 X^T Z, G^-1, L^-1),    G = X^T X + S
    L | rest ~ Wishart(size + n_rated + n_inputs, (I + (Z - X B)^T (Z - X B) + B^T S B)^-1)
    s of a table | rest ~ Gamma((1 + size of B_t) / 2, (1 + trace(B_t L B_t^T)) / 2),    B_t being its rows of B

    A large s shrinks the slopes of a table of side inputs that explains nothing. Rows without ratings are not sampled:
    z_u = B^T x_u.
    """

    def __init__(
        self,
        own_num: Numbers,
        other_num: Numbers,
        side_inputs: tuple[Table, ...],
        embedding_size: int,
        generator: np.random.Generator,
    ) -> None:
        """`own_num` and `other_num` [n_pairs]: the row of each rating on this and on the other side."""
        n_rows, size = len(side_inputs[0]), embedding_size + 1
        self._order = np.lexsort((other_num, own_num))
        self._other_num = other_num
        self._columns = other_num[self._order]
        counts = np.bincount(own_num, minlength=n_rows)
        self._rated = np.flatnonzero(counts)
        self._starts = np.append(0, np.cumsum(counts[self._rated]))
        self._inputs = np.hstack([np.ones((n_rows, 1)), *side_inputs])
        widths = [1, *(table.shape[1] for table in side_inputs)]
        self._table_of = np.repeat(np.arange(len(widths)), widths)  # [n_inputs]
        self._strength = np.full(len(widths), 10.0)  # s of each table
        self._strength[0] = _FLAT
        self._slopes = np.zeros((self._inputs.shape[1], size))  # B
        self._precision = 10 * np.eye(size)  # L
        self.factors = generator.normal(
            scale=_INITIAL_SCALE, size=(n_rows, size)
        )  # Z, [n_rows, embedding_size + 1], the bias last
        self.factors[:, -1] = 0
        rated_inputs = self._inputs[self._rated]
        self._gram = rated_inputs.T @ rated_inputs

    def sample(
        self, targets: PerPair, precision: PerPair, other: "FactorSampler", generator: np.random.Generator
    ) -> None:
        """New factors given those of the other side, then B, L and s given the factors."""
        self._sample_factors(targets - other.factors[self._other_num, -1], precision, other, generator)
        self._sample_slopes(generator)
        self._sample_precision(generator)
        self._sample_strength(generator)

    def _sample_factors(
        self, targets: PerPair, precision: PerPair, other: "FactorSampler", generator: np.random.Generator
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
            information = sp.csr_array((weights[pairs], *cells), shape=shape) @ squares
            posterior = np.empty((len(rows), size, size))
            posterior[:, row, column] = posterior[:, column, row] = information
            posterior += self._precision
            pull = sp.csr_array((values[pairs], *cells), shape=shape) @ design + self.factors[rows] @ self._precision
            # The solution of P z = pull + C noise has mean P^-1 pull and covariance P^-1, where C C^T = P.
            noise = np.linalg.cholesky(posterior) @ generator.standard_normal((len(rows), size, 1))
            self.factors[rows] = np.linalg.solve(posterior, pull[..., np.newaxis] + noise)[..., 0]

    def _sample_slopes(self, generator: np.random.Generator) -> None:
        posterior = self._gram + np.diag(self._strength[self._table_of])
        pull = self._inputs[self._rated].T @ self.factors[self._rated]
        spread = np.linalg.cholesky(np.linalg.inv(self._precision))
        noise = np.linalg.cholesky(posterior) @ generator.standard_normal(pull.shape) @ spread.T
        self._slopes = np.linalg.solve(posterior, pull + noise)

    def _sample_precision(self, generator: np.random.Generator) -> None:
        """Sample the Wishart distribution by Bartlett's decomposition."""
        residual = self.factors[self._rated] - self._inputs[self._rated] @ self._slopes
        weighted = self._slopes * self._strength[self._table_of, np.newaxis]
        size = len(self._precision)
        scale = np.linalg.inv(np.eye(size) + residual.T @ residual + weighted.T @ self._slopes)
        freedom = size + len(residual) + len(self._slopes)
        triangle = np.tril(generator.standard_normal((size, size)), -1)
        triangle[np.diag_indices(size)] = np.sqrt(generator.chisquare(freedom - np.arange(size)))
        root = np.linalg.cholesky(scale) @ triangle
        self._precision = root @ root.T

    def _sample_strength(self, generator: np.random.Generator) -> None:
        for table in range(1, len(self._strength)):
            slopes = self._slopes[self._table_of == table]
            square = np.sum((slopes @ self._precision) * slopes)
            self._strength[table] = generator.gamma((1 + slopes.size) / 2) / ((1 + square) / 2)
