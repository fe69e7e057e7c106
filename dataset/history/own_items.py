"""OwnItems: the items that a user has had, how often and when."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from belfry.dataset.arrays import Positions, Times, differs_from_row_before
from belfry.dataset.interactions import Interactions
from belfry.dataset.vocabulary import ItemNums, UserNums


@dataclass(frozen=True)
class OwnItems:
    """What each of some users has had, each item once; steps are events of the user's history."""

    row_user: Positions  # [n_pairs] position of the user, never falling
    item_num: ItemNums  # [n_pairs], rising within a user
    count: Positions  # [n_pairs] times
    first_age: Positions  # [n_pairs] steps from the first time to the newest event
    last_age: Positions  # [n_pairs] steps from the last time to the newest event
    activation: npt.NDArray[np.float64]  # [n_pairs] see `own_items`
    first_s: Times | None  # [n_pairs] UTC; None where there are no times
    last_s: Times | None  # [n_pairs] UTC

    def positions(self, row_user: Positions, item_num: ItemNums, n_items: int) -> Positions:
        """[n] where each pair stands, else -1; item numbers are at most `n_items`."""
        keys = np.append(self.row_user * (n_items + 1) + self.item_num, -1)
        wanted = row_user * (n_items + 1) + item_num
        found = np.searchsorted(keys[:-1], wanted)
        return np.where(keys[found] == wanted, found, -1)


def own_items(history: Interactions, users: UserNums, *, decay: float = 0.5, max_length: int | None = None) -> OwnItems:
    """The items of `users`; of user 0 none.

        activation(u, i) = sum over the events of i in the history of u of (1 + age) ** -decay

    with the age in steps from the newest event: how readily a person comes back to what was met often and lately.

    Args:
        decay: 0 counts events, and the larger it is, the more the last of them decides.
        max_length: newest events that are read; None for all.

    Source: Anderson and Schooler, Reflections of the environment in memory, Psychological Science 1991; its base-level
    activation is the logarithm. For music: Reiter-Haas et al., Predicting music relistening behavior using the ACT-R
    framework, RecSys 2021.
    """
    rows, counts = history.by_user.newest(users, max_length)
    row_user = np.repeat(np.arange(len(users)), counts)
    age = np.repeat(np.cumsum(counts), counts) - np.arange(len(rows)) - 1
    order = np.argsort(row_user * (len(history.items) + 1) + history.item_num[rows], kind="stable")  # oldest first
    row_user, item_num, age = row_user[order], history.item_num[rows[order]], age[order]
    first = np.flatnonzero(differs_from_row_before(row_user, item_num)) if len(rows) else np.zeros(0, np.int64)
    last = np.append(first[1:], len(rows))[: len(first)] - 1
    strength = np.asarray((1.0 + age) ** -decay, np.float64)
    times = None if history.timestamp_s is None else history.timestamp_s[rows[order]]
    return OwnItems(
        row_user=row_user[first],
        item_num=item_num[first],
        count=last - first + 1,
        first_age=age[first],
        last_age=age[last],
        activation=np.add.reduceat(strength, first) if len(first) else strength,
        first_s=None if times is None else times[first],
        last_s=None if times is None else times[last],
    )
