"""Watches of a candidate near the request time, its age, and how long the user was idle."""

from collections.abc import Sequence

import numpy as np

from belfry.dataset.features import FeatureTables
from belfry.layers.saved.array_check import ArrayForms, counts, integers
from belfry.ranking.features.base import Arrays, Column, FeatureGroup, PairRequest, Values
from belfry.ranking.features.config import PairFeaturesConfig

DAY_S = 86_400
WINDOWS = (1, 4, 16)  # bins on each side of that of the request
_PLACED = 4  # of the windows, the one whose count gets a place within the list
_MAX_CELLS = 1 << 24  # of the table of counts, 64 MiB: a large catalogue has fewer bins


class WatchTimes(FeatureGroup):
    """Needs times. Time is cut into `time_bins` bins of equally many events, fewer for a catalogue of 65,000 and more.

    For each window of b bins on both sides of the bin of the request time, its own included, and N = items + 1:

    - `near_<b>` = log(1 + n_near), n_near the events of the candidate in the window
    - `lift_<b>` = log((n_near + 1) / (n_all + N)) - log(share), n_all all events in the window, and
      share = (events of the candidate + 1) / (all events + N)

    `item_age` is the time from the candidate's first watch to the request, `idle_days` that from the user's newest
    event, both as log(1 + days); an item first watched later than the request has -log(1 + days).
    """

    name = "times"

    @staticmethod
    def forms(arrays: Arrays) -> ArrayForms:
        """See `fit`."""
        return {
            "start_s": integers(),
            "edge": integers("n_bins"),
            "count": counts("n_items + 1", "n_bins + 1"),
            "total": counts("n_bins + 1"),
            "first": integers("n_items + 1"),
        }

    @staticmethod
    def can_fit(features: FeatureTables, config: PairFeaturesConfig) -> bool:
        """Whether there are times."""
        return features.history.timestamp_s is not None

    @staticmethod
    def fit(features: FeatureTables, config: PairFeaturesConfig) -> Arrays:
        """Times are in seconds since the first event.

        `start_s`: UTC, that event; `edge`: [n_bins] where each bin begins; `count`: [n_items + 1, n_bins + 1] events of
        each item before each bin, and of all bins; `total`: [n_bins + 1] those of all items; `first`: [n_items + 1]
        each item's first watch.
        """
        history = features.history
        assert history.timestamp_s is not None
        start_s, n_numbers = history.timestamp_s.min(), len(history.items) + 1
        since_start = history.timestamp_s - start_s
        n_bins = max(1, min(config.time_bins, len(history), _MAX_CELLS // n_numbers))
        edges = np.sort(since_start)[np.arange(n_bins) * len(history) // n_bins]
        cells = history.item_num * np.int64(n_bins) + _bins(edges, since_start)
        counts = np.bincount(cells, minlength=n_numbers * n_bins).reshape(n_numbers, n_bins)
        first = np.full(n_numbers, features.now_s - start_s)
        np.minimum.at(first, history.item_num, since_start)
        before = np.zeros((n_numbers, n_bins + 1), np.int32)
        np.cumsum(counts, axis=1, out=before[:, 1:])
        total = before.sum(axis=0, dtype=np.int64)
        return {"start_s": np.array(start_s), "edge": edges, "count": before, "total": total, "first": first}

    def columns(self, features: FeatureTables, sources: tuple[str, ...]) -> Sequence[Column]:
        """Two for each window, and the ages."""
        columns: list[Column] = []
        for bins in WINDOWS:
            about = "watches at that time"
            columns += [Column(f"near_{bins}", about, has_place=bins == _PLACED), Column(f"lift_{bins}", about)]
        return (*columns, Column("item_age", "time since its first watch"), Column("idle_days", "idle days"))

    def compute(self, request: PairRequest) -> Sequence[Values]:
        """See above."""
        counts, histories, row_user, items = self.arrays["count"], request.histories, request.row_user, request.items
        n_numbers, n_bins = len(counts), counts.shape[1] - 1
        since_start = histories.request_s - int(self.arrays["start_s"])  # [n_users]
        place = _bins(self.arrays["edge"], since_start)  # [n_users]
        total = self.arrays["total"]
        share = (counts[items, -1] + 1) / (total[-1] + n_numbers)
        bins = np.array(WINDOWS)[:, np.newaxis]
        low, high = np.maximum(place - bins, 0), np.minimum(place + bins + 1, n_bins)  # [n_windows, n_users]
        n_near = counts[items, high[:, row_user]] - counts[items, low[:, row_user]]  # [n_windows, n_rows]
        n_all = (total[high] - total[low] + n_numbers)[:, row_user]
        near, lift = np.log1p(n_near), np.log((n_near + 1) / (share * n_all))
        columns: list[Values] = [column for pair in zip(near, lift, strict=True) for column in pair]
        age_days = (since_start[row_user] - self.arrays["first"][items]) / DAY_S
        columns.append(np.copysign(np.log1p(np.abs(age_days)), age_days))
        columns.append(np.log1p((histories.request_s - histories.last_s) / DAY_S)[row_user])
        return columns


def _bins(edges: np.ndarray, times: np.ndarray) -> np.ndarray:
    """[n] the bin of each time, the first one also for earlier times."""
    return np.maximum(np.searchsorted(edges, times, "right") - 1, 0)
