"""What times say of candidates: use near the time of the request, ages, and what was watched close together in time."""

import numpy as np
import scipy.sparse as sp

from belfry.dataset.features import FeatureTables
from belfry.dataset.vocabulary import ItemNums
from belfry.ranking.features.affinities import neighbour_arrays, neighbour_columns
from belfry.ranking.features.user_history import Arrays, Columns, UserHistory
from belfry.ranking.listwise.config import PairFeaturesConfig

DAY_S = 86_400
WINDOWS_DAYS = (1, 3, 10, 30)
_ITEM_SHIFT = 1 << 33  # seconds fit below it: an event is one integer, item first, time second
_COOCCURRENCE_SHRINK = 5  # companions that are added to an item's own, so that few do not weigh much


def fit_times(features: FeatureTables, config: PairFeaturesConfig) -> Arrays:
    """Events as sorted integers, all times, when each item was first watched, and companions; nothing without times.

    Times are seconds since the first event.
    """
    history = features.history
    if history.timestamp_s is None:
        return {}
    start_s = history.timestamp_s.min()
    since_start = history.timestamp_s - start_s
    first = np.full(len(history.items) + 1, features.now_s - start_s)
    np.minimum.at(first, history.item_num, since_start)
    arrays: Arrays = {
        "start_s": np.array(start_s),
        "event": np.sort(history.item_num.astype(np.int64) * _ITEM_SHIFT + since_start),
        "time": np.sort(since_start),
        "first": first,
    }
    if config.session_gap_s:
        arrays |= neighbour_arrays(_session_cooccurrence(features, config), "cooccurrence", "cooccurrence_weight")
    return arrays


def time_columns(arrays: Arrays, history: UserHistory, items: ItemNums) -> Columns:
    """Watches of a candidate within some days of the time of the request, as count and as lift; ages in days; companions."""
    if "event" not in arrays:
        return {}
    since_start = history.request_s - int(arrays["start_s"])
    events, all_times, counts = arrays["event"], arrays["time"], arrays["count"]
    keys = items.astype(np.int64) * _ITEM_SHIFT
    share = (counts[items] + 1) / (len(all_times) + len(counts))
    columns: Columns = {}
    days = np.array(WINDOWS_DAYS)[:, None] * DAY_S
    low, high = np.maximum(since_start - days, 0), since_start + days  # [n_windows, 1]
    n_near = np.searchsorted(events, keys + high, "right") - np.searchsorted(events, keys + low)
    n_all = np.searchsorted(all_times, high, "right") - np.searchsorted(all_times, low)
    lift = np.log((n_near + 1) / (n_all + len(counts))) - np.log(share)
    for place, length in enumerate(WINDOWS_DAYS):
        columns[f"near_{length}d"], columns[f"lift_{length}d"] = np.log1p(n_near[place]), lift[place]
    age_days = (since_start - arrays["first"][items]) / DAY_S
    columns["item_age"] = np.sign(age_days) * np.log1p(np.abs(age_days))
    columns["idle_days"] = np.full(len(items), np.log1p((history.request_s - history.last_s) / DAY_S))
    if "cooccurrence" in arrays:
        columns |= neighbour_columns(
            arrays["cooccurrence"], arrays["cooccurrence_weight"], history, items, "cooccurrence"
        )
    return columns


def _session_cooccurrence(features: FeatureTables, config: PairFeaturesConfig) -> "sp.csr_matrix[np.float32]":
    """[n_items + 1, n_items + 1] each item's closest companions: items that the same users watched within seconds.

    Closeness is the count of such pairs, over the root of what both items have of them. Events further apart in a
    user's order than `session_steps` do not count, however close in time.
    """
    history = features.history
    assert history.timestamp_s is not None
    order = history.by_user.order
    user, item, time_s = history.user_num[order], history.item_num[order], history.timestamp_s[order]
    pairs = []
    for step in range(1, min(config.session_steps, len(order) - 1) + 1):
        close = (user[step:] == user[:-step]) & (time_s[step:] - time_s[:-step] <= config.session_gap_s)
        pairs.append(np.stack([item[:-step][close], item[step:][close]]))
    one, other = np.concatenate(pairs, axis=1) if pairs else np.zeros((2, 0), np.int32)
    n_numbers = len(history.items) + 1
    ends = (np.append(one, other), np.append(other, one))
    total = np.sqrt(np.bincount(ends[0], minlength=n_numbers) + _COOCCURRENCE_SHRINK)
    weight = (1 / (total[ends[0]] * total[ends[1]])).astype(np.float32)
    scaled = sp.csr_matrix((weight, ends), shape=(n_numbers, n_numbers))
    scaled.sum_duplicates()
    scaled.setdiag(0)
    scaled.eliminate_zeros()
    return _strongest(scaled, config.n_neighbours)


def _strongest(matrix: "sp.csr_matrix[np.float32]", n_kept: int) -> "sp.csr_matrix[np.float32]":
    """The `n_kept` largest entries of each row, equal ones by column."""
    matrix.sort_indices()
    row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    order = np.lexsort((matrix.indices, -matrix.data, row))
    kept = np.sort(order[np.arange(len(order)) - matrix.indptr[row] < n_kept])
    return sp.csr_matrix((matrix.data[kept], (row[kept], matrix.indices[kept])), shape=matrix.shape)
