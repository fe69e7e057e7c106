"""EvaluationContext: what lists are judged against, the same for every system of a report."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from belfry.dataset.arrays import Mask, Times, differs_from_row_before
from belfry.dataset.errors import InputError
from belfry.dataset.history.repeats import DislikedItems
from belfry.dataset.history.seen_items import SeenItems
from belfry.dataset.interactions import Interactions
from belfry.dataset.vocabulary import UNKNOWN, ItemNums, Numbers, Vocabulary
from belfry.evaluation import beyond
from belfry.evaluation.groups import Categories, Groups
from belfry.evaluation.metrics import PerUser

DIVERSITY_USERS = 20_000  # histories that say which items are alike, and lists whose diversity is measured
Need: TypeAlias = Literal["ratings", "liked_from", "categories"]


@dataclass(frozen=True)
class UserCount:
    """Users who are in no figure, or counted otherwise than one might think, and why."""

    reason: str
    n: int

    def __str__(self) -> str:
        return f"{self.n:,} {'user' if self.n == 1 else 'users'}: {self.reason}"


@dataclass(frozen=True)
class EvaluationContext:
    """The history that lists grew out of, what users did later, and what is known beside."""

    history: Interactions
    test: SeenItems  # the pairs that a list could hit
    rating: PerUser | None  # [n_pairs] of `test`, NaN where not rated
    time: Times | None  # [n_pairs] of `test`, UTC seconds
    seen: SeenItems  # what no list may hold
    titles: pa.Array  # [n_items] null where there is none
    categories: Categories | None = None
    user_columns: dict[str, Groups] = field(default_factory=dict)  # name -> groups of user numbers, [n_users + 1]
    liked_from: float | None = None  # a rating that says that an item was liked; None without ratings

    @cached_property
    def known(self) -> frozenset[Need]:
        """What is there beside two id columns, for metrics that need it."""
        there: dict[Need, object] = {
            "ratings": self.rating,
            "liked_from": self.liked_from,
            "categories": self.categories,
        }
        return frozenset(need for need, found in there.items() if found is not None)

    @cached_property
    def users(self) -> Numbers:
        """[n_judged] rising, who has a test item."""
        return np.flatnonzero(np.diff(self.test.starts)).astype(np.int32)

    @cached_property
    def test_row(self) -> npt.NDArray[np.int64]:
        """[n_pairs] position in `users` of each test pair's user."""
        return np.searchsorted(self.users, self.test.user_num)

    @cached_property
    def item_weight(self) -> PerUser:
        """[n_items + 1] how much a hit counts if each item had had the same chance: popularity ** -1/2, 0 for item 0.

        Source: Steck, Item popularity and recommendation accuracy, RecSys 2011, with beta = 1.
        """
        weight = np.maximum(self.history.item_counts, 1).astype(np.float64) ** -0.5
        weight[0] = 0
        return weight

    @cached_property
    def debiased_gain(self) -> PerUser:
        """[n_pairs] `item_weight` of each test pair."""
        return self.item_weight[self.test.item_num]

    @cached_property
    def rating_gain(self) -> PerUser:
        """[n_pairs] the rating of each test pair, 0 where not rated or below 0; for "ratings"."""
        assert self.rating is not None
        return np.maximum(np.nan_to_num(self.rating), 0)

    @cached_property
    def liked_gain(self) -> PerUser:
        """[n_pairs] 1 where a test pair is rated `liked_from` or higher; for "liked_from"."""
        assert self.rating is not None and self.liked_from is not None
        return np.asarray(self.rating >= self.liked_from, np.float64)  # NaN compares false

    @cached_property
    def history_popularity(self) -> PerUser:
        """[n_judged] mean popularity of what each judged user has watched; NaN without a history."""
        return beyond.history_popularity(self.users, self.history)

    @cached_property
    def mean_history_popularity(self) -> float:
        """Mean of `history_popularity` over judged users with a history; NaN without any."""
        own = self.history_popularity
        return float("nan") if np.isnan(own).all() else float(np.nanmean(own))

    @cached_property
    def similarity_history(self) -> Interactions:
        """The histories that say which items are alike: all, or of `DIVERSITY_USERS` drawn evenly, who are renumbered.

        Drawn, for a bit for each user and item must fit into memory.
        """
        with_history = np.flatnonzero(np.diff(self.history.seen_items.starts)).astype(np.int32)
        if len(with_history) <= DIVERSITY_USERS:
            return self.history
        drawn = with_history[np.linspace(0, len(with_history) - 1, DIVERSITY_USERS).astype(np.int64)]
        row, item = self.history.seen_items.rows_of(drawn)
        users = Vocabulary(pa.array(np.arange(1, len(drawn) + 1)))
        return Interactions(users, self.history.items, (row + 1).astype(np.int32), item)

    def on_items(self, member: Mask) -> "EvaluationContext":
        """The same as if test items outside of `member` [n_items + 1] were none; `users` are those who keep some."""
        kept = member[self.test.item_num]
        return replace(
            self,
            test=self.test.select(kept),
            rating=None if self.rating is None else self.rating[kept],
            time=None if self.time is None else self.time[kept],
        )


