"""PairFeatures: everything the ranker reads about a user and a candidate, computed with NumPy alone.

The same code runs in training and in answering, so the two cannot drift apart. Columns come in groups; a group whose
data is missing (no times, no ratings, no features) is left out when fitted, and `names` says what there is.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from dataset.candidates import Candidates
from dataset.features import FeatureTables
from dataset.history import even_weights, recency_weights
from dataset.similarity import cosine_neighbours, ease_weights
from dataset.vocabulary import Numbers
from ranking.base import Matrix
from ranking.config import PairFeaturesConfig

DAY_S = 86_400
WINDOWS_DAYS = (1, 3, 10, 30)
_ITEM_SHIFT = 1 << 33  # seconds fit below it: an event is one integer, item first, time second
_KINDS = ("even", "recent")  # weightings of a history; "rated" joins them where there are ratings

Columns: TypeAlias = dict[str, npt.NDArray[np.floating]]  # each [n_rows]
Arrays: TypeAlias = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class _History:
    """What one user did, newest `max_history` events, oldest first."""

    items: Numbers  # [n_events]
    weights: Matrix  # [n_kinds, n_events]
    moment_s: int
    last_s: int
    mean_rating: float


class PairFeatures:
    """Statistics of one history, and the matrix of features they give for any candidates."""

    def __init__(self, config: PairFeaturesConfig, arrays: Arrays) -> None:
        """Made by `fit`, or of the `arrays` that an earlier one gave."""
        self.config = config
        self.arrays = arrays

    @classmethod
    def fit(cls, features: FeatureTables, config: PairFeaturesConfig) -> "PairFeatures":
        """Item statistics of `features.history`; nothing later is looked at."""
        history = features.history
        matrix, counts = history.matrix, history.item_counts
        arrays: Arrays = {"count": counts}
        neighbours = cosine_neighbours(matrix, n_neighbours=config.n_neighbours, shrink=config.shrink)
        width = max(int(np.diff(neighbours.indptr).max(initial=0)), 1)
        rows = np.repeat(np.arange(neighbours.shape[0]), np.diff(neighbours.indptr))
        slots = np.arange(neighbours.nnz) - neighbours.indptr[rows]
        arrays["neighbour"] = np.zeros((len(counts), width), np.int32)
        arrays["cosine"] = np.zeros((len(counts), width), np.float32)
        arrays["neighbour"][rows, slots], arrays["cosine"][rows, slots] = neighbours.indices, neighbours.data
        if len(history.items) <= config.ease_max_items:
            arrays["ease"] = ease_weights(matrix, l2=config.ease_l2 * np.sqrt(len(history.users)))
        if history.timestamp_s is not None:
            arrays |= _time_arrays(features)
        if history.rating is not None:
            arrays["item_rating"] = _item_ratings(features)
        for name, categories in features.users.categorical.items():
            if features.users.sizes[name] <= config.max_categories:
                arrays[f"segment/{name}"] = _segment_lifts(features, categories, config.segment_smoothing)
        return cls(config, arrays)

    def matrix(self, candidates: Candidates, features: FeatureTables) -> Matrix:
        """[n_rows, len(names)] float32, rows as in `candidates`; the rows of one user must be together.

        `features` belong to the history that this was fitted on. A list is described as a whole, so a user's rows give
        other values when some of them are left out.
        """
        starts = candidates.starts
        blocks: list[Matrix] = []
        for row_user, (start, stop) in enumerate(pairwise(starts)):
            if start < stop:
                user, rows = int(candidates.users[row_user]), slice(start, stop)
                retrieval = {"score": candidates.score[rows], "log_rank": np.log1p(candidates.rank[rows])}
                if candidates.source_score is not None and candidates.source_rank is not None:
                    opinions = candidates.source_score[rows], candidates.source_rank[rows]
                    retrieval |= _source_columns(candidates.sources, *opinions)
                columns = self._columns(user, candidates.item_num[rows], retrieval, features)
                blocks.append(np.stack(list(columns.values()), axis=1).astype(np.float32))
        return (
            np.concatenate(blocks)
            if blocks
            else np.zeros((0, len(self.names(features, candidates.sources))), np.float32)
        )

    def names(self, features: FeatureTables, sources: tuple[str, ...] = ()) -> tuple[str, ...]:
        """Names of the columns of `matrix`, in order; `sources` are those of the candidates."""
        one, nothing = np.ones(1, np.int32), np.zeros((1, len(sources)), np.int32)
        retrieval: Columns = {"score": np.zeros(1), "log_rank": np.zeros(1)}
        retrieval |= _source_columns(sources, nothing.astype(np.float32), nothing)
        return tuple(self._columns(0, one, retrieval, features))

    def _columns(self, user: int, items: Numbers, retrieval: Columns, features: FeatureTables) -> Columns:
        """All columns of one list, each [n_items]; `retrieval` are those that retrieval knows."""
        history = self._history_of(user, features)
        columns = retrieval | self._affinities(history, items)
        columns["popularity"] = self._log_count[items]
        columns["history_length"] = np.full(len(items), np.log1p(len(history.items)))
        columns["history_popularity"] = np.full(len(items), _mean(self._log_count[history.items]))
        if "event" in self.arrays:
            columns |= self._times(history, items)
        if "item_rating" in self.arrays:
            columns["item_rating"] = self.arrays["item_rating"][items]
            columns["user_rating"] = np.full(len(items), history.mean_rating)
        for name, categories in features.users.categorical.items():
            if (lifts := self.arrays.get(f"segment/{name}")) is not None:
                columns[f"segment_{name}"] = lifts[categories[user], items]
        for name, values in features.users.numeric.items():
            columns[f"user_{name}"] = np.full(len(items), values[user])
        for name, values in features.items.numeric.items():
            columns[f"item_{name}"] = values[items]
            columns[f"distance_{name}"] = np.abs(values[items] - _mean(values[history.items]))
        columns |= self._category_affinities(history, items, features)
        return columns | _list_context(columns)

    def _history_of(self, user: int, features: FeatureTables) -> _History:
        history = features.history
        rows = history.by_user.of(user)[-self.config.max_history :] if user else np.zeros(0, np.int64)
        counts = np.array([len(rows)])
        weights = [even_weights(counts), recency_weights(counts, self.config.half_life)]
        mean_rating = 0.0
        if "item_rating" in self.arrays and history.rating is not None:
            ratings = history.rating[rows]
            rated = np.isfinite(ratings)
            mean_rating = _mean(ratings[rated])
            weights.append(np.where(rated, ratings - mean_rating, 0).astype(np.float32) * weights[0])
        last_s = moment_s = features.now_s
        if history.timestamp_s is not None and len(rows):
            last_s = int(history.timestamp_s[rows[-1]])
            moment_s = last_s if self.config.moment == "user_last" else moment_s
        return _History(history.item_num[rows], np.stack(weights), moment_s, last_s, mean_rating)

    def _affinities(self, history: _History, items: Numbers) -> Columns:
        """How near the candidates are to what the user watched: by cosine, by EASE, to the nearest single item."""
        kinds = [*_KINDS, "rated"][: len(history.weights)]
        n_items = len(items)
        weight_of = np.zeros((len(kinds), len(self.arrays["count"])), np.float32)
        weight_of[:, history.items] = history.weights
        is_watched = np.zeros(weight_of.shape[1], np.bool_)
        is_watched[history.items] = True
        is_watched[0] = False
        neighbours = self.arrays["neighbour"][items]  # [n_items, n_neighbours]
        rows, slots = np.nonzero(is_watched[neighbours])
        watched, cosine = neighbours[rows, slots], self.arrays["cosine"][items[rows], slots]
        columns: Columns = {}
        for place, kind in enumerate(kinds):
            columns[f"cosine_{kind}"] = np.zeros(n_items)
            columns[f"cosine_{kind}"] += np.bincount(rows, cosine * weight_of[place, watched], n_items)
        nearest = np.zeros(n_items, np.float32)
        np.maximum.at(nearest, rows, cosine)
        columns["cosine_nearest"] = nearest
        if "ease" in self.arrays:
            by_kind = history.weights @ self.arrays["ease"][np.ix_(history.items, items)]  # [n_kinds, n_items]
            columns |= {f"ease_{kind}": by_kind[place] for place, kind in enumerate(kinds)}
        return columns

    def _times(self, history: _History, items: Numbers) -> Columns:
        """Watches of a candidate within some days of the list's moment, as count and as lift; ages in days."""
        since_start = history.moment_s - int(self.arrays["start_s"])
        events, all_times = self.arrays["event"], self.arrays["time"]
        keys = items.astype(np.int64) * _ITEM_SHIFT
        share = (self.arrays["count"][items] + 1) / (len(all_times) + len(self.arrays["count"]))
        columns: Columns = {}
        days = np.array(WINDOWS_DAYS)[:, None] * DAY_S
        low, high = np.maximum(since_start - days, 0), since_start + days  # [n_windows, 1]
        n_near = np.searchsorted(events, keys + high, "right") - np.searchsorted(events, keys + low)
        n_all = np.searchsorted(all_times, high, "right") - np.searchsorted(all_times, low)
        lift = np.log((n_near + 1) / (n_all + len(self.arrays["count"]))) - np.log(share)
        for place, length in enumerate(WINDOWS_DAYS):
            columns[f"near_{length}d"], columns[f"lift_{length}d"] = np.log1p(n_near[place]), lift[place]
        age_days = (since_start - self.arrays["first"][items]) / DAY_S
        columns["item_age"] = np.sign(age_days) * np.log1p(np.abs(age_days))
        columns["idle_days"] = np.full(len(items), np.log1p((history.moment_s - history.last_s) / DAY_S))
        return columns

    def _category_affinities(self, history: _History, items: Numbers, features: FeatureTables) -> Columns:
        """How much more of a candidate's categories (genres, words) the history holds than the catalogue does."""
        columns: Columns = {}
        table = {name: values[:, None] for name, values in features.items.categorical.items()}
        for name, values in {**table, **features.items.multi_valued}.items():
            n_categories = features.items.sizes[name]
            watched, asked = values[history.items], values[items]  # [n, n_values]
            background = self._category_shares(name, values, n_categories)
            n_asked = np.maximum((asked > 0).sum(axis=1), 1)
            for kind, weights in zip(_KINDS, history.weights, strict=False):
                spread = np.repeat(weights, values.shape[1])
                profile = np.bincount(watched.ravel(), spread, minlength=n_categories)
                profile[0] = 0
                lift = profile / max(profile.sum(), 1e-9) - background if len(weights) else np.zeros(n_categories)
                lift[0] = 0
                columns[f"{name}_{kind}"] = lift[asked].sum(axis=1) / n_asked
        return columns

    def _category_shares(self, name: str, values: Numbers, n_categories: int) -> npt.NDArray[np.float64]:
        """[n_categories] share of each category among all watches."""
        if name not in self._shares:
            counts = np.bincount(values.ravel(), np.repeat(self.arrays["count"], values.shape[1]), n_categories)
            counts[0] = 0
            self._shares[name] = counts / max(counts.sum(), 1)
        return self._shares[name]

    @cached_property
    def _shares(self) -> dict[str, npt.NDArray[np.float64]]:
        return {}

    @cached_property
    def _log_count(self) -> npt.NDArray[np.float64]:
        log_count: npt.NDArray[np.float64] = np.log1p(self.arrays["count"])
        return log_count


