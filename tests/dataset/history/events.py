"""Events that were drawn at random."""

import numpy as np
import pyarrow as pa

from belfry.dataset.interactions import Interactions


def random_events(n_users: int = 6, n_items: int = 5, n_events: int = 60) -> Interactions:
    generator = np.random.default_rng(3)
    return Interactions.from_table(
        pa.table(
            {
                "user_id": generator.integers(1, n_users + 1, n_events),
                "item_id": generator.integers(1, n_items + 1, n_events),
                "timestamp_s": generator.permutation(n_events) + 1_000_000,
            }
        )
    )
