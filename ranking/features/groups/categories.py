"""How much more of a candidate's categories (genres, words) the user's history holds than all histories do."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from belfry.dataset.features import FeatureColumns, FeatureTables
from belfry.dataset.vocabulary import Numbers
from belfry.ranking.features.base import Arrays, Column, FeatureGroup, PairRequest, Values, label
from belfry.ranking.features.config import PairFeaturesConfig
from belfry.ranking.features.history import RECENCY, UNIFORM, weightings

_WEIGHTINGS = (UNIFORM, RECENCY)
_EPSILON = 1e-9  # far below any weight of an event: a history of items without categories divides 0 by it


class Categories(FeatureGroup):
    """`category.<column>.<weighting>` = mean over the candidate's categories of (share in the history - share in all).

    A category's share in a history is its weight over that of all categories; in all, watches take the place of
    weights. A user without a history has 0.
    """

    name = "categories"

    @staticmethod
    def fit(features: FeatureTables, config: PairFeaturesConfig) -> Arrays:
        """The share of each category in all watches, [n_categories] for each column."""
        counts, sizes = features.history.item_counts, features.items.sizes
        columns = _columns_of(features.items)
        return {name: _shares_of_all(values, counts, sizes[name]) for name, values in columns.items()}

    def columns(self, features: FeatureTables, sources: tuple[str, ...]) -> Sequence[Column]:
        """Two for each categorical or multi-valued column of items."""
        return [
            Column(f"category.{name}.{kind}", label(name))
            for name in _columns_of(features.items)
            for kind in _WEIGHTINGS
        ]

    def compute(self, request: PairRequest) -> Sequence[Values]:
        """See above."""
        histories, kinds = request.histories, weightings(request.features)
        n_users, has_history = len(histories.lengths), histories.lengths > 0
        columns: list[Values] = []
        for name, values in _columns_of(request.features.items).items():
            size = request.features.items.sizes[name]
            asked = values[request.items]  # [n_rows, n_values]
            n_asked = np.maximum((asked > 0).sum(axis=1), 1)
            event_user = np.repeat(np.arange(n_users), histories.lengths)[:, np.newaxis]
            cells = (event_user * size + values[histories.item_num]).ravel()  # [n_events * n_values]
            for kind in _WEIGHTINGS:
                spread = np.repeat(histories.weights[kinds.index(kind)], values.shape[1])
                weight = np.bincount(cells, spread, minlength=n_users * size)
                profile = weight.astype(np.float64, copy=False).reshape(n_users, size)  # of no events, it is integer
                profile[:, 0] = 0
                profile /= np.maximum(profile.sum(axis=1, keepdims=True), _EPSILON)
                profile -= self.arrays[name]
                profile[~has_history] = 0
                columns.append(profile[request.row_user[:, np.newaxis], asked].sum(axis=1) / n_asked)
        return columns


def _columns_of(items: FeatureColumns) -> dict[str, Numbers]:
    """Categorical, then multi-valued columns: [n_items + 1, n_values] each, padded with 0."""
    return {name: values[:, np.newaxis] for name, values in items.categorical.items()} | items.multi_valued


def _shares_of_all(values: Numbers, counts: npt.NDArray[np.int64], n_categories: int) -> npt.NDArray[np.float64]:
    of_category = np.bincount(values.ravel(), np.repeat(counts, values.shape[1]), n_categories)
    of_category[0] = 0
    shares: npt.NDArray[np.float64] = of_category / max(of_category.sum(), 1)
    return shares
