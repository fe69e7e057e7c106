"""How many watch the candidate, how much the user watched, and how popular that was."""

from collections.abc import Sequence

import numpy as np

from belfry.dataset.features import FeatureTables
from belfry.layers.saved.array_check import ArrayForms, numbers
from belfry.ranking.features.base import Arrays, Column, FeatureGroup, PairRequest, Values
from belfry.ranking.features.config import PairFeaturesConfig
from belfry.ranking.features.history import means


class Popularity(FeatureGroup):
    """With p(i) = log(1 + users who watched item i): p of the candidate, log(1 + length) of the history, its mean p."""

    name = "popularity"

    @staticmethod
    def forms(arrays: Arrays) -> ArrayForms:
        """See `fit`."""
        return {"log_count": numbers("n_items + 1")}

    @staticmethod
    def fit(features: FeatureTables, config: PairFeaturesConfig) -> Arrays:
        """p, [n_items + 1]."""
        return {"log_count": np.log1p(features.history.item_counts)}

    def columns(self, features: FeatureTables, sources: tuple[str, ...]) -> Sequence[Column]:
        """Of the candidate, and two of the history."""
        return (
            Column("popularity", "popularity", has_place=True),
            Column("history_length", "history length"),
            Column("history_popularity", "history popularity"),
        )

    def compute(self, request: PairRequest) -> Sequence[Values]:
        """See above."""
        log_count, histories = self.arrays["log_count"], request.histories
        of_users = np.log1p(histories.lengths), means(log_count[histories.item_num], histories.starts)
        return (log_count[request.items], *(values[request.row_user] for values in of_users))
