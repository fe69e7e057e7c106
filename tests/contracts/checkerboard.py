"""The checkerboard: even users like even items, odd users odd ones, and each withholds one like.

What to recommend is known: the withheld item, the only liked one that the user has not seen.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from belfry.dataset.features import FeatureColumns, FeatureTables
from belfry.dataset.interactions import Interactions
from belfry.dataset.vocabulary import Numbers

NO_COLUMNS = FeatureColumns({}, {}, {}, {})


@dataclass(frozen=True)
class Checkerboard:
    history: Interactions
    withheld: Numbers  # [n_users + 1] the right answer for each user number; 0 for the unknown

    @property
    def users(self) -> Numbers:
        return np.arange(1, len(self.history.users) + 1, dtype=np.int32)

    @property
    def features(self) -> FeatureTables:
        return features_of(self.history)


def features_of(history: Interactions) -> FeatureTables:
    """A history with no features beside it."""
    return FeatureTables(history, NO_COLUMNS, NO_COLUMNS)


def checkerboard(n_users: int = 24, n_items: int = 12) -> Checkerboard:
    """Ids equal numbers: user 2 likes items 2, 4, ...; withholding goes round, so every item is seen by someone."""
    users, items = np.meshgrid(np.arange(1, n_users + 1), np.arange(1, n_items + 1), indexing="ij")
    n_liked = n_items // 2
    withheld = 2 * (np.arange(n_users + 1) // 2 % n_liked) + 2 - np.arange(n_users + 1) % 2
    withheld[0] = 0
    kept = (users % 2 == items % 2) & (items != withheld[1:, None])
    table = pa.table({"user_id": users[kept], "item_id": items[kept], "timestamp_s": np.arange(kept.sum())})
    return Checkerboard(Interactions.from_table(table), withheld.astype(np.int32))
