"""What was shown to the user before, and how often the candidate is watched where it is shown."""

from collections.abc import Sequence

import numpy as np
import scipy  # its parts load when they are used

from belfry.dataset.arrays import differs_from_row_before
from belfry.dataset.features import FeatureTables
from belfry.dataset.similarity import singular_vectors
from belfry.layers.saved.array_check import ArrayForms, counts, numbers
from belfry.ranking.base import Matrix
from belfry.ranking.features.base import Arrays, Column, FeatureGroup, PairRequest, Values
from belfry.ranking.features.config import PairFeaturesConfig
from belfry.ranking.features.history import UNIFORM, WEIGHTINGS

_FACTORS = 8  # of the singular vectors, the largest: an item takes the square of them while it is fitted
_PRECISION = 20.0  # of the prior of each weight, in users who were shown the item
_PAIRS_PER_BLOCK = 1 << 14
_EPSILON = 1e-6


class PassedOver(FeatureGroup):
    """Needs impressions. `passed_over` = log(1 + times that the candidate was shown to the user before).

    Only where impressions have times: without, no part of a history tells what of it was watched later all the same.

    `watched_if_shown` of item i is a ridge regression of its own on the users who watched it (y = 1) or were shown it
    and did not (y = 0), less the mean of y over all items:

        w_i = argmin sum over these u of (w . (1, z_ui) - y_ui + mean)^2 + precision |w|^2

    z_ui is the sum of the singular vectors V[h] over the history's other items h, by the root of their number, each
    dimension in its standard deviation over users.
    """

    name = "passed_over"

    @staticmethod
    def forms(arrays: Arrays) -> ArrayForms:
        """See `fit`."""
        return {
            "factors": numbers("n_items + 1", "n_factors"),
            "weights": numbers("n_items + 1", "n_factors + 1"),
            "has_times": counts(),
        }

    @staticmethod
    def can_fit(features: FeatureTables, config: PairFeaturesConfig) -> bool:
        """Whether it is known what was shown."""
        return features.history.impressions is not None

    @staticmethod
    def fit(features: FeatureTables, config: PairFeaturesConfig) -> Arrays:
        """`factors` [n_items + 1, n_factors] V in its deviations, `weights` [n_items + 1, n_factors + 1] w.

        `has_times`: 1 where impressions have, else 0.
        """
        history = features.history
        assert history.impressions is not None
        seen, passed = history.seen_items, history.impressions.without(history.seen_items).distinct
        factors = singular_vectors(history, max(config.ease_rank, *config.svd_sizes, 1))[1][:, :_FACTORS]  # shared
        totals, lengths = history.matrix @ factors, np.diff(seen.starts)
        scale = np.maximum((totals / np.sqrt(np.maximum(lengths, 1))[:, np.newaxis]).std(axis=0), _EPSILON)
        factors, totals = ((values / scale).astype(np.float32) for values in (factors, totals))
        user = np.concatenate([seen.user_num, passed.user_num])
        item = np.concatenate([seen.item_num, passed.item_num])
        is_watched = np.arange(len(item)) < len(seen.item_num)
        by_item = np.argsort(item, kind="stable")
        mean = is_watched.mean() if len(item) else 0.0
        size = 1 + factors.shape[1]
        moments = np.zeros((len(factors), size + 1, size), np.float32)  # sums of z z^T, and of y z
        for first in range(0, len(by_item), _PAIRS_PER_BLOCK):
            rows = by_item[first : first + _PAIRS_PER_BLOCK]
            own = is_watched[rows, np.newaxis]
            z = np.ones((len(rows), size), np.float32)
            z[:, 1:] = (totals[user[rows]] - own * factors[item[rows]]) / np.sqrt(
                np.maximum(lengths[user[rows], np.newaxis] - own, 1)
            )
            products = np.concatenate([z, (own - mean).astype(np.float32)], axis=1)[:, :, np.newaxis] * z[:, np.newaxis]
            starts = np.append(np.flatnonzero(differs_from_row_before(item[rows])), len(rows))
            sums = scipy.sparse.csr_matrix((np.ones(len(rows), np.float32), np.arange(len(rows)), starts))
            moments[item[rows[starts[:-1]]]] += (sums @ products.reshape(len(rows), -1)).reshape(-1, size + 1, size)
        moments[:, :size] += np.float32(_PRECISION) * np.eye(size, dtype=np.float32)
        weights = np.linalg.solve(moments[:, :size], moments[:, size, :, np.newaxis])[:, :, 0]
        has_times = np.array(int(history.impressions.time_s is not None))
        return {"factors": factors, "weights": weights, "has_times": has_times}

    def columns(self, features: FeatureTables, sources: tuple[str, ...]) -> Sequence[Column]:
        """What to expect of the pair; what was."""
        expected = Column("watched_if_shown", "how often it is watched where it is shown", has_place=True)
        return (expected, Column("passed_over", "shown before")) if self.arrays["has_times"] else (expected,)

    def compute(self, request: PairRequest) -> Sequence[Values]:
        """See above."""
        weights, histories = self.arrays["weights"], request.histories
        query = histories.sums(self.arrays["factors"], histories.weights[[WEIGHTINGS.index(UNIFORM)]])
        expected = request.products(query, weights[:, 1:])[0] + weights[request.items, 0]
        return (expected, self._times_shown(request)) if self.arrays["has_times"] else (expected,)

    @staticmethod
    def _times_shown(request: PairRequest) -> Matrix:
        shown = request.features.history.impressions
        if shown is None:
            return np.zeros(len(request.items), np.float32)
        rows = request.rows_at(*shown.rows_of(request.candidates.users))
        return np.log1p(np.bincount(rows[rows >= 0], minlength=len(request.items)))
