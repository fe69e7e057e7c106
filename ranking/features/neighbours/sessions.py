"""How near a candidate is to what the user watched, by what others watched in one session."""

import numpy as np
import scipy  # its parts load when they are used

from belfry.dataset.features import FeatureTables
from belfry.ranking.features.config import PairFeaturesConfig
from belfry.ranking.features.neighbours.table import NeighbourTable, Weighting

_SHRINK = 5  # pairs that are added to an item's own, so that an item with few does not weigh much


class SessionCooccurrence(NeighbourTable):
    """s_ij = n_ij / sqrt((n_i + 5) (n_j + 5)) for items i and j: the share of their sessions that they share.

    n_ij counts pairs of events of one user, of i and of j, at most `session_gap_s` seconds apart; n_i all pairs of i.
    Events more than `session_steps` apart in a user's order are no pair, however close in time. Needs times.
    """

    name = "cooccurrence"
    about = "watched in one sitting"
    weightings = (Weighting("uniform"), Weighting("recency", half_life=5))

    @staticmethod
    def can_fit(features: FeatureTables, config: PairFeaturesConfig) -> bool:
        """Whether there are times, and sessions are asked for."""
        return features.history.timestamp_s is not None and config.session_gap_s > 0

    @staticmethod
    def n_neighbours(config: PairFeaturesConfig) -> int:
        """A history is read as a whole here, so fewer than for its newest items."""
        return config.session_neighbours

    @staticmethod
    def n_recent(config: PairFeaturesConfig) -> int:
        """The whole history."""
        return config.max_history

    @staticmethod
    def similarities(features: FeatureTables, config: PairFeaturesConfig) -> "scipy.sparse.csr_matrix[np.float32]":
        """All pairs that occur."""
        history = features.history
        assert history.timestamp_s is not None
        order = history.by_user.order
        user, item, time_s = history.user_num[order], history.item_num[order], history.timestamp_s[order]
        pairs = [np.zeros((2, 0), np.int32)]
        for step in range(1, min(config.session_steps, len(order) - 1) + 1):
            is_pair = (user[step:] == user[:-step]) & (time_s[step:] - time_s[:-step] <= config.session_gap_s)
            pairs.append(np.stack([item[:-step][is_pair], item[step:][is_pair]]))
        one, other = np.concatenate(pairs, axis=1)
        n_numbers = len(history.items) + 1
        ends = (np.append(one, other), np.append(other, one))
        root = np.sqrt(np.bincount(ends[0], minlength=n_numbers) + _SHRINK)
        weight = (1 / (root[ends[0]] * root[ends[1]])).astype(np.float32)
        weights = scipy.sparse.csr_matrix((weight, ends), shape=(n_numbers, n_numbers))
        weights.sum_duplicates()
        weights.setdiag(0)
        weights.eliminate_zeros()
        return weights
