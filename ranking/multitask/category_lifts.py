"""CategoryLifts: how much more frequent an item's categories are in a history than in all. NumPy and SciPy alone."""

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from belfry.dataset.arrays import Positions
from belfry.dataset.features import FeatureColumns, FeatureTables
from belfry.dataset.vocabulary import ItemNums, UserNums
from belfry.ranking.lists import Matrix

_SMOOTHING = 10.0  # average watches that are added to each history


def category_shares(items: FeatureColumns, counts: npt.NDArray[np.int64]) -> Matrix:
    """[n_categories] share of each category among all watches, within its column; never 0.

    Args:
        items: the columns of the items.
        counts: [n_items + 1] users who watched each item.
    """
    if not items.category_sizes:
        return np.zeros(0, np.float32)
    watches, column = counts @ items.categories + 1, _columns(items)
    shares: Matrix = (watches / np.bincount(column, watches)[column]).astype(np.float32)
    return shares


class CategoryLifts:
    """Lifts of any item in the histories of some users.

    With n_uc the watches of category c in the history of u, N_u its watches of the whole column, s_c the category's
    share among all watches, and a_ic the part of item i in c (1 / number of its categories), the lift is, per column,

        log(sum over c of a_ic (n_uc + 10 s_c) / (N_u + 10) / sum over c of a_ic s_c)
    """

    def __init__(self, features: FeatureTables, users: UserNums, shares: Matrix) -> None:
        """`shares` are the `category_shares` of the history that the model has learned from."""
        self._shares, self._column = shares, _columns(features.items)
        self._n_columns = len(features.items.category_sizes)
        watched = _watched(features, users)
        self._items = features.items.categories if self._n_columns else sp.csr_matrix((watched.shape[1], 0))
        self._watches = sp.csr_matrix(watched @ self._items)
        self._watches.sort_indices()
        in_column = (np.ones(len(shares), np.float32), (np.arange(len(shares)), self._column))
        self._totals = (self._watches @ sp.csr_matrix(in_column, (len(shares), self._n_columns))).toarray()

    def __call__(self, row_user: Positions, items: ItemNums, *, are_watched: bool) -> Matrix:
        """[n, n_columns] lifts; 0 for an item without categories in a column.

        Args:
            row_user: [n] positions in `users`.
            items: [n]
            are_watched: the items are in these histories; each is taken out of n_uc and N_u.
        """
        of_items = self._items[items]
        pair = np.repeat(np.arange(len(items)), np.diff(of_items.indptr))
        user, category, part = row_user[pair], of_items.indices, of_items.data
        column = self._column[category]
        found = np.zeros(0) if not len(pair) else np.asarray(self._watches[user, category], np.float64).ravel()
        watches, total = found - are_watched * part, self._totals[user, column] - are_watched
        share = (np.maximum(watches, 0) + _SMOOTHING * self._shares[category]) / (np.maximum(total, 0) + _SMOOTHING)
        cell, n_cells = pair * self._n_columns + column, len(items) * self._n_columns
        own, usual = (np.bincount(cell, part * shares, n_cells) for shares in (share, self._shares[category]))
        lifts: Matrix = np.log(np.divide(own, usual, out=np.ones(n_cells), where=usual > 0)).astype(np.float32)
        return lifts.reshape(len(items), self._n_columns)


def _watched(features: FeatureTables, users: UserNums) -> "sp.csr_matrix[np.float32]":
    """[n_users, n_items + 1] 1 where one of `users` watched the item."""
    history = features.history
    rows, counts = history.by_user.newest(users)
    cells = np.repeat(np.arange(len(users)), counts), history.item_num[rows]
    watched = sp.csr_matrix((np.ones(len(rows), np.float32), cells), (len(users), len(history.items) + 1))
    watched.data[:] = 1  # equal pairs were added up
    return watched


def _columns(items: FeatureColumns) -> Positions:
    """[n_categories] the column of each category."""
    return np.repeat(np.arange(len(items.category_sizes)), np.array(items.category_sizes, np.int64))
