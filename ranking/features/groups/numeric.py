"""Numeric columns of users and of items."""

from collections.abc import Sequence

import numpy as np

from belfry.dataset.features import FeatureTables
from belfry.ranking.features.base import Column, FeatureGroup, PairRequest, Values
from belfry.ranking.features.history import means


class NumericColumns(FeatureGroup):
    """The user's own, the candidate's own, and `distance.<column>` = |candidate's - mean of the history's|."""

    name = "numeric"

    def columns(self, features: FeatureTables, sources: tuple[str, ...]) -> Sequence[Column]:
        """One for each column of users, two for each of items."""
        columns = [Column(f"user.{name}", f"user {name}") for name in features.users.numeric]
        for name in features.items.numeric:
            columns += [Column(f"item.{name}", name), Column(f"distance.{name}", name)]
        return columns

    def compute(self, request: PairRequest) -> Sequence[Values]:
        """See above."""
        histories, items, users = request.histories, request.items, request.candidates.user_num
        columns: list[Values] = [values[users] for values in request.features.users.numeric.values()]
        for values in request.features.items.numeric.values():
            mean = means(values[histories.item_num], histories.starts)
            columns += [values[items], np.abs(values[items] - mean[request.row_user])]
        return columns
