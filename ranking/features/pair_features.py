"""PairFeatures: everything the ranker reads about a user and a candidate, computed with NumPy alone.

The same code runs in training and in answering, so the two cannot drift apart. Columns come in groups; a group whose
data is missing (no times, no ratings, no features) is left out when fitted, and `names` says what there is.
"""

from functools import cached_property
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from belfry.dataset.candidates import Candidates
from belfry.dataset.features import FeatureTables
from belfry.dataset.vocabulary import ItemNums, Numbers
from belfry.ranking.base import Matrix
from belfry.ranking.features.affinities import affinity_columns, fit_affinities, has_ratings
from belfry.ranking.features.times import fit_times, time_columns
from belfry.ranking.features.user_history import RECENCY, UNIFORM, Arrays, Columns, UserHistory, mean
from belfry.ranking.listwise.config import PairFeaturesConfig

_KINDS = (UNIFORM, RECENCY)  # of the weightings of a history, those that categories are summed by
# Columns that matter by where they put a row within its list, beside those of singular vectors.
_OF_LISTS = frozenset(
    [
        *("score", "popularity", "near_3d"),
        *("cosine_uniform", "cosine_recency", "ease_uniform", "ease_recency", "ease_liked", "ease_disliked"),
        *("cooccurrence_uniform", "cooccurrence_recency"),
    ]
)


class PairFeatures:
    """Statistics of one history, and the matrix of features they give for any candidates."""

    def __init__(self, config: PairFeaturesConfig, arrays: Arrays) -> None:
        """Made by `fit`, or of the `arrays` that an earlier one gave."""
        self.config = config
        self.arrays = arrays

    @classmethod
    def fit(cls, features: FeatureTables, config: PairFeaturesConfig) -> "PairFeatures":
        """Item statistics of `features.history`; nothing later is looked at."""
        arrays: Arrays = {"count": features.history.item_counts}
        arrays |= fit_affinities(features, config)
        arrays |= fit_times(features, config)
        if has_ratings(features):
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

    def _columns(self, user: int, items: ItemNums, retrieval: Columns, features: FeatureTables) -> Columns:
        """All columns of one list, each [n_items]; `retrieval` are those that retrieval knows."""
        history = UserHistory.of(user, features, self.config, reads_ratings="item_rating" in self.arrays)
        columns = retrieval | affinity_columns(self.arrays, history, items)
        columns["popularity"] = self._log_count[items]
        columns["history_length"] = np.full(len(items), np.log1p(len(history.items)))
        columns["history_popularity"] = np.full(len(items), mean(self._log_count[history.items]))
        columns |= time_columns(self.arrays, history, items)
        if "item_rating" in self.arrays:
            columns["item_rating"] = self.arrays["item_rating"][items]
            columns["user_rating"] = np.full(len(items), history.mean_rating)
        for name, categories in features.users.categorical.items():
            if (lifts := self.arrays.get(f"segment/{name}")) is not None:
                columns[f"segment.{name}"] = lifts[categories[user], items]
        for name, values in features.users.numeric.items():
            columns[f"user.{name}"] = np.full(len(items), values[user])
        for name, values in features.items.numeric.items():
            columns[f"item.{name}"] = values[items]
            columns[f"distance.{name}"] = np.abs(values[items] - mean(values[history.items]))
        columns |= self._category_affinities(history, items, features)
        return columns | _list_context(columns)

    def _category_affinities(self, history: UserHistory, items: ItemNums, features: FeatureTables) -> Columns:
        """How much more of a candidate's categories (genres, words) the history holds than the catalogue does."""
        columns: Columns = {}
        table = {name: values[:, None] for name, values in features.items.categorical.items()}
        for name, values in {**table, **features.items.multi_valued}.items():
            n_categories = features.items.sizes[name]
            watched, asked = values[history.items], values[items]  # [n, n_values]
            background = self._category_shares(name, values, n_categories)
            n_asked = np.maximum((asked > 0).sum(axis=1), 1)
            for kind, weights in zip(_KINDS, history.weights[: len(_KINDS)], strict=True):
                spread = np.repeat(weights, values.shape[1])
                profile = np.bincount(watched.ravel(), spread, minlength=n_categories)
                profile[0] = 0
                lift = profile / max(profile.sum(), 1e-9) - background if len(weights) else np.zeros(n_categories)
                lift[0] = 0
                columns[f"category.{name}.{kind}"] = lift[asked].sum(axis=1) / n_asked
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


def _list_context(columns: Columns) -> Columns:
    """Where a row stands within its list, for the columns that matter most: standard score and log rank."""
    names = [name for name in columns if name in _OF_LISTS or name.startswith("svd_")]
    table = np.stack([columns[name] for name in names])  # [n_names, n_items]
    centred = table - table.mean(axis=1, keepdims=True)
    standard = centred / np.maximum(table.std(axis=1, keepdims=True), 1e-6)
    ranks = np.empty(table.shape)
    np.put_along_axis(ranks, np.argsort(-table, axis=1, kind="stable"), np.arange(table.shape[1])[None], axis=1)
    context = {f"standard_{name}": standard[place] for place, name in enumerate(names)}
    return context | {f"log_rank_{name}": np.log1p(ranks[place]) for place, name in enumerate(names)}


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
