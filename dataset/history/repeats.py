"""Repeats: whether lists may hold what a user has watched, and what they leave out by that."""

from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from belfry.dataset.arrays import Mask, Positions
from belfry.dataset.errors import InputError
from belfry.dataset.history.seen_items import SeenItems
from belfry.dataset.interactions import Interactions
from belfry.dataset.vocabulary import ItemNums, UserNums

# What lists hold: no seen item; seen ones too; seen ones alone.
Repeats: TypeAlias = Literal["exclude", "allow", "only"]
KINDS_OF_REPEATS: tuple[Repeats, ...] = ("exclude", "allow", "only")
REPEATS_OF_TABLE = "belfry.repeats"  # in the metadata of a table of lists: the kind that it was made as


@dataclass(frozen=True)
class OtherItems(SeenItems):
    """All items but those that each user has seen and not disliked: what lists of repeats alone leave out.

    To ask whether an item is among these, how many they are and which, is answered for the others; the arrays, and what
    else is inherited, are of the seen items without the disliked.
    """

    n_items: int = 0  # of the catalogue
    was: ClassVar[str] = "not seen"
    was_not: ClassVar[str] = "seen"

    @property
    def remaining(self) -> SeenItems:
        return SeenItems(self.starts, self.item_num)

    def count(self, users: UserNums) -> npt.NDArray[np.int64]:
        return self.n_items - super().count(users)

    def rows_of(self, users: UserNums) -> tuple[Positions, ItemNums]:
        row, column = np.nonzero(self.table(users, self.n_items)[:, 1:])
        return row, (column + 1).astype(np.int32)

    def table(self, users: UserNums, n_items: int) -> Mask:
        return ~super().table(users, n_items)

    def of_user_contain(self, user_num: int, item_num: ItemNums) -> Mask:
        return ~super().of_user_contain(user_num, item_num)

    def contains(self, user_num: UserNums, item_num: ItemNums) -> Mask:
        return ~super().contains(user_num, item_num)


@dataclass(frozen=True)
class DislikedItems(SeenItems):
    """What each user has disliked: what lists that may hold seen items leave out."""

    was: ClassVar[str] = "disliked"
    was_not: ClassVar[str] = "not disliked"


def as_repeats(exclude_seen: bool | None, repeats: Repeats | None) -> Repeats | None:
    """What is asked for in the short form, in the full form, or in both; None where it is in neither.

    Raises:
        InputError: one contradicts the other, or is none of the values that it may have.
    """
    if exclude_seen is not None and not isinstance(exclude_seen, bool | np.bool_):
        raise InputError(f"exclude_seen={exclude_seen!r}: wanted True or False")
    if repeats is None:
        return None if exclude_seen is None else "exclude" if exclude_seen else "allow"
    if repeats not in KINDS_OF_REPEATS:
        raise InputError(f"repeats={repeats!r}: wanted 'exclude', 'allow' or 'only'")
    if exclude_seen is not None and exclude_seen != (repeats == "exclude"):
        raise InputError(f"exclude_seen={exclude_seen} contradicts repeats={repeats!r}; leave one of them out")
    return repeats


def kept_out(history: Interactions, repeats: Repeats) -> SeenItems:
    """The items of each user that no list may hold: the disliked under all three."""
    if repeats == "exclude":
        return history.seen_or_disliked
    disliked = history.dislikes
    if repeats == "allow":
        none = SeenItems.nothing(len(history.users))
        return none if disliked is None else DislikedItems(disliked.starts, disliked.item_num)
    kept = history.seen_items if disliked is None else history.seen_items.without(disliked)
    return OtherItems(kept.starts, kept.item_num, n_items=len(history.items))
