"""A small world of listeners: most events are of a favourite that comes back, each at the pace of its user."""

import numpy as np
import pyarrow as pa

DAY_S = 86_400
N_TASTES, N_DAYS = 8, 200


def repeat_world(*, n_users: int, n_items: int = 120, n_events: int = 60, seed: int = 0) -> pa.Table:
    """user_id, item_id, timestamp_s, each user's events from the oldest on; three in four repeat an earlier one.

    A user comes back to an item with weight l * exp(-g / 40) * (1 - exp(-g / 4)), g days after the last time: l is how
    much they like it, the second factor lets it fade, the third keeps it from coming twice in a row.
    """
    generator = np.random.default_rng(seed)
    popularity = generator.gamma(0.7, size=n_items) + 0.05
    rows = []
    for user in range(n_users):
        weight = popularity * generator.dirichlet(np.full(N_TASTES, 0.3))[np.arange(n_items) % N_TASTES] + 1e-6
        liking = generator.gamma(0.5, size=n_items) + 0.05
        last = np.zeros(n_items, np.int64)
        own = int(generator.integers(n_events // 3, n_events))
        for time_s in 1_600_000_000 + np.sort(generator.integers(0, N_DAYS * DAY_S, own)):
            weights = weight
            if last.any() and generator.random() > 0.3:
                days = (time_s - last) / DAY_S
                weights = (last > 0) * liking * np.exp(-np.minimum(days, 400) / 40) * (1 - np.exp(-days / 4))
            item = int(generator.choice(n_items, p=weights / weights.sum()))
            last[item] = time_s
            rows.append((user + 1, item + 1, int(time_s)))
    users, items, times = zip(*rows, strict=True)
    return pa.table({"user_id": [*users], "item_id": [*items], "timestamp_s": [*times]})


def last_part(events: pa.Table, *, share: float = 0.15) -> tuple[pa.Table, pa.Table]:
    """(before, the newest `share` of all events)."""
    times = events["timestamp_s"].to_numpy()
    is_last = times >= np.quantile(times, 1 - share)
    return events.filter(pa.array(~is_last)), events.filter(pa.array(is_last))
