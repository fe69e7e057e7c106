"""A demo world whose events say on which device they were: one column that goes by the film, and one by chance."""

from dataclasses import replace

import numpy as np
import pyarrow as pa

from belfry.dataset.sources.demo import generate
from belfry.dataset.tables import Tables

TASTE, CHANCE = "device", "weather"  # the columns
DEVICES = ("phone", "tv")
ON_TV = 0.85  # of the watches of a film whose first genre is on television


def context_tables(*, n_users: int = 150, n_items: int = 120, n_watches: int = 4_000) -> Tables:
    """Half of the genres are watched on television, the others on a phone; every fiftieth event does not say where."""
    tables = generate(n_users=n_users, n_items=n_items, n_watches=n_watches)
    assert tables.items is not None
    first = np.array([genres[0] for genres in tables.items["genres"].to_pylist()])
    is_for_tv = np.isin(first, np.unique(first)[::2])
    place = np.searchsorted(tables.items["item_id"].to_numpy(), tables.interactions["item_id"].to_numpy())
    generator = np.random.default_rng(0)
    on_tv = generator.random(len(place)) < np.where(is_for_tv[place], ON_TV, 1 - ON_TV)
    device = np.array(DEVICES)[on_tv.astype(int)]
    events = tables.interactions
    events = events.append_column(TASTE, pa.array(device, mask=generator.random(len(place)) < 0.02))
    events = events.append_column(CHANCE, pa.array(np.array(["dry", "wet"])[generator.integers(0, 2, len(place))]))
    return replace(tables, interactions=events, text_columns=())
