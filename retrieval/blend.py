"""CombinedRetriever: the candidates of several sources as one list, ordered by a weighted sum of their scores."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from belfry.dataset.arrays import Mask, differs_from_row_before
from belfry.dataset.candidates import Candidates, order_by
from belfry.dataset.features import FeatureTables
from belfry.dataset.history.seen_items import SeenItems, pair_keys
from belfry.dataset.vocabulary import ItemNums, UserNums
from belfry.retrieval.base import Retriever

Values = npt.NDArray[np.float64]

_EPSILON = 1e-9  # below it a list's scores are all alike
_LEAST_WEIGHT = 1e-4  # so that what only a source of weight 0 proposed stands in the order that it gave


@dataclass(frozen=True)
class Source:
    """One retriever of several."""

    name: str  # unique among them
    retriever: Retriever
    quota: int  # items that it may propose to a list
    weight: float = 1.0  # of its normalised scores, at least 0


def combine(sources: Sequence[Source], is_new: Mask | None = None) -> Retriever:
    """All sources as one retriever; a single one as it is, without `source_score` and `source_rank`."""
    return sources[0].retriever if len(sources) == 1 else CombinedRetriever(sources, is_new)


class CombinedRetriever:
    """The union of what the sources propose, ordered by

        score(item) = sum over sources of weight * normalised score(item)

    where a source's normalised score is its score minus the mean, divided by the standard deviation, of its own list
    for the user; and the lowest of that list for an item that the source did not propose. Candidates keep every
    source's score and rank in `source_score` and `source_rank`; `origin` names the source that ranked a row best.
    Scores of a source of weight 0 decide between rows that are equal without them.

    A list longer than the union goes on with further items of the first source, so lists of any length begin alike.
    """

    def __init__(self, sources: Sequence[Source], is_new: Mask | None = None) -> None:
        """The first of `sources` fills up longer lists, so its quota should be the usual length of a list.

        Args:
            is_new: [n_items + 1] without a watch, so that not every source can know them; None: there are none.
        """
        self.sources = tuple(sources)
        self._weights = np.maximum([source.weight for source in self.sources], _LEAST_WEIGHT)
        self.is_new = is_new if is_new is not None and is_new[1:].any() else None

    def retrieve(
        self, users: UserNums, features: FeatureTables, *, top_k: int, exclude: SeenItems, only: ItemNums | None = None
    ) -> Candidates:
        """At most `top_k` items; with `only`, quotas do not apply, and every source scores all of them that it can."""
        quotas = self._quotas(only)
        proposed = self.propose(users, features, top_k=top_k, exclude=exclude, only=only)
        score = fuse(proposed, self.values(proposed, quotas), self._weights, quotas[0])
        return order_by(proposed, score, top_k=top_k)

    def values(self, proposed: Candidates, quotas: Sequence[int]) -> Values:
        """[n_rows, n_sources] `normalised_scores`; of new items that the first source brought, by its score alone."""
        values = normalised_scores(proposed, quotas)
        if self.is_new is not None and (is_new := self.is_new[proposed.item_num]).any():
            listed = [_listed(proposed, column, quota) for column, quota in enumerate(quotas)]
            rows = is_new & listed[0]
            values[rows] = _expected(values, proposed, ~is_new & np.any(listed, axis=0))[rows]
        return values

    def propose(
        self, users: UserNums, features: FeatureTables, *, top_k: int, exclude: SeenItems, only: ItemNums | None = None
    ) -> Candidates:
        """The union of all sources' lists, that of the first at least `top_k` long; rows by item, score and rank 0."""
        lists, quotas = [], self._quotas(only)
        for place, (source, quota) in enumerate(zip(self.sources, quotas, strict=True)):
            depth = quota if place else max(quota, top_k)
            lists.append(source.retriever.retrieve(users, features, top_k=depth, exclude=exclude, only=only))
        return self._union(users, lists, quotas[0])

    def _union(self, users: UserNums, lists: Sequence[Candidates], first_quota: int) -> Candidates:
        """All rows of `lists`, of the same `users`, those of one item as one row."""
        row_user = np.concatenate([found.row_user for found in lists])
        item_num = np.concatenate([found.item_num for found in lists])
        cells = pair_keys(row_user, item_num)
        order = np.argsort(cells)
        is_first = differs_from_row_before(cells[order])
        row_of = np.empty_like(order)
        row_of[order] = np.cumsum(is_first) - 1
        firsts = order[is_first]
        score = np.full((len(firsts), len(lists)), np.nan, np.float32)
        rank = np.zeros((len(firsts), len(lists)), np.int32)
        stops = np.cumsum([len(found) for found in lists])
        for column, (found, stop) in enumerate(zip(lists, stops, strict=True)):
            rows = row_of[stop - len(found) : stop]
            score[rows, column], rank[rows, column] = found.score, found.rank
        is_deeper = rank[:, 0] > first_quota
        if is_deeper.any():  # as in a list that is no longer than what is proposed
            is_deeper &= ~_first_alone(rank)
            score[is_deeper, 0], rank[is_deeper, 0] = np.nan, 0
        best, best_rank = np.zeros(len(firsts), np.int8), np.full(len(firsts), np.iinfo(np.int32).max)
        for column in range(len(lists)):
            is_better = (rank[:, column] > 0) & (rank[:, column] < best_rank)
            best[is_better], best_rank[is_better] = column, rank[is_better, column]
        return Candidates(
            users=users,
            row_user=row_user[firsts],
            item_num=item_num[firsts],
            score=np.zeros(len(firsts), np.float32),
            rank=np.zeros(len(firsts), np.int32),
            origin=best,
            origins=tuple(source.name for source in self.sources),
            source_score=score,
            source_rank=rank,
        )

    def _quotas(self, only: ItemNums | None) -> list[int]:
        """Of each source; with `only`, the count of those items."""
        return [source.quota if only is None else max(1, len(only)) for source in self.sources]


