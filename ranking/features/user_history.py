"""UserHistory: what one user did, as pair features read it."""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from belfry.dataset.features import FeatureTables
from belfry.dataset.history import recency_weights, uniform_weights
from belfry.dataset.vocabulary import ItemNums
from belfry.ranking.base import Matrix
from belfry.ranking.listwise.config import PairFeaturesConfig

Columns: TypeAlias = dict[str, npt.NDArray[np.floating]]  # each [n_rows]
Arrays: TypeAlias = dict[str, npt.NDArray[Any]]

UNIFORM, RECENCY, RATED = "uniform", "recency", "rated"  # weightings of a history


@dataclass(frozen=True)
class UserHistory:
    """Newest `max_history` events, oldest first."""

    items: ItemNums  # [n_events]
    weights: Matrix  # [n_kinds, n_events]
    kinds: tuple[str, ...]  # uniform, recency and, where there are ratings, rated: above or below the user's mean
    request_s: int  # the list is made for it
    last_s: int
    mean_rating: float  # 0 where there is none

    @classmethod
    def of(
        cls, user: int, features: FeatureTables, config: PairFeaturesConfig, *, reads_ratings: bool
    ) -> "UserHistory":
        """Empty for user 0, the unknown one."""
        history = features.history
        rows = history.by_user.of(user)[-config.max_history :] if user else np.zeros(0, np.int64)
        counts = np.array([len(rows)])
        weights, kinds = [uniform_weights(counts), recency_weights(counts, config.half_life)], [UNIFORM, RECENCY]
        mean_rating = 0.0
        if reads_ratings and history.rating is not None:
            ratings = history.rating[rows]
            rated = np.isfinite(ratings)
            mean_rating = mean(ratings[rated])
            weights.append(np.where(rated, ratings - mean_rating, 0).astype(np.float32) * weights[0])
            kinds.append(RATED)
        last_s = request_s = features.now_s
        if history.timestamp_s is not None and len(rows):
            last_s = int(history.timestamp_s[rows[-1]])
            request_s = last_s if config.request_time == "user_last" else request_s
        return cls(history.item_num[rows], np.stack(weights), tuple(kinds), request_s, last_s, mean_rating)


def mean(values: npt.NDArray[np.floating]) -> float:
    """0 of nothing."""
    return float(values.mean()) if len(values) else 0.0
