"""How much more the users of the same kind watch a candidate than everybody does."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from belfry.dataset.features import FeatureTables
from belfry.dataset.vocabulary import Numbers
from belfry.layers.saved.array_check import ArrayForms, numbers
from belfry.ranking.features.base import Arrays, Column, FeatureGroup, PairRequest, Values
from belfry.ranking.features.config import PairFeaturesConfig


class Segments(FeatureGroup):
    """For each categorical column of users, with at most `max_categories`: the lift of the user's category g,

    `segment.<column>` = log((n_gi + s share_i) / ((n_g + s) share_i)), n_gi the users in g who watched item i, n_g the
    sum over items, share_i = (n_i + 1) / (n + N) of everybody's, N = items + 1, s the `segment_smoothing`. It is 0 for
    an unknown category.
    """

    name = "segments"

    @staticmethod
    def forms(arrays: Arrays) -> ArrayForms:
        """See `fit`."""
        return {name: numbers(f"categories of users' {name}", "n_items + 1") for name in arrays}

    @staticmethod
    def fit(features: FeatureTables, config: PairFeaturesConfig) -> Arrays:
        """The lifts of each column, [n_categories, n_items + 1]."""
        users = features.users
        suiting = {name: own for name, own in users.categorical.items() if users.sizes[name] <= config.max_categories}
        return {
            name: _lifts(features, own, users.sizes[name], config.segment_smoothing) for name, own in suiting.items()
        }

    def columns(self, features: FeatureTables, sources: tuple[str, ...]) -> Sequence[Column]:
        """One for each column of users that was fitted."""
        return [Column(f"segment.{name}", segment_words(features.users.label(name))) for name in self._fitted(features)]

    def compute(self, request: PairRequest) -> Sequence[Values]:
        """See above."""
        users = request.candidates.user_num
        return [
            self.arrays[name][categories[users], request.items]
            for name, categories in self._fitted(request.features).items()
        ]

    def _fitted(self, features: FeatureTables) -> dict[str, Numbers]:
        return {name: categories for name, categories in features.users.categorical.items() if name in self.arrays}


def segment_words(label: str) -> str:
    """What people call the users who share a category with a user, in the column of this label."""
    return f"users of the same {label}"


def _lifts(
    features: FeatureTables, categories: Numbers, n_categories: int, smoothing: float
) -> npt.NDArray[np.float32]:
    """[n_categories, n_items + 1], row 0 that of an unknown category."""
    matrix, counts = features.history.matrix, features.history.item_counts
    share = (counts + 1) / (counts.sum() + len(counts))
    lifts = np.zeros((n_categories, len(counts)), np.float32)
    for category in range(1, n_categories):
        watched = np.asarray(matrix[categories == category].sum(axis=0)).ravel()
        lifts[category] = np.log((watched + smoothing * share) / ((watched.sum() + smoothing) * share))
    return lifts