def normalised_scores(proposed: Candidates, quotas: Sequence[int]) -> Values:
    """[n_rows, n_sources] each source's scores, standardised over the first `quota` rows of its list for the user.

    Rows that a source did not bring within its quota get the lowest value of those that it did.
    """
    assert proposed.source_score is not None
    row_user, n_users = proposed.row_user, len(proposed.users)
    values = np.zeros(proposed.source_score.shape)
    for column, quota in enumerate(quotas):
        listed = _listed(proposed, column, quota)
        row, score = row_user[listed], proposed.source_score[listed, column].astype(np.float64)
        n_listed = np.maximum(np.bincount(row, minlength=n_users), 1)
        mean = np.bincount(row, score, n_users) / n_listed
        spread = np.sqrt(np.bincount(row, (score - mean[row]) ** 2, n_users) / n_listed)
        standard = (score - mean[row]) / np.maximum(spread, _EPSILON)[row]
        lowest = np.zeros(n_users)
        np.minimum.at(lowest, row, standard)  # never above 0, the mean
        values[:, column] = lowest[row_user]
        values[listed, column] = standard
    return values


def _expected(values: Values, proposed: Candidates, is_known: Mask) -> Values:
    """[n_rows, n_sources] `values` as the first source's let expect: a regression over the known items of each list."""
    row_user, n_users = proposed.row_user, len(proposed.users)
    n_known = np.maximum(np.bincount(row_user[is_known], minlength=n_users), 1)

    def mean(value: Values) -> Values:
        return np.asarray(np.bincount(row_user[is_known], value[is_known], n_users) / n_known)

    first = values[:, 0]
    centre = mean(first)
    variance = np.maximum(mean(first**2) - centre**2, _EPSILON)
    expected = np.empty_like(values)
    for column, value in enumerate(values.T):
        slope = (mean(first * value) - centre * mean(value)) / variance
        expected[:, column] = (mean(value) - slope * centre)[row_user] + slope[row_user] * first
    return expected


def fuse(proposed: Candidates, values: Values, weights: Values, first_quota: int) -> npt.NDArray[np.float32]:
    """[n_rows] the weighted sum of `values`, the normalised scores; and below all, further items of the first source.

    Those are the rows that the first source brought behind its quota, and no other source at all: they go by rank.
    """
    assert proposed.source_rank is not None
    rank, score = proposed.source_rank, values @ weights
    is_tail = rank[:, 0] > first_quota
    if is_tail.any():
        is_tail &= _first_alone(rank)
        score -= np.where(is_tail, rank[:, 0], 0)
    return score.astype(np.float32)


def _first_alone(source_rank: npt.NDArray[np.int32]) -> Mask:
    """[n_rows] whether no source but the first brought the row."""
    alone = np.ones(len(source_rank), np.bool_)
    for rank in source_rank.T[1:]:  # a reduction along so short an axis is slow
        alone &= rank == 0
    return alone


def _listed(proposed: Candidates, column: int, quota: int) -> Mask:
    """[n_rows] whether a source proposed the row within its quota."""
    assert proposed.source_rank is not None
    rank = proposed.source_rank[:, column]
    return np.asarray((rank > 0) & (rank <= quota))
