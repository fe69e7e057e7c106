"""Watches of a candidate near the request time, its age, and how long the user was idle."""

from collections.abc import Sequence

import numpy as np

from belfry.dataset.features import FeatureTables
from belfry.ranking.features.base import Arrays, Column, FeatureGroup, PairRequest, Values
from belfry.ranking.features.config import PairFeaturesConfig

DAY_S = 86_400
WINDOWS_DAYS = (1, 3, 10, 30)
_PLACED_DAYS = 3  # of the windows, the one whose count gets a place within the list
_ITEM_SHIFT = 1 << 33  # seconds fit below it: an event is one integer, item first, time second


class WatchTimes(FeatureGroup):
    """Needs times. For each window of d days on both sides of the request time, and N = items + 1:

    - `near_<d>d` = log(1 + n_near), n_near the events of the candidate in the window
    - `lift_<d>d` = log((n_near + 1) / (n_all + N)) - log(share), n_all all events in the window, and
      share = (users who watched the candidate + 1) / (all events + N)

    `item_age` is the time from the candidate's first watch to the request, `idle_days` that from the user's newest
    event, both as log(1 + days); an item first watched later than the request has -log(1 + days).
    """

    name = "times"

    @staticmethod
    def can_fit(features: FeatureTables, config: PairFeaturesConfig) -> bool:
        """Whether there are times."""
        return features.history.timestamp_s is not None

    @staticmethod
    def fit(features: FeatureTables, config: PairFeaturesConfig) -> Arrays:
        """Times, in seconds since the first event.

        `event`: [n_events] item and time of each as one integer, sorted; `time`: [n_events] all times, sorted;
        `first`: [n_items + 1] each item's first watch; `count`: [n_items + 1] users who watched it.
        """
        history = features.history
        assert history.timestamp_s is not None
        start_s = history.timestamp_s.min()
        since_start = history.timestamp_s - start_s
        first = np.full(len(history.items) + 1, features.now_s - start_s)
        np.minimum.at(first, history.item_num, since_start)
        return {
            "start_s": np.array(start_s),
            "event": np.sort(history.item_num.astype(np.int64) * _ITEM_SHIFT + since_start),
            "time": np.sort(since_start),
            "first": first,
            "count": history.item_counts,
        }

    def columns(self, features: FeatureTables, sources: tuple[str, ...]) -> Sequence[Column]:
        """Two for each window, and the ages."""
        columns: list[Column] = []
        for days in WINDOWS_DAYS:
            about = "watches in those days"
            columns += [
                Column(f"near_{days}d", about, has_place=days == _PLACED_DAYS),
                Column(f"lift_{days}d", about),
            ]
        return (*columns, Column("item_age", "time since its first watch"), Column("idle_days", "idle days"))

    def compute(self, request: PairRequest) -> Sequence[Values]:
        """See above."""
        events, all_times, count = self.arrays["event"], self.arrays["time"], self.arrays["count"]
        histories, row_user, items = request.histories, request.row_user, request.items
        since_start = histories.request_s - int(self.arrays["start_s"])  # [n_users]
        keys = items.astype(np.int64) * _ITEM_SHIFT
        log_share = np.log((count[items] + 1) / (len(all_times) + len(count)))
        columns: list[Values] = []
        for days in WINDOWS_DAYS:
            low, high = np.maximum(since_start - days * DAY_S, 0), since_start + days * DAY_S  # [n_users]
            n_all = np.searchsorted(all_times, high, "right") - np.searchsorted(all_times, low)
            stop = np.searchsorted(events, keys + high[row_user], "right")
            n_near = stop - np.searchsorted(events, keys + low[row_user])  # [n_rows]
            lift = np.log((n_near + 1) / (n_all[row_user] + len(count))) - log_share
            columns += [np.log1p(n_near), lift]
        age_days = (since_start[row_user] - self.arrays["first"][items]) / DAY_S
        columns.append(np.sign(age_days) * np.log1p(np.abs(age_days)))
        columns.append(np.log1p((histories.request_s - histories.last_s) / DAY_S)[row_user])
        return columns
