"""Examples: candidates that retrieval brought, labelled by what users did later. Negatives come from the candidates."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from belfry.dataset.arrays import Mask, Positions
from belfry.dataset.history.seen_items import SeenItems
from belfry.dataset.interactions import Interactions
from belfry.dataset.vocabulary import UserNums
from belfry.ranking.lists import Lists, concatenate_lists

Label: TypeAlias = Literal["watched", "liked", "rating"]


@dataclass(frozen=True)
class Examples:
    """Described lists with labels; only lists that hold a row above 0 and a row of 0 are kept.

    A later event that retrieval missed is in no list: the ranker cannot learn from it, but `n_relevant` counts it.
    """

    lists: Lists
    labels: npt.NDArray[np.float32]  # [n_rows] 0 = not watched later; else 1, or the rating's share of the range
    n_relevant: Positions  # [n_lists] later events of the user with a label, among the candidates or not

    def __len__(self) -> int:
        """Count of lists."""
        return len(self.lists)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the features."""
        return self.lists.names

    def select(self, lists: Positions) -> "Examples":
        """The lists at these positions, in this order."""
        return Examples(self.lists.select(lists), self.labels[self.lists.rows_of(lists)], self.n_relevant[lists])

    def mostly_shown(self, passed_over: SeenItems, share: float, generator: np.random.Generator) -> "Examples":
        """Lists that hold something passed over with a `share` of their other negatives; the others as they are.

        An item that was not shown could not be watched on it, whatever it is worth: as a negative it tells who chose
        what to show.
        """
        lists, row_list = self.lists, self.lists.row_list
        is_shown = passed_over.contains(lists.users[row_list], lists.items) & (self.labels == 0)
        has_shown = np.bincount(row_list, is_shown, len(self)) > 0
        is_drawn = generator.random(len(self.labels)) < share
        kept = (self.labels > 0) | is_shown | is_drawn | ~has_shown[row_list]
        return Examples(lists.with_rows(kept), self.labels[kept], self.n_relevant)

    def blocks(self, generator: np.random.Generator) -> Iterator["Examples"]:
        """Everything once, in parts that fit into memory: here, one."""
        yield self

    def ndcg(self, score: npt.NDArray[np.floating], n: int = 10) -> npt.NDArray[np.float64]:
        """[n_lists] NDCG@n of sorting every list by `score` [n_rows], any label above 0 a hit; ties by row order."""
        starts, row_list = self.lists.starts, self.lists.row_list
        order = np.lexsort((-score, row_list))
        place = np.arange(len(score)) - starts[row_list]
        gain = np.where(place < n, (self.labels[order] > 0) / np.log2(place + 2), 0)
        best = np.cumsum(1 / np.log2(np.arange(n) + 2))
        ideal = best[np.minimum(self.n_relevant, n) - 1]
        values: npt.NDArray[np.float64] = np.bincount(row_list, gain, minlength=len(self)) / ideal
        return values

    def sample(self, n_rows: int, generator: np.random.Generator) -> "SampledRows":
        """Rows of each list to learn from in one epoch: positives, at most half of them, and random negatives.

        A list without enough negatives gives more positives, and one of fewer than `n_rows` rows all that it has.
        """
        row_list, is_negative, n_lists = self.lists.row_list, self.labels == 0, len(self)
        order = np.argsort(2 * row_list + is_negative + generator.random(len(row_list)))  # by list, positives first
        n_negatives = np.bincount(row_list, is_negative, n_lists).astype(np.int64)
        n_positives = self.lists.lengths - n_negatives
        positives = np.minimum(n_positives, np.maximum(n_rows // 2, n_rows - n_negatives))
        place = np.arange(len(order)) - self.lists.starts[row_list]
        is_behind = place >= n_positives[row_list]
        place -= np.where(is_behind, (n_positives - positives)[row_list], 0)
        kept = (place < n_rows) & (is_behind | (place < positives[row_list]))
        rows, present = np.zeros((n_lists, n_rows), np.int64), np.zeros((n_lists, n_rows), np.bool_)
        rows[row_list[kept], place[kept]], present[row_list[kept], place[kept]] = order[kept], True
        drawn = np.maximum(np.minimum(n_negatives, n_rows - positives), 1)
        share = np.log(np.maximum(n_negatives, 1) / drawn).astype(np.float32)
        labels = self.labels[rows] * present
        return SampledRows(rows, present, labels, np.where(labels > 0, np.float32(0), share[:, np.newaxis]))


@dataclass(frozen=True)
class SampledRows:
    """Some rows of each of n lists; the arrays are [n_lists, n_rows]."""

    rows: Positions  # 0 where the list has fewer
    present: Mask  # which are rows
    labels: npt.NDArray[np.float32]  # 0 also where there is no row
    log_weight: npt.NDArray[np.float32]  # log of how many negatives of the list each negative stands for


def make_examples(lists: Lists, later: Interactions, label: Label = "watched", *, liked_from: float = 0) -> Examples:
    """Label candidates by what their users did later.

    Args:
        lists: from a history that ends before `later`, or leaves it out.
        label: "watched": 1 for every later event. "liked": 1 where it is rated `liked_from` or more. "rating": where
            the rating stands between 0 and 1 from just under the lowest later rating to the highest. Events without a
            rating count as liked, and half.
    """
    value = _values(later, label, liked_from)
    later = later.select(value > 0)
    seen = later.seen_items
    users = np.repeat(lists.users, lists.lengths)
    places = seen.positions(users, lists.items)
    best = np.zeros(len(seen.item_num) + 1, np.float32)  # the last is that of no event
    np.maximum.at(best, seen.positions(later.user_num, later.item_num), value[value > 0])
    labels = best[places]
    labels[places < 0] = 0
    examples = Examples(lists, labels, seen.count(lists.users))
    n_positives = np.bincount(lists.row_list, labels > 0, minlength=len(lists))
    return examples.select(np.flatnonzero((n_positives > 0) & (n_positives < lists.lengths)))


def _values(later: Interactions, label: Label, liked_from: float) -> npt.NDArray[np.float32]:
    """[n_events] what each later event is worth, 0 for nothing."""
    rating = later.rating
    if label == "watched" or rating is None or not np.isfinite(rating).any():
        return np.ones(len(later), np.float32)
    rated = np.isfinite(rating)
    if label == "liked":
        return (~rated | (rating >= liked_from)).astype(np.float32)
    low, high = float(rating[rated].min()), float(rating[rated].max())
    share = (rating - low + 1) / (high - low + 1)
    values: npt.NDArray[np.float32] = np.where(rated, share, 0.5).astype(np.float32)
    return values


def concatenate(parts: list[Examples]) -> Examples:
    """The lists of all parts; the features must be the same."""
    return Examples(
        concatenate_lists([part.lists for part in parts]),
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.n_relevant for part in parts]),
    )


def validation_users(users: UserNums, *, share: float, seed: int) -> UserNums:
    """A `share` of the distinct users, at least one: with all their lists they go to validation."""
    distinct = np.unique(users)
    return np.sort(np.random.default_rng(seed).permutation(distinct)[: max(1, round(len(distinct) * share))])
