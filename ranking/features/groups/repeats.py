"""How often, and when, the user had the candidate before."""

from collections.abc import Sequence

import numpy as np

from belfry.dataset.features import FeatureTables
from belfry.dataset.history.own_items import own_items
from belfry.layers.saved.array_check import ArrayForms, counts
from belfry.ranking.features.base import Arrays, Column, FeatureGroup, PairRequest, Values
from belfry.ranking.features.config import PairFeaturesConfig

_DAY_S = 86_400


class Repeats(FeatureGroup):
    """Left out where lists hold no seen item. For a candidate seen n times in a history of m events, 0 for others:

    - `repeat_seen` = 1, `repeat_times` = log(1 + n), `repeat_share` = n / m
    - `repeat_activation` = log(1 + activation), see `belfry.dataset.history.own_items`
    - `repeat_steps` = log(1 + steps), the events since the last time; for others as if last seen before all events
    - `repeat_gap` = log(1 + mean steps between two times), of a candidate that was seen twice or more
    - `repeat_due` = `repeat_steps` - `repeat_gap`, of such a candidate: above 0 it is later than its wont

    With times also the same in days: `repeat_days` up to the request time, `repeat_gap_days`, `repeat_due_days`.
    """

    name = "repeats"

    @staticmethod
    def forms(arrays: Arrays) -> ArrayForms:
        """See `fit`."""
        return {"max_history": counts()}

    @staticmethod
    def can_fit(features: FeatureTables, config: PairFeaturesConfig) -> bool:
        """Whether lists may hold seen items."""
        return config.repeats

    @staticmethod
    def fit(features: FeatureTables, config: PairFeaturesConfig) -> Arrays:
        """How much of a history is read."""
        return {"max_history": np.array(config.max_history)}

    def columns(self, features: FeatureTables, sources: tuple[str, ...]) -> Sequence[Column]:
        """Seven, and three more where there are times."""
        often, lately = "how often you had it", "when you last had it"
        columns = [
            Column("repeat_seen", often),
            Column("repeat_times", often, has_place=True),
            Column("repeat_share", often),
            Column("repeat_activation", often, has_place=True),
            Column("repeat_steps", lately, has_place=True),
            Column("repeat_gap", lately),
            Column("repeat_due", lately),
        ]
        if features.history.timestamp_s is not None:
            columns += [Column(f"repeat_{name}", lately) for name in ("days", "gap_days", "due_days")]
        return columns

    def compute(self, request: PairRequest) -> Sequence[Values]:
        """See above."""
        history, row_user = request.features.history, request.row_user
        own = own_items(history, request.candidates.users, max_length=int(self.arrays["max_history"]))
        place = own.positions(row_user, request.items, len(history.items))
        is_own, lengths = place >= 0, request.histories.lengths
        n_between = np.maximum(own.count - 1, 1)
        gap = np.log1p((own.first_age - own.last_age) / n_between) * (own.count > 1)
        steps = np.log1p(own.last_age)
        due = (steps - gap) * (own.count > 1)

        def of_rows(values: Values, others: Values | float = 0) -> Values:
            """[n_rows] of [n_pairs]; `others` for rows of items that the user never had."""
            return np.where(is_own, np.append(values, 0)[place], others)

        columns = [
            is_own.astype(np.float32),
            of_rows(np.log1p(own.count)),
            of_rows(own.count / np.maximum(lengths[own.row_user], 1)),
            of_rows(np.log1p(own.activation)),
            of_rows(steps, np.log1p(lengths)[row_user]),
            of_rows(gap),
            of_rows(due),
        ]
        if own.first_s is not None and own.last_s is not None:
            since_s = np.maximum(request.histories.request_s[own.row_user] - own.last_s, 0)
            days = np.log1p(since_s / _DAY_S)
            gap_days = np.log1p(np.maximum(own.last_s - own.first_s, 0) / n_between / _DAY_S) * (own.count > 1)
            oldest_s = request.histories.request_s.copy()
            np.minimum.at(oldest_s, own.row_user, own.first_s)
            all_days = np.log1p((request.histories.request_s - oldest_s) / _DAY_S)
            columns += [
                of_rows(days, all_days[row_user]),
                of_rows(gap_days),
                of_rows((days - gap_days) * (own.count > 1)),
            ]
        return columns
