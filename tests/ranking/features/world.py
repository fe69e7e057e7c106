"""A random history with every kind of column, candidates for it, and the columns that pair features give them."""

from dataclasses import replace

import numpy as np
import pyarrow as pa

from belfry.dataset.candidates import Candidates, take_top_k
from belfry.dataset.features import FeatureColumns, FeatureTables
from belfry.dataset.history.bags import recency_weights, uniform_weights
from belfry.dataset.history.seen_items import SeenItems
from belfry.dataset.interactions import Interactions
from belfry.ranking.features.config import PairFeaturesConfig
from belfry.ranking.features.groups.times import DAY_S
from belfry.ranking.features.pair_features import PairFeatures

NOTHING = FeatureColumns()
CONFIG = PairFeaturesConfig(n_neighbours=4, shrink=1.0)
START_S = 1_700_000_000


def random_world(n_users: int = 30, n_items: int = 20, n_events: int = 300, seed: int = 0) -> FeatureTables:
    """Every kind of column; each pair once, the last user without an event."""
    generator = np.random.default_rng(seed)
    cells = generator.permutation((n_users - 1) * n_items)[:n_events]
    users, items = cells // n_items + 1, cells % n_items + 1
    rating = generator.integers(1, 6, n_events).astype(np.float32)
    rating[generator.random(n_events) < 0.3] = np.nan
    table = pa.table(
        {
            "user_id": [*users, n_users],
            "item_id": [*items, 1],
            "timestamp_s": START_S + generator.integers(0, 60 * DAY_S, n_events + 1),
            "rating": pa.array([*rating, np.nan], pa.float32()),
        }
    )
    everybody = Interactions.from_table(table)
    assert (len(everybody.users), len(everybody.items)) == (n_users, n_items)
    user_columns = FeatureColumns(
        categorical={"group": np.append(0, generator.integers(0, 4, n_users)).astype(np.int32)},
        numeric={"age": np.append(0, generator.normal(size=n_users)).astype(np.float32)},
        sizes={"group": 4},
    )
    genres = generator.integers(0, 6, (n_items + 1, 3)).astype(np.int32)
    genres[0] = 0
    item_columns = FeatureColumns(
        categorical={"country": np.append(0, generator.integers(0, 3, n_items)).astype(np.int32)},
        numeric={"year": np.append(0, generator.normal(size=n_items)).astype(np.float32)},
        multi_valued={"genres": genres},
        sizes={"country": 3, "genres": 6},
    )
    return FeatureTables(everybody.select(np.arange(n_events)), user_columns, item_columns)


def with_impressions(features: FeatureTables) -> FeatureTables:
    """Each user was shown some items at some time, some of them twice, some of them watched; item 3 nobody."""
    history, generator = features.history, np.random.default_rng(0)
    counts = generator.integers(0, 3, (len(history.users) + 1, len(history.items) + 1))
    counts[0] = counts[:, 0] = counts[:, 3] = 0
    user, item = np.nonzero(counts)
    pairs = np.repeat(np.stack([user, item]), counts[user, item], axis=1)
    starts = np.searchsorted(pairs[0], np.arange(len(history.users) + 2))
    shown = SeenItems(starts, pairs[1].astype(np.int32), np.full(pairs.shape[1], START_S))
    return replace(features, history=replace(history, impressions=shown))


def candidates_for(features: FeatureTables, users: list[int], *, n: int = 8, seed: int = 1) -> Candidates:
    """`n` random items and scores for each."""
    generator = np.random.default_rng(seed)
    n_items = len(features.history.items)
    items = np.concatenate([generator.permutation(n_items)[:n] + 1 for _ in users]).astype(np.int32)
    scores = generator.normal(size=len(items)).astype(np.float32)
    rows = np.repeat(np.arange(len(users)), n)
    return take_top_k(np.array(users, np.int32), rows, items, scores, top_k=n, origin="test")


def matrix_of(
    features: FeatureTables, candidates: Candidates, config: PairFeaturesConfig = CONFIG
) -> dict[str, np.ndarray]:
    """Column by name."""
    pair_features = PairFeatures.fit(features, config)
    matrix = pair_features.matrix(candidates, features)
    names = pair_features.names(features)
    assert matrix.shape == (len(candidates), len(names))
    assert matrix.dtype == np.float32
    assert len(set(names)) == len(names)
    return dict(zip(names, matrix.T, strict=True))


def profiles(world: FeatureTables, kind: str) -> np.ndarray:
    """[n_users + 1, n_items + 1] every user's weights, from the history's own functions."""
    profile = np.zeros((len(world.history.users) + 1, len(world.history.items) + 1))
    for user in range(1, len(profile)):
        rows = world.history.by_user.of(user)
        counts = np.array([len(rows)])
        weights = uniform_weights(counts) if kind == "uniform" else recency_weights(counts, CONFIG.half_life)
        assert counts[0] <= CONFIG.recent_history
        profile[user, world.history.item_num[rows]] = weights
    return profile


def naive_near(
    world: FeatureTables, items: np.ndarray, request_s: int, bins: int, time_bins: int
) -> tuple[np.ndarray, int]:
    """Events of each item, and of all, at most `bins` bins from that of the request."""
    history = world.history
    assert history.timestamp_s is not None
    starts = np.sort(history.timestamp_s)[[number * len(history) // time_bins for number in range(time_bins)]]
    bin_of = np.array([(starts <= time_s).sum() for time_s in history.timestamp_s])
    is_near = np.abs(bin_of - max((starts <= request_s).sum(), 1)) <= bins
    return np.array([int((is_near & (history.item_num == item)).sum()) for item in items]), int(is_near.sum())