def make_context(
    history: Interactions,
    later: Interactions,
    *,
    seen: SeenItems,
    min_history: int = 0,
    titles: pa.Array | None = None,
    categories: Categories | None = None,
    user_columns: dict[str, Groups] | None = None,
    liked_from: float | None = None,
    told: Sequence[UserCount] = (),
) -> tuple[EvaluationContext, list[UserCount]]:
    """The context of a report, and whom or what its test part leaves out.

    Out of `later` go unknown users, unknown items, which no list can hold, and the items in `seen`, which none may.

    Args:
        history: what the systems learned from.
        later: what was done afterwards, over the same vocabularies; of equal pairs the first row counts.
        seen: what no list may hold.
        min_history: rows that a user must have in `history` to be judged.
        liked_from: the rating from which an item counts as liked; without, the mean rating of the history, or, where
            it has none, of the test part.
        told: what the caller has left out before, which comes first.

    Raises:
        InputError: nobody is left to judge.
    """
    later = later.select(later.user_num != UNKNOWN)
    is_unknown = later.item_num == UNKNOWN
    was_seen = seen.contains(later.user_num, later.item_num)
    usable = later.select(~is_unknown & ~was_seen)
    with_usable = np.unique(usable.user_num)
    n_before = np.bincount(history.user_num, minlength=len(history.users) + 1)
    judged = with_usable[n_before[with_usable] >= min_history]

    def users_of(rows: Mask) -> int:
        return len(np.unique(later.user_num[rows]))

    and_not = f" and was {seen.was_not} before" if len(seen.item_num) else ""
    n_unusable = len(np.setdiff1d(later.user_num, with_usable))
    counts = {
        f"no test row of an item that is in the catalogue{and_not}": n_unusable,
        f"fewer than {min_history} earlier events": len(with_usable) - len(judged),
        f"in part: {is_unknown.sum():,} test rows of items outside of the catalogue": users_of(is_unknown),
        f"in part: {was_seen.sum():,} test rows of items that they had {seen.was} before": users_of(was_seen),
        "judged without any history (cold)": int(np.count_nonzero(n_before[judged] == 0)),
    }
    left_out = [*told, *(UserCount(reason, n) for reason, n in counts.items() if n)]
    if not len(judged):
        why = "; ".join(f"{count.reason}: {count.n:,} users" for count in left_out) or "it has no rows of known users"
        raise InputError(f"test: no user can be judged ({why}); {_what_to_do(was_seen, is_unknown, seen)}")
    usable = usable.select(np.isin(usable.user_num, judged))
    test, first = _pairs(usable)
    rating = None if usable.rating is None else usable.rating[first].astype(np.float64)
    if rating is not None and np.isnan(rating).all():
        rating = None
    return EvaluationContext(
        history=history,
        test=test,
        rating=rating,
        time=None if usable.timestamp_s is None else usable.timestamp_s[first],
        seen=seen,
        titles=pa.nulls(len(history.items), pa.string()) if titles is None else titles,
        categories=categories,
        user_columns=user_columns or {},
        liked_from=_liked_from(liked_from, history, rating),
    ), left_out


def _what_to_do(was_seen: Mask, is_unknown: Mask, seen: SeenItems) -> str:
    """Where nobody can be judged; `was_seen` and `is_unknown` are the rows that no list could hold."""
    if not was_seen.any() or not (was_seen | is_unknown).all() or isinstance(seen, DislikedItems):
        return "pass what users did after the training data"
    if seen.remaining is None:
        return (
            "all test rows are of items that their users had seen before: judge lists that may repeat them, by "
            "--repeats allow, or pass what users did after the training data"
        )
    return (
        "no test row is of an item that its user had seen before: judge lists of other items too, by --repeats allow, "
        "or by --repeats exclude"
    )


def _pairs(events: Interactions) -> tuple[SeenItems, npt.NDArray[np.int64]]:
    """Each pair once, and the first row [n_pairs] that has it."""
    order = np.lexsort((events.item_num, events.user_num))  # stable: the first of equal pairs comes first
    user, item = events.user_num[order], events.item_num[order]
    is_first = differs_from_row_before(user, item)
    starts = np.searchsorted(user[is_first], np.arange(len(events.users) + 2)).astype(np.int64)
    items: ItemNums = item[is_first]
    return SeenItems(starts, items), order[is_first]


def _liked_from(wanted: float | None, history: Interactions, rating: PerUser | None) -> float | None:
    if rating is None:
        return None
    if wanted is not None:
        return wanted
    ratings = rating if history.rating is None or np.isnan(history.rating).all() else history.rating
    return float(np.nanmean(ratings))
