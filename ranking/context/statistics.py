"""ContextStatistics: what one history says of items in each value of a context, such as on a television."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import scipy  # its parts load when they are used

from belfry.dataset.arrays import Positions
from belfry.dataset.concurrency.cached import cached_property
from belfry.dataset.encoding.context import ContextColumn, ContextNumbers
from belfry.dataset.interactions import Interactions
from belfry.dataset.vocabulary import ItemNums, Numbers, UserNums
from belfry.ranking.base import Matrix

PER_COLUMN = ("lift", "alike", "own")  # what is computed of each column
MAX_HISTORY = 1_000  # newest events of a user that are read
_SMOOTHING = 20.0  # watches that the lift of a value is shrunk by
_OWN_SMOOTHING = 5.0  # events in a value that a user's own taste there is shrunk by


@dataclass(frozen=True)
class ContextStatistics:
    """Of one history. With v_i the vector of item i, scaled to unit length, for the value c of each column:

    - lift = log((n_ci + s share_i) / ((n_c + s) share_i)), n_ci the watches of item i in c, n_c all in c,
      share_i = (n_i + 1) / (n + N) that of the item in all, N = items + 1
    - alike = (mean of v in c - mean of v in all) . v_i: what items like this one have in c
    - own = m_c / (m_c + 5) (the user's mean of v in c - their mean of v) . v_i, of m_c events of the user in c

    All are 0 where the context is absent. s is 20.
    """

    lifts: Mapping[str, Matrix]  # [n_values + 1, n_items + 1] by column
    centres: Mapping[str, Matrix]  # [n_values + 1, dim] mean of v in each value less that of all
    vectors: Matrix  # [n_items + 1, dim]

    @classmethod
    def fit(cls, history: Interactions, vectors: Matrix) -> Self:
        """Of every column that `history` has."""
        scale = _scale_of(vectors)
        made = {name: _of_values(column, history.item_num, vectors, scale) for name, column in history.context.items()}
        return cls(
            {name: lifts for name, (lifts, _) in made.items()},
            {name: centres for name, (_, centres) in made.items()},
            vectors,
        )

    @cached_property
    def scale(self) -> npt.NDArray[np.float32]:
        """[n_items + 1] what gives each vector unit length."""
        return _scale_of(self.vectors)

    def lift(self, name: str, asked: Numbers, items: ItemNums) -> Matrix:
        """[n_rows] of a value and an item each."""
        return self.lifts[name][asked, items]

    def compute(
        self, asked: ContextNumbers, users: UserNums, row_list: Positions, items: ItemNums, history: Interactions
    ) -> Matrix:
        """[n_columns * 3, n_rows] float32, as `PER_COLUMN` for one column of `asked` after another.

        Args:
            asked: [n_lists] each.
            users: [n_lists] of `history`.
            row_list: [n_rows] the list of each row, never falling.
            items: [n_rows].
        """
        vectors = self.vectors[items] * self.scale[items, np.newaxis]
        computed = np.empty((len(asked) * len(PER_COLUMN), len(items)), np.float32)
        for place, (name, numbers) in enumerate(asked.items()):
            lift, alike, own = computed[place * len(PER_COLUMN) : (place + 1) * len(PER_COLUMN)]
            lift[:] = self.lift(name, numbers[row_list], items)
            np.einsum("ij,ij->i", self.centres[name][numbers][row_list], vectors, out=alike)
            np.einsum("ij,ij->i", self._own(name, numbers, users, history)[row_list], vectors, out=own)
        return computed

    def _own(self, name: str, asked: Numbers, users: UserNums, history: Interactions) -> Matrix:
        """[n_lists, dim] what each user's events in the value asked have beside all of theirs."""
        rows, counts = history.by_user.newest(users, MAX_HISTORY)
        row_list = np.repeat(np.arange(len(users)), counts)
        is_here = (asked[row_list] > 0) & (history.context[name].numbers[rows] == asked[row_list])
        n_here = np.bincount(row_list, is_here, len(users))
        share = (n_here / (n_here + _OWN_SMOOTHING))[row_list]
        weights = share * (is_here / np.maximum(n_here, 1)[row_list] - 1 / np.maximum(counts, 1)[row_list])
        items = history.item_num[rows]
        weights = (weights * self.scale[items]).astype(np.float32)
        if len(users) == 1:  # not worth the load of a sparse library
            return np.asarray(weights @ self.vectors[items])[np.newaxis]
        cells = (weights, items, np.append(0, np.cumsum(counts)))
        own: Matrix = scipy.sparse.csr_matrix(cells, shape=(len(users), len(self.vectors))) @ self.vectors
        return own


def _of_values(
    column: ContextColumn, items: ItemNums, vectors: Matrix, scale: npt.NDArray[np.float32]
) -> tuple[Matrix, Matrix]:
    """Lifts and centres of one column; row 0, that of an absent value, is 0."""
    n_values, n_items = len(column.values) + 1, len(vectors)
    cells = column.numbers * np.int64(n_items) + items
    counts = np.bincount(cells, minlength=n_values * n_items).reshape(n_values, n_items)
    n_all = counts.sum(axis=0)
    share = (n_all + 1) / (n_all.sum() + n_items)
    n_in = counts.sum(axis=1, keepdims=True)
    lifts = np.log((counts + _SMOOTHING * share) / ((n_in + _SMOOTHING) * share)).astype(np.float32)
    scaled = counts * scale
    centres = (scaled @ vectors) / np.maximum(n_in, 1) - (scaled.sum(axis=0) @ vectors) / max(n_all.sum(), 1)
    centres[n_in[:, 0] == 0] = 0
    lifts[0], centres[0] = 0, 0
    return lifts, centres.astype(np.float32)


def _scale_of(vectors: Matrix) -> npt.NDArray[np.float32]:
    length = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    return np.asarray(np.divide(1, length, out=np.zeros_like(length), where=length > 0))
