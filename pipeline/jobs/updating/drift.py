"""Drift: how far the data of an updated run have moved from what its weights were trained on."""

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from belfry.dataset.interactions import Interactions
from belfry.pipeline.jobs.updating.past import Past

_DAY_S = 86_400


@dataclass(frozen=True)
class Drift:
    """The history of today beside that of training."""

    n_since: int  # events since
    of_new_users: float  # share of these, of users without an event at training
    of_new_items: float
    popularity_change: float  # total variation: half the sum over items of |share of all events now - at training|
    days: float  # since training, by the clock
    data_days: float | None  # from the newest event at training to today's newest; None without times

    @classmethod
    def of(cls, history: Interactions, past: Past) -> "Drift":
        """As of now."""
        trained, lineage = past.trained, past.lineage
        items, users = trained.items.numbers_of(history.items), trained.users.numbers_of(history.users)
        counts, before = np.bincount(history.item_num, minlength=len(items)), trained.of_items[items]
        of_users = trained.of_users[users]
        n_since = int(counts.sum() - before.sum())
        share_now, share_before = (values / max(values.sum(), 1) for values in (counts, before))
        since = datetime.now(UTC) - datetime.fromisoformat(lineage.trained_at)
        data_days = None
        if lineage.trained_newest_s is not None and history.timestamp_s is not None:
            data_days = (int(history.timestamp_s.max()) - lineage.trained_newest_s) / _DAY_S
        return cls(
            n_since=n_since,
            of_new_users=int((of_users[history.user_num] == 0).sum()) / max(n_since, 1),
            of_new_items=int(counts[before == 0].sum()) / max(n_since, 1),
            popularity_change=float(np.abs(share_now - share_before).sum() / 2),
            days=max(since.total_seconds(), 0) / _DAY_S,
            data_days=data_days,
        )

    @property
    def line(self) -> str:
        """For people."""
        by_data = "" if self.data_days is None else f", {self.data_days:.1f} by the events"
        return (
            f"weights, {self.days:.1f} days old{by_data}; of {self.n_since:,} events since, {self.of_new_users:.1%} "
            f"are of users and {self.of_new_items:.1%} of items that had none before; popularity moved by "
            f"{self.popularity_change:.2%}"
        )