def _source_columns(sources: tuple[str, ...], score: npt.NDArray[np.float32], rank: npt.NDArray[np.int32]) -> Columns:
    """What each source says of the rows of a list; of a row that it did not bring, that it comes behind all others.

    Args:
        sources: names of the columns.
        score: [n_items, n_sources], NaN where a source did not bring the item.
        rank: [n_items, n_sources], 0 where it did not.
    """
    columns: Columns = {}
    for name, own_score, own_rank in zip(sources, score.T, rank.T, strict=True):
        is_brought = own_rank > 0
        lowest = own_score[is_brought].min() if is_brought.any() else 0.0
        columns[f"score_{name}"] = np.where(is_brought, own_score, lowest)
        columns[f"log_rank_in_{name}"] = np.log1p(np.where(is_brought, own_rank, own_rank.max() + 1))
    return columns


def _mean(values: npt.NDArray[np.floating]) -> float:
    return float(values.mean()) if len(values) else 0.0


def _list_context(columns: Columns) -> Columns:
    """Where a row stands within its list, for the columns that matter most: standard score and log rank."""
    names = [
        name
        for name in ("score", "cosine_even", "cosine_recent", "ease_even", "ease_recent", "popularity", "near_3d")
        if name in columns
    ]
    table = np.stack([columns[name] for name in names])  # [n_names, n_items]
    centred = table - table.mean(axis=1, keepdims=True)
    standard = centred / np.maximum(table.std(axis=1, keepdims=True), 1e-6)
    ranks = np.empty(table.shape)
    np.put_along_axis(ranks, np.argsort(-table, axis=1, kind="stable"), np.arange(table.shape[1])[None], axis=1)
    context = {f"standard_{name}": standard[place] for place, name in enumerate(names)}
    return context | {f"log_rank_{name}": np.log1p(ranks[place]) for place, name in enumerate(names)}


