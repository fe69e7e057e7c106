"""UserHistories: what some users did, as feature groups read it."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from belfry.dataset.arrays import Positions, Times, stretches
from belfry.dataset.concurrency.cached import cached_property
from belfry.dataset.features import FeatureTables
from belfry.dataset.history.bags import recency_weights, uniform_weights
from belfry.dataset.interactions import Interactions
from belfry.dataset.vocabulary import ItemNums, UserNums
from belfry.ranking.base import Matrix
from belfry.ranking.features.config import PairFeaturesConfig

UNIFORM, RECENCY = "uniform", "recency"
WEIGHTINGS = (UNIFORM, RECENCY)


def has_ratings(features: FeatureTables) -> bool:
    """Whether there is a rating column, even one without a value in this part of the history.

    Every part of a history so has the same columns.
    """
    return features.history.rating is not None


@dataclass(frozen=True)
class UserHistories:
    """Newest `max_history` events of each user, oldest first, one user after another; none of user 0, the unknown one.

    Weights of an event of a user with n events:

    - uniform: 1 / sqrt(n)
    - recency: 0.5^(age / half_life) for the newest `recent_history` events, scaled to unit length over them, and 0 for
      older ones; age is counted in events from the newest
    """

    item_num: ItemNums  # [n_events]
    starts: Positions  # [n_users + 1]: events of user i are `starts[i] : starts[i + 1]`
    weights: Matrix  # [n_weightings, n_events], rows as in `WEIGHTINGS`
    request_s: Times  # [n_users] UTC, the request time: what the list is made for
    last_s: Times  # [n_users] UTC, newest event; the request time where there is none
    mean_rating: npt.NDArray[np.float32]  # [n_users], 0 without ratings
    above_mean: npt.NDArray[np.float32]  # [n_events] rating less the user's mean, 0 without a rating

    @classmethod
    def of(cls, users: UserNums, features: FeatureTables, config: PairFeaturesConfig) -> "UserHistories":
        """Of `users`, in this order, from `features.history`."""
        history = features.history
        rows, counts = history.by_user.newest(users, config.max_history)
        starts = np.append(0, counts.cumsum())
        recent = np.minimum(counts, config.recent_history)
        weights = np.zeros((len(WEIGHTINGS), len(rows)), np.float32)
        weights[0] = uniform_weights(counts)
        weights[1, stretches(starts[1:] - recent, recent)] = recency_weights(recent, config.half_life)
        mean_rating, above_mean = np.zeros(len(users), np.float32), np.zeros(len(rows), np.float32)
        if history.rating is not None:
            rating = history.rating[rows]
            is_rated = np.isfinite(rating)
            mean_rating = means(rating[is_rated], np.append(0, np.cumsum(is_rated))[starts])
            above_mean = np.where(is_rated, rating - np.repeat(mean_rating, counts), 0).astype(np.float32)
        last_s = np.full(len(users), features.now_s, np.int64)
        if history.timestamp_s is not None:
            last_s[counts > 0] = history.timestamp_s[rows[starts[1:][counts > 0] - 1]]
        request_s = last_s if config.request_time == "user_last" else np.full(len(users), features.now_s, np.int64)
        return cls(history.item_num[rows], starts, weights, request_s, last_s, mean_rating, above_mean)

    @cached_property
    def lengths(self) -> Positions:
        """[n_users] count of events."""
        lengths: Positions = self.starts[1:] - self.starts[:-1]
        return lengths

    @cached_property
    def event_user(self) -> Positions:
        """[n_events] position of the user of each event."""
        return np.repeat(np.arange(len(self.starts) - 1), self.lengths)

    @cached_property
    def ages(self) -> Positions:
        """[n_events] how many events of the same history are newer."""
        return np.repeat(self.starts[1:], self.lengths) - 1 - np.arange(len(self.item_num))

    def sums(self, table: Matrix, weights: Matrix) -> Matrix:
        """[n_weightings, n_users, dim] weighted sums of the rows of `table` [n_items + 1, dim] over each history.

        `weights` [n_weightings, n_events] are some of `weights`, or others.
        """
        starts = self.starts.tolist()
        totals = np.empty((len(weights), len(starts) - 1, table.shape[1]), np.float32)
        for user, (first, past) in enumerate(pairwise(starts)):
            np.matmul(weights[:, first:past], table[self.item_num[first:past]], out=totals[:, user])
        return totals


def means(values: npt.NDArray[np.floating], starts: Positions) -> npt.NDArray[np.float32]:
    """[n_stretches] mean of `values[starts[i] : starts[i + 1]]`; 0 where it is empty."""
    lengths: Positions = starts[1:] - starts[:-1]
    totals = np.bincount(np.repeat(np.arange(len(lengths)), lengths), values, len(lengths))
    found: npt.NDArray[np.float32] = (totals / np.maximum(lengths, 1)).astype(np.float32)
    return found


def ratings_above_mean(history: Interactions) -> npt.NDArray[np.float64]:
    """[n_events] rating of each event less the mean of its user; NaN without a rating."""
    assert history.rating is not None
    is_rated = np.isfinite(history.rating)
    user, rating = history.user_num[is_rated], history.rating[is_rated]
    n_by_user = np.maximum(np.bincount(user, minlength=len(history.users) + 1), 1)
    mean_by_user = np.bincount(user, rating, minlength=len(n_by_user)) / n_by_user
    above = np.full(len(history), np.nan)
    above[is_rated] = rating - mean_by_user[user]
    return above
