"""Lists: candidate lists described in numbers, which is all that a ranker reads; and their padded batches."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from belfry.dataset.arrays import Mask, Positions, stretches
from belfry.dataset.candidates import Candidates
from belfry.dataset.concurrency.cached import cached_property
from belfry.dataset.errors import DivergenceError
from belfry.dataset.history.bags import history_windows
from belfry.dataset.interactions import Interactions
from belfry.dataset.vocabulary import ItemNums, UserNums

HISTORY_LENGTH = 50  # newest events of a user that a network may attend to

Scores: TypeAlias = npt.NDArray[np.float32]
Matrix: TypeAlias = npt.NDArray[np.float32]
Inputs: TypeAlias = dict[str, npt.NDArray[np.generic]]  # of a network, by name


@dataclass(frozen=True)
class Lists:
    """Lists of candidates, one after another."""

    pairs: Matrix  # [n_rows, n_features]
    names: tuple[str, ...]  # of the features
    items: ItemNums  # [n_rows]
    starts: Positions  # [n_lists + 1]
    users: UserNums  # [n_lists]
    history: ItemNums  # [n_lists, HISTORY_LENGTH] newest items of each user, oldest first, padded in front with 0

    @classmethod
    def describe(cls, candidates: Candidates, pairs: Matrix, names: tuple[str, ...], history: Interactions) -> "Lists":
        """Candidates with their features; `history` is the one that both were made from."""
        users = candidates.users
        windows = history_windows(history, users, length=HISTORY_LENGTH).item_num
        return cls(pairs, names, candidates.item_num, candidates.starts, users, windows)

    def __len__(self) -> int:
        """Count of lists."""
        return len(self.users)

    @cached_property
    def lengths(self) -> Positions:
        """[n_lists]"""
        lengths: Positions = self.starts[1:] - self.starts[:-1]
        return lengths

    @property
    def row_list(self) -> Positions:
        """[n_rows] the list of each row."""
        return np.repeat(np.arange(len(self)), self.lengths)

    def column(self, name: str) -> npt.NDArray[np.float32]:
        """[n_rows] one feature."""
        column: npt.NDArray[np.float32] = self.pairs[:, self.names.index(name)]
        return column

    def check_finite(self) -> None:
        """Refuse features that a ranker cannot learn from.

        Raises:
            DivergenceError: names the first feature that is not finite in some row.
        """
        bad = np.flatnonzero(~np.isfinite(self.pairs).all(axis=0))
        if len(bad):
            raise DivergenceError(f"ranker: feature {self.names[bad[0]]!r} is not finite in some rows")

    def rows_of(self, lists: Positions) -> Positions:
        """Rows of the lists at these positions, one list after another."""
        return stretches(self.starts[lists], self.lengths[lists])

    def select(self, lists: Positions) -> "Lists":
        """The lists at these positions, in this order."""
        rows = self.rows_of(lists)
        starts = np.append(0, np.cumsum(self.lengths[lists]))
        return replace(
            self,
            pairs=self.pairs[rows],
            items=self.items[rows],
            starts=starts,
            users=self.users[lists],
            history=self.history[lists],
        )

    def with_rows(self, kept: Mask) -> "Lists":
        """The same lists with the rows in a mask [n_rows] alone, described as they were among the others."""
        starts = np.append(0, np.cumsum(kept))[self.starts]
        return replace(self, pairs=self.pairs[kept], items=self.items[kept], starts=starts)

    def blocks(self, n_rows: int) -> Iterator[Positions]:
        """Positions of the lists that hold rows, in order, in blocks of some `n_rows` rows when padded."""
        filled = np.flatnonzero(self.lengths)
        while len(filled):
            longest = np.maximum.accumulate(self.lengths[filled[:n_rows]])
            n_padded = longest * np.arange(1, len(longest) + 1)  # rows of the first 1, 2, ... lists
            stop = max(int(np.searchsorted(n_padded, n_rows, "right")), 1)
            yield filled[:stop]
            filled = filled[stop:]

    def padded_rows(self, lists: Positions) -> tuple[Positions, Mask]:
        """Rows of some lists and which are there, [n, longest]; padded behind with 0 to the longest of them."""
        lengths = self.lengths[lists]
        places = np.arange(int(lengths.max(initial=0)))
        present = places < lengths[:, None]
        return np.where(present, self.starts[lists, None] + places, 0), present

    def inputs(self, lists: Positions, rows: Positions, present: Mask, names: Iterable[str]) -> Inputs:
        """Rows of some lists as a network's inputs; `rows` and `present` are [n, n_places].

        Returns:
            Of `pairs` [n, n_places, n_features], `item` [n, n_places], `user` [n], `history` [n, HISTORY_LENGTH] and
            `present` [n, n_places] those that are named.
        """
        make: dict[str, Callable[[], npt.NDArray[np.generic]]] = {
            "pairs": lambda: self._pairs_of(rows),
            "item": lambda: self.items[rows] * present,
            "user": lambda: self.users[lists],
            "history": lambda: self.history[lists],
            "present": lambda: present,
        }
        return {name: make[name]() for name in names}

    def _pairs_of(self, rows: Positions) -> Matrix:
        """[n, n_places, n_features]; without a copy where the rows follow one another."""
        flat = rows.ravel()
        if len(flat) and flat[-1] - flat[0] == len(flat) - 1 and (flat[1:] - flat[:-1] == 1).all():
            return self.pairs[flat[0] : flat[-1] + 1].reshape(*rows.shape, -1)
        return self.pairs[rows]


def concatenate_lists(parts: list[Lists]) -> Lists:
    """The lists of all parts, of which there is at least one; the features must be the same."""
    lengths = np.concatenate([part.lengths for part in parts])
    return Lists(
        np.concatenate([part.pairs for part in parts]),
        parts[0].names,
        np.concatenate([part.items for part in parts]),
        np.append(0, np.cumsum(lengths)),
        np.concatenate([part.users for part in parts]),
        np.concatenate([part.history for part in parts]),
    )
