"""How much more of a candidate's categories (genres, words) the user's history holds than all histories do."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from belfry.dataset.features import FeatureColumns, FeatureTables
from belfry.dataset.vocabulary import Numbers
from belfry.layers.saved.array_check import ArrayForms, numbers
from belfry.ranking.features.base import Arrays, Column, FeatureGroup, PairRequest, Values
from belfry.ranking.features.config import PairFeaturesConfig
from belfry.ranking.features.history import WEIGHTINGS

_EPSILON = 1e-9  # far below any weight of an event: a history of items without categories divides 0 by it


class Categories(FeatureGroup):
    """`category.<column>.<weighting>` = mean over the candidate's categories of (share in the history - share in all).

    A category's share in a history is its weight over that of all categories; in all, watches take the place of
    weights. A user without a history has 0.
    """

    name = "categories"

    @staticmethod
    def forms(arrays: Arrays) -> ArrayForms:
        """See `fit`."""
        return {name: numbers(f"categories of items' {name}") for name in arrays}

    @staticmethod
    def fit(features: FeatureTables, config: PairFeaturesConfig) -> Arrays:
        """The share of each category in all watches, [n_categories] for each column."""
        counts, sizes = features.history.item_counts, features.items.sizes
        columns = _columns_of(features.items)
        return {name: _shares_of_all(values, counts, sizes[name]) for name, values in columns.items()}

    def columns(self, features: FeatureTables, sources: tuple[str, ...]) -> Sequence[Column]:
        """Two for each categorical or multi-valued column of items."""
        return [
            Column(f"category.{name}.{kind}", features.items.label(name))
            for name in _columns_of(features.items)
            for kind in WEIGHTINGS
        ]

    def compute(self, request: PairRequest) -> Sequence[Values]:
        """See above."""
        histories, row_user = request.histories, request.row_user[:, np.newaxis]
        n_users, event_user = len(histories.lengths), histories.event_user[:, np.newaxis]
        columns: list[Values] = []
        for name, values in _columns_of(request.features.items).items():
            size, width = request.features.items.sizes[name], values.shape[1]
            asked = values[request.items]  # [n_rows, width]
            n_asked = np.maximum(np.count_nonzero(asked, axis=1), 1)
            asked_cells = row_user * size + asked
            cells = (event_user * size + values[histories.item_num]).ravel()
            profiles = np.empty((len(histories.weights), n_users * size))
            for profile, weights in zip(profiles, histories.weights, strict=True):
                profile[:] = np.bincount(cells, weights.repeat(width), n_users * size)
            shares = profiles.reshape(-1, n_users, size)
            shares[:, :, 0] = 0
            shares /= np.maximum(shares.sum(axis=2, keepdims=True), _EPSILON)
            shares -= self.arrays[name]
            shares *= (histories.lengths > 0)[:, np.newaxis]
            columns += list(
                profiles.astype(np.float32).take(asked_cells, axis=1) @ np.ones(width, np.float32) / n_asked
            )
        return columns


def _columns_of(items: FeatureColumns) -> dict[str, Numbers]:
    """Categorical, then multi-valued columns: [n_items + 1, n_values] each, padded with 0."""
    return {name: values[:, np.newaxis] for name, values in items.categorical.items()} | items.multi_valued


def _shares_of_all(values: Numbers, counts: npt.NDArray[np.int64], n_categories: int) -> npt.NDArray[np.float64]:
    of_category = np.bincount(values.ravel(), np.repeat(counts, values.shape[1]), n_categories)
    of_category[0] = 0
    shares: npt.NDArray[np.float64] = of_category / max(of_category.sum(), 1)
    return shares
