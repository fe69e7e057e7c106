"""Sources of lists: blocks of judged users' lists, wherever they come from, and what is known of one block."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt

from belfry.dataset.arrays import Mask, Positions, stretches
from belfry.dataset.candidates import Candidates
from belfry.dataset.vocabulary import UNKNOWN, UserNums
from belfry.evaluation.context import EvaluationContext
from belfry.evaluation.metrics import Counts, Lists, PerUser


@dataclass(frozen=True)
class BlockOfLists:
    """The lists of some judged users."""

    position: Positions  # [n] in `EvaluationContext.users`
    lists: Lists  # [n, depth]
    origin: npt.NDArray[np.int8]  # [n, depth] position in `origins`, -1 where there is none; [n, 0] without origins
    origins: tuple[str, ...] = ()


class ListSource(Protocol):
    """The lists of one system, handed out in blocks so that they need not fit into memory."""

    def blocks(self, depth: int) -> Iterator[BlockOfLists]:
        """Lists down to `depth`, each judged user at most once; who is in no block has an empty list."""


def lists_in_memory(source: ListSource, n_users: int, n: int) -> Lists:
    """[n_users, n] all lists down to `n`, 0 behind their ends."""
    lists = np.zeros((n_users, n), np.int32)
    for block in source.blocks(n):
        lists[block.position] = block.lists
    return lists


@dataclass(frozen=True)
class CandidateLists:
    """Lists in memory, all at once or made while they are asked for."""

    parts: Iterable[Candidates]  # each asked user in one of them, in any order
    users: UserNums  # [n_judged] rising, `EvaluationContext.users`

    def blocks(self, depth: int) -> Iterator[BlockOfLists]:
        for part in self.parts:
            position = np.searchsorted(self.users, part.users)
            known = self.users[np.minimum(position, len(self.users) - 1)] == part.users
            asked = np.flatnonzero(known & (part.users != UNKNOWN))
            top = part.select(part.rank <= depth)
            lists = np.zeros((len(part.users), depth), np.int32)
            origin = np.full(lists.shape, -1, np.int8)
            lists[top.row_user, top.rank - 1] = top.item_num
            origin[top.row_user, top.rank - 1] = top.origin
            yield BlockOfLists(position[asked], lists[asked], origin[asked], part.origins)


@dataclass(frozen=True)
class JudgedLists:
    """Lists of some judged users, all of one length, beside all that they are judged by."""

    context: EvaluationContext
    position: Positions  # [n_users] in `context.users`
    lists: Lists  # [n_users, n]
    pair: Positions  # [n_users, n] position of the listed item in `context.test`; -1 for a miss

    @classmethod
    def of(cls, context: EvaluationContext, position: Positions, lists: Lists) -> "JudgedLists":
        users = np.broadcast_to(context.users[position, None], lists.shape)
        return cls(context, position, lists, context.test.positions(users, lists))

    def top(self, n: int) -> "JudgedLists":
        """The first `n` places."""
        return JudgedLists(self.context, self.position, self.lists[:, :n], self.pair[:, :n])

    def __len__(self) -> int:
        return len(self.position)

    @property
    def n(self) -> int:
        return int(self.lists.shape[1])

    @cached_property
    def users(self) -> UserNums:
        """[n_users]"""
        return self.context.users[self.position]

    @cached_property
    def hits(self) -> Mask:
        """[n_users, n] whether each listed item is one of its user's test items."""
        return self.pair >= 0

    @cached_property
    def n_relevant(self) -> Counts:
        """[n_users] test items of each user."""
        return self.context.test.count(self.users)

    @cached_property
    def relevant(self) -> tuple[Positions, Positions]:
        """[n_pairs] each: row here, and position in `context.test`, of each test pair of these users."""
        pairs = stretches(self.context.test.starts[self.users], self.n_relevant)
        return np.repeat(np.arange(len(self)), self.n_relevant), pairs

    def of_hits(self, values: PerUser) -> PerUser:
        """[n_users, n] the value of each hit, 0 for a miss; `values` has one for each pair of `context.test`."""
        return np.where(self.hits, values[np.maximum(self.pair, 0)], 0)
