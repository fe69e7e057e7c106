"""What EASE makes of a user's history, and of what they rated above and below their mean.

EASE learns item-to-item weights B, zero on the diagonal, that give each history back as well as a linear model can:
X ~ X B. Source: Steck, Embarrassingly shallow autoencoders for sparse data, WWW 2019.
"""

from collections.abc import Sequence

import numpy as np

from belfry.dataset.features import FeatureTables
from belfry.dataset.similarity import ease_weights
from belfry.dataset.vocabulary import ItemNums
from belfry.ranking.base import Matrix
from belfry.ranking.features.base import Arrays, Column, FeatureGroup, PairRequest
from belfry.ranking.features.config import PairFeaturesConfig
from belfry.ranking.features.history import RATED, UNIFORM, has_ratings, ratings_above_mean, weightings

_ABOUT = "similarity to what was watched"


class Ease(FeatureGroup):
    """`ease_<weighting>` of candidate c = sum over the history's events h of w_h B[h, c], for each weighting w.

    Needs a catalogue of at most `ease_max_items`: B is a dense table of all pairs.
    """

    name = "ease"

    @staticmethod
    def can_fit(features: FeatureTables, config: PairFeaturesConfig) -> bool:
        """Whether the table of all pairs is small enough."""
        return len(features.history.items) <= config.ease_max_items

    @staticmethod
    def fit(features: FeatureTables, config: PairFeaturesConfig) -> Arrays:
        """B, [n_items + 1, n_items + 1]."""
        return {"weights": ease_weights(features.history.matrix, l2=_l2(features, config))}

    def columns(self, features: FeatureTables, sources: tuple[str, ...]) -> Sequence[Column]:
        """One for each weighting."""
        return [Column(f"ease_{kind}", _ABOUT, has_place=kind != RATED) for kind in weightings(features)]

    def compute(self, request: PairRequest) -> Matrix:
        """[n_weightings, n_rows]"""
        histories = request.histories
        columns = np.empty((len(histories.weights), len(request.items)), np.float32)
        for rows, events in request.lists():
            table = self.arrays["weights"][np.ix_(histories.item_num[events], request.items[rows])]
            columns[:, rows] = np.ascontiguousarray(histories.weights[:, events]) @ table
        return columns

    def item_weights(self, watched: ItemNums, items: ItemNums) -> Matrix:
        """[n_items, n_watched] the entries of B."""
        weights: Matrix = self.arrays["weights"][np.ix_(watched, items)].T
        return weights


class EaseByRating(FeatureGroup):
    """`ease_liked` of candidate c = sum over h of w_h B[h, c], h the events rated above the user's mean, w uniform.

    B is learned of such pairs of all users. `ease_disliked` is the same of what was rated below. Needs ratings, and a
    catalogue of at most `ease_max_items`.
    """

    name = "ease_by_rating"

    @staticmethod
    def can_fit(features: FeatureTables, config: PairFeaturesConfig) -> bool:
        """Whether there are ratings, and the table of all pairs is small enough."""
        return has_ratings(features) and Ease.can_fit(features, config)

    @staticmethod
    def fit(features: FeatureTables, config: PairFeaturesConfig) -> Arrays:
        """B of what was liked, and of what was disliked: each of about half the pairs, so of half the `ease_l2`."""
        history, l2 = features.history, _l2(features, config) / 2
        above = ratings_above_mean(history)
        chosen = {"liked": above > 0, "disliked": above < 0}
        return {name: ease_weights(history.select(own).matrix, l2=l2) for name, own in chosen.items()}

    def columns(self, features: FeatureTables, sources: tuple[str, ...]) -> Sequence[Column]:
        """Liked, disliked."""
        return [Column(f"ease_{name}", _ABOUT, has_place=True) for name in ("liked", "disliked")]

    def compute(self, request: PairRequest) -> Matrix:
        """[2, n_rows]"""
        histories, kinds = request.histories, weightings(request.features)
        columns = np.empty((2, len(request.items)), np.float32)
        for rows, events in request.lists():
            watched = histories.item_num[events]
            uniform, above = (histories.weights[kinds.index(kind), events] for kind in (UNIFORM, RATED))
            for place, (name, chosen) in enumerate((("liked", above > 0), ("disliked", above < 0))):
                table = self.arrays[name][np.ix_(watched[chosen], request.items[rows])]
                columns[place, rows] = uniform[chosen] @ table
        return columns


def _l2(features: FeatureTables, config: PairFeaturesConfig) -> float:
    """The regularisation of a table grows with the root of the number of users, as the noise of its counts does."""
    return config.ease_l2 * float(np.sqrt(len(features.history.users)))