def _time_arrays(features: FeatureTables) -> Arrays:
    """Events as sorted integers, all times, and when each item was first watched; seconds since the first event."""
    history = features.history
    assert history.timestamp_s is not None
    start_s = history.timestamp_s.min()
    since_start = history.timestamp_s - start_s
    first = np.full(len(history.items) + 1, features.now_s - start_s)
    np.minimum.at(first, history.item_num, since_start)
    return {
        "start_s": np.array(start_s),
        "event": np.sort(history.item_num.astype(np.int64) * _ITEM_SHIFT + since_start),
        "time": np.sort(since_start),
        "first": first,
    }


def _item_ratings(features: FeatureTables) -> npt.NDArray[np.float32]:
    """[n_items + 1] mean rating above each user's own mean, shrunk by five ratings."""
    history = features.history
    assert history.rating is not None
    rated = np.isfinite(history.rating)
    user, item, rating = history.user_num[rated], history.item_num[rated], history.rating[rated]
    n_by_user = np.maximum(np.bincount(user, minlength=len(history.users) + 1), 1)
    mean = np.bincount(user, rating, minlength=len(n_by_user)) / n_by_user
    n_by_item = np.bincount(item, minlength=len(history.items) + 1)
    above = np.bincount(item, rating - mean[user], minlength=len(n_by_item)) / (n_by_item + 5)
    return above.astype(np.float32)


def _segment_lifts(features: FeatureTables, categories: Numbers, smoothing: float) -> npt.NDArray[np.float32]:
    """[n_categories, n_items + 1] log of how much more a user segment watches an item than everybody does.

    Row 0, users of unknown category, is 0.
    """
    matrix, counts = features.history.matrix, features.history.item_counts
    n_categories = int(categories.max()) + 1
    share = (counts + 1) / (counts.sum() + len(counts))
    lifts = np.zeros((n_categories, len(counts)), np.float32)
    for category in range(1, n_categories):
        watched = np.asarray(matrix[categories == category].sum(axis=0)).ravel()
        lifts[category] = np.log((watched + smoothing * share) / ((watched.sum() + smoothing) * share))
    return lifts
