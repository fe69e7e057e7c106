"""New items: without a watch, but with features. How high towers place them is learned from items made new in folds."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from belfry.dataset.arrays import Mask, blocks
from belfry.dataset.features import FeatureColumns, FeatureTables
from belfry.dataset.folds import Fold
from belfry.dataset.interactions import Interactions
from belfry.dataset.vocabulary import ItemNums, UserNums
from belfry.retrieval.base import Towers

MAX_SHARE = 0.1  # of the watched items: as many of the unwatched ones count as new, the rest as left alone by everybody
_OUT = -10.0  # log-odds: in no list that has other items to hold
_BOUND = 20.0  # log-odds: far beyond any offset
_STEPS = 40  # of bisection, to 4e-11

Offsets = npt.NDArray[np.float32]  # [n_items + 1] of scores


def added_to_new(offset: float, multiple: float) -> float:
    """What scores of new items gain: the offset that folds show, and the log of how many times those odds they get."""
    return offset + float(np.log(multiple)) if multiple else _OUT


def has_no_watch(history: Interactions) -> Mask:
    """[n_items + 1] items without an event in a history, the unknown item too."""
    unwatched = np.ones(len(history.items) + 1, np.bool_)
    for rows in blocks(len(history), 1):  # as positions, all events at once would be copied
        unwatched[history.item_num[rows]] = False
    return unwatched


def are_new(history: Interactions, items: FeatureColumns) -> Mask:
    """[n_items + 1] items without an event in a history, of which something is known all the same."""
    new = has_no_watch(history)
    return new & _have_features(items, len(new)) if new[1:].any() else np.zeros_like(new)


def _have_features(items: FeatureColumns, n: int) -> Mask:
    """[n] which items have a content column, row 0 has none."""
    content, found = items.content, np.zeros(n, np.bool_)
    for columns in (content.categorical, content.numeric, content.multi_valued, content.vectors):
        for values in columns.values():
            found |= values.reshape(n, -1).any(axis=1)
    found[0] = False
    return found


@dataclass(frozen=True)
class NewItems:
    """The unwatched items of the data, and those that folds make new to learn from.

    Of every fold as many items lose all events of its history as the data have new ones, less those that lose theirs
    because events are held back. What is held back of them is what new items deserve. The history that is left knows
    nothing of them, and so do statistics, popularity and every source.
    """

    unwatched: Mask  # [n_items + 1] with features and without a watch in all of the data
    set_aside: Mask  # [n_items + 1] those of them that count as new: what they deserve is not known
    has_features: Mask  # [n_items + 1]
    multiple: float  # of the odds that folds show, which they get
    seed: int

    @classmethod
    def of(cls, events: Interactions, items: FeatureColumns, *, multiple: float, seed: int) -> Self | None:
        """None where every item with features has a watch."""
        has_none = has_no_watch(events)
        has_features = _have_features(items, len(has_none))
        unwatched = has_none & has_features
        if not unwatched.any() or not len(events):
            return None
        n_most = int(MAX_SHARE * np.count_nonzero(~has_none))
        set_aside = np.zeros_like(unwatched)
        set_aside[np.random.default_rng(seed).permutation(np.flatnonzero(unwatched))[:n_most]] = True
        return cls(unwatched, set_aside, has_features, multiple, seed)

    def hide(self, folds: Iterable[Fold]) -> Iterator[Fold]:
        """The same folds, some items of each made new; users are not to get again what they have watched of them."""
        n_hidden = None
        for number, fold in enumerate(folds):
            counts = np.bincount(fold.history.item_num, minlength=len(self.unwatched))
            n_hidden = self._n_to_hide(counts) if n_hidden is None else n_hidden
            hidden = self._drawn(counts, n_hidden, np.random.default_rng([self.seed, number]))
            if len(hidden):
                fold = replace(fold, history=fold.history.without_items(hidden), excluded=fold.exclude)
            yield fold

    def _n_to_hide(self, counts: npt.NDArray[np.int64]) -> int:
        """How many more new items the data have than a fold; 0 where chance may have made them, up to twice as many."""
        n_new = np.count_nonzero(self.set_aside)
        n_vanished = np.count_nonzero((counts == 0) & self.has_features & ~self.unwatched)
        return int(n_new - n_vanished) if self.multiple and n_new > 2 * n_vanished else 0

    def _drawn(self, counts: npt.NDArray[np.int64], n: int, generator: np.random.Generator) -> ItemNums:
        """Watched items, drawn evenly along the order of their popularity, so that few are as popular as all."""
        known = np.flatnonzero((counts > 0) & self.has_features)
        known = known[np.lexsort((generator.random(len(known)), counts[known]))]
        n_hidden = min(n, int(MAX_SHARE * len(known)))
        places = (np.arange(n_hidden) + generator.random()) * len(known) / max(n_hidden, 1)
        return known[places.astype(np.int64)].astype(np.int32)

    def offsets(self, history: Interactions, offset: float, *, is_whole: bool) -> Offsets:
        """What to add to the scores of new items; in a part of the data, those set aside stay out of lists.

        Nobody can have watched these later, so a ranker would learn from them that new items are not watched. Parts
        give new items what they deserve and no more, so that no choice of sources depends on `multiple`.

        Args:
            offset: that folds show.
        """
        added = np.float32(added_to_new(offset, self.multiple if is_whole else min(self.multiple, 1)))
        offsets = np.where(has_no_watch(history) & self.has_features, added, np.float32(0))
        return offsets if is_whole else np.where(self.set_aside, np.float32(_OUT), offsets)

    def learn_offset(self, towers: Towers, features: FeatureTables, fold: Fold, users: UserNums) -> float:
        """How much to add to the scores of new items so that they turn out to be watched as often as is expected.

        With scores s, a later event of user u is of a new item with the probability

            P_u(d) = sum over new items of exp(s_ui + d) / (the same + sum over the other unseen items of exp(s_ui))

        The offset d is the most probable one, given which later events were of new items, and d ~ N(0, 1) beforehand.

        Args:
            features: of the fold's history.
            users: whose later events count.
        """
        is_new = has_no_watch(fold.history) & self.has_features & ~self.set_aside
        row, later = fold.later.seen_items.rows_of(users)
        counts = ~fold.exclude.contains(users[row], later)
        n_later = np.bincount(row[counts], minlength=len(users))
        n_new = np.count_nonzero(is_new[later[counts]])
        log_odds = self._log_odds(towers, features, users, fold, is_new)
        usable = np.isfinite(log_odds)
        low, high = -_BOUND, _BOUND
        for _ in range(_STEPS):
            middle = (low + high) / 2
            expected = n_later[usable] @ (1 / (1 + np.exp(-log_odds[usable] - middle)))
            low, high = (middle, high) if expected + middle < n_new else (low, middle)
        return (low + high) / 2

    def _log_odds(
        self, towers: Towers, features: FeatureTables, users: UserNums, fold: Fold, is_new: Mask
    ) -> npt.NDArray[np.float64]:
        """[n_users] log of the odds that a later event is of a new item, without an offset."""
        queries = towers.encode_queries(users, features)
        vectors = towers.encode_candidates(fold.history.items.all_numbers, features)
        log_odds = np.empty(len(users))
        for rows in blocks(len(users), len(vectors)):
            scores = (queries[rows] @ vectors.T).astype(np.float64)
            scores[fold.exclude.table(users[rows], len(vectors) - 1)] = -np.inf
            scores[:, 0] = scores[:, self.set_aside] = -np.inf
            scores -= scores.max(axis=1, keepdims=True)
            weights = np.exp(scores)
            with np.errstate(divide="ignore"):
                log_odds[rows] = np.log(weights[:, is_new].sum(axis=1)) - np.log(weights[:, ~is_new].sum(axis=1))
        return log_odds
