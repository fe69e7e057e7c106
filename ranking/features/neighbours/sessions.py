"""How near a candidate is to what the user watched, by what others watched in one session."""

from collections.abc import Iterator

import numpy as np
import scipy  # its parts load when they are used

from belfry.dataset.arrays import Positions, stretches
from belfry.dataset.features import FeatureTables
from belfry.dataset.interactions import Interactions
from belfry.dataset.similarity import blocks_of_sums, largest_of_blocks
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
        """The strongest of each item alone. Computed in blocks of items, so all pairs of events never exist."""
        history, n_numbers = features.history, len(features.history.items) + 1
        item, (before, after) = history.item_num[history.by_user.order], _near_events(history, config)
        n_pairs = np.bincount(item, before + after, n_numbers).astype(np.int64)
        n_sums = n_pairs + np.bincount(item, minlength=n_numbers)  # each event is looked at beside its pairs
        root = np.sqrt(n_pairs + _SHRINK)
        by_item = np.argsort(item, kind="stable")
        starts = np.searchsorted(item[by_item], np.arange(n_numbers + 1))

        def blocks() -> Iterator["scipy.sparse.csr_matrix[np.float32]"]:
            for first, stop in blocks_of_sums(n_sums):
                event = by_item[starts[first] : starts[stop]]
                counts = before[event] + 1 + after[event]  # with the event itself
                own, other = item[event].repeat(counts), item[stretches(event - before[event], counts)]
                is_pair = own != other
                cells = (np.ones(np.count_nonzero(is_pair), np.float32), (own[is_pair] - first, other[is_pair]))
                pairs = scipy.sparse.csr_matrix(cells, shape=(stop - first, n_numbers))  # counts of equal ones
                pairs.data /= np.repeat(root[first:stop], np.diff(pairs.indptr)) * root[pairs.indices]
                yield pairs

        return largest_of_blocks(blocks(), config.session_neighbours, n_pairs)


def _near_events(history: Interactions, config: PairFeaturesConfig) -> tuple[Positions, Positions]:
    """[n_events] by user and time: how many of the events before each, and after it, make a pair with it."""
    assert history.timestamp_s is not None
    order, gap_s, n_steps = history.by_user.order, config.session_gap_s, config.session_steps
    waits = np.abs(np.diff(history.timestamp_s[order]))  # an order of its own may contradict the times
    waits = np.minimum(waits, gap_s + 1)  # beyond the gap all are alike
    waits[np.diff(history.user_num[order]) != 0] = gap_s + 1
    clock = np.append(0, waits)[: len(order)].cumsum()
    place = np.arange(len(order))
    before = place - clock.searchsorted(clock - gap_s, "left")
    after = clock.searchsorted(clock + gap_s, "right") - 1 - place
    return np.minimum(before, n_steps), np.minimum(after, n_steps)
