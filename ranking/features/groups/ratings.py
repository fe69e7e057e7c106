"""How the candidate is rated, and how the user rates."""

from collections.abc import Sequence

import numpy as np

from belfry.dataset.features import FeatureTables
from belfry.layers.saved.array_check import ArrayForms, numbers
from belfry.ranking.features.base import Arrays, Column, FeatureGroup, PairRequest, Values
from belfry.ranking.features.config import PairFeaturesConfig
from belfry.ranking.features.history import has_ratings, ratings_above_mean

_SHRINK = 5  # ratings of 0 added to an item's own, so that an item with few stays near the middle


class Ratings(FeatureGroup):
    """`item_rating` = sum of (rating - mean of its user) / (n_ratings + 5), and the mean rating of the user.

    Needs ratings.
    """

    name = "ratings"

    @staticmethod
    def forms(arrays: Arrays) -> ArrayForms:
        """See `fit`."""
        return {"item_rating": numbers("n_items + 1")}

    @staticmethod
    def can_fit(features: FeatureTables, config: PairFeaturesConfig) -> bool:
        """Whether there are ratings."""
        return has_ratings(features)

    @staticmethod
    def fit(features: FeatureTables, config: PairFeaturesConfig) -> Arrays:
        """`item_rating`, [n_items + 1]."""
        above = ratings_above_mean(features.history)
        is_rated = np.isfinite(above)
        item = features.history.item_num[is_rated]
        n_by_item = np.bincount(item, minlength=len(features.history.items) + 1)
        mean = np.bincount(item, above[is_rated], minlength=len(n_by_item)) / (n_by_item + _SHRINK)
        return {"item_rating": mean.astype(np.float32)}

    def columns(self, features: FeatureTables, sources: tuple[str, ...]) -> Sequence[Column]:
        """Of the item, of the user."""
        return Column("item_rating", "ratings"), Column("user_rating", "ratings")

    def compute(self, request: PairRequest) -> Sequence[Values]:
        """See above."""
        return self.arrays["item_rating"][request.items], request.histories.mean_rating[request.row_user]
