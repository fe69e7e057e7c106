"""CombinedRetriever: several sources propose to one list, and their scores together put it in order."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from belfry.dataset.candidates import Candidates, order_by
from belfry.dataset.features import FeatureTables
from belfry.dataset.interactions import Mask, SeenItems
from belfry.dataset.vocabulary import ItemNums, UserNums
from belfry.retrieval.base import Retriever

Values = npt.NDArray[np.float64]

_EPSILON = 1e-9  # below it a list's scores are all alike


@dataclass(frozen=True)
class Source:
    """A retriever among others."""

    name: str  # unlike all others'
    retriever: Retriever
    quota: int  # items that it may propose to a list
    weight: float = 1.0  # of its normalised scores, at least 0


def combine(sources: Sequence[Source]) -> Retriever:
    """All sources as one; a single one is left as it is, and its candidates carry no columns of their sources."""
    return sources[0].retriever if len(sources) == 1 else CombinedRetriever(sources)


class CombinedRetriever:
    """The union of what the sources propose, by the weighted sum of their normalised scores.

    A source's normalised score of an item is its score, standardised over its own list for that user; the list's
    lowest where the source did not propose the item. `source_score` and `source_rank` of the candidates keep what each
    source gave, `origin` names the one that ranked a row best. Where a list may be longer than what is proposed,
    further items of the first source follow. Each list begins alike, however long it may be.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        """The first of `sources` fills up longer lists; so its quota should be that of the lists usually wanted."""
        self.sources = tuple(sources)

    def retrieve(
        self, users: UserNums, features: FeatureTables, *, top_k: int, exclude: SeenItems, only: ItemNums | None = None
    ) -> Candidates:
        """At most `top_k` items; with `only`, every source speaks of all that it can."""
        quotas = self._quotas(only)
        proposed = self.propose(users, features, top_k=top_k, exclude=exclude, only=only)
        weights = np.array([source.weight for source in self.sources])
        return order_by(proposed, fuse(proposed, normalised_scores(proposed, quotas), weights, quotas[0]), top_k=top_k)

    def propose(
        self, users: UserNums, features: FeatureTables, *, top_k: int, exclude: SeenItems, only: ItemNums | None = None
    ) -> Candidates:
        """The union of all lists, that of the first source at least `top_k` long; by item, not yet in order."""
        lists, quotas = [], self._quotas(only)
        for place, (source, quota) in enumerate(zip(self.sources, quotas, strict=True)):
            depth = quota if place else max(quota, top_k)
            lists.append(source.retriever.retrieve(users, features, top_k=depth, exclude=exclude, only=only))
        stride = len(features.history.items) + 1
        cells = [found.row_user * stride + found.item_num for found in lists]
        union = np.unique(np.concatenate(cells))
        score = np.full((len(union), len(lists)), np.nan, np.float32)
        rank = np.zeros((len(union), len(lists)), np.int32)
        for column, (found, cell) in enumerate(zip(lists, cells, strict=True)):
            rows = np.searchsorted(union, cell)
            score[rows, column], rank[rows, column] = found.score, found.rank
        is_deeper = (rank[:, 0] > quotas[0]) & (rank[:, 1:] > 0).any(axis=1)
        score[is_deeper, 0], rank[is_deeper, 0] = np.nan, 0  # as in a list that is no longer than what is proposed
        best = np.where(rank > 0, rank, np.iinfo(np.int32).max).argmin(axis=1)
        return Candidates(
            users=users,
            row_user=union // stride,
            item_num=(union % stride).astype(np.int32),
            score=np.zeros(len(union), np.float32),
            rank=np.zeros(len(union), np.int32),
            origin=best.astype(np.int8),
            origins=tuple(source.name for source in self.sources),
            source_score=score,
            source_rank=rank,
        )

    def _quotas(self, only: ItemNums | None) -> list[int]:
        """Of each source; where the items are named, it may propose every one of them."""
        return [source.quota if only is None else max(1, len(only)) for source in self.sources]


def normalised_scores(proposed: Candidates, quotas: Sequence[int]) -> Values:
    """[n_rows, n_sources] each source's scores, centred and scaled by the first `quota` rows of its list for the user.

    A row that a source did not bring gets the lowest value of that part of the list, and so do those behind it.
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


def fuse(proposed: Candidates, values: Values, weights: Values, first_quota: int) -> npt.NDArray[np.float32]:
    """[n_rows] the weighted sum of normalised scores `values`; below them all, the tail of the first source's list."""
    assert proposed.source_rank is not None
    rank = proposed.source_rank
    is_tail = (rank[:, 0] > first_quota) & (rank[:, 1:] == 0).all(axis=1)
    return np.asarray(values @ weights - np.where(is_tail, rank[:, 0], 0), np.float32)


def _listed(proposed: Candidates, column: int, quota: int) -> Mask:
    """[n_rows] whether a source proposed the row within its quota."""
    assert proposed.source_rank is not None
    rank = proposed.source_rank[:, column]
    return np.asarray((rank > 0) & (rank <= quota))
