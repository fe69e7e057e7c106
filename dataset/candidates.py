"""Candidates: per-user scored lists, handed from stage to stage; `order_by`, the only sort."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from belfry.dataset.arrays import Mask, Positions
from belfry.dataset.concurrency.cached import cached_property
from belfry.dataset.vocabulary import ItemNums, UserNums

_USERS_PER_SORT = 256  # lists that are sorted at a time, padded to the longest of them
_PADDING = np.iinfo(np.uint64).max  # a sort key behind all others


@dataclass(frozen=True)
class Candidates:
    """Rows of (asked user, item, score), the rows of one user together.

    A row belongs to `users[row_user]`, so a user who was asked for stays visible even with no rows at all.

    Where several sources made the lists, `source_score` and `source_rank` hold what each of `origins` gave a row. Lists
    of one source do without: its score and rank are those of the row.
    """

    users: UserNums  # [n_asked] user numbers, 0 for an unknown one
    row_user: Positions  # [n_rows] position in `users`, never falling
    item_num: ItemNums  # [n_rows]
    score: npt.NDArray[np.float32]  # [n_rows], higher is better
    rank: npt.NDArray[np.int32]  # [n_rows] 1-based within a user
    origin: npt.NDArray[np.int8]  # [n_rows] position in `origins`: the source that brought the row
    origins: tuple[str, ...]
    source_score: npt.NDArray[np.float32] | None = None  # [n_rows, n_origins], NaN where a source did not bring it
    source_rank: npt.NDArray[np.int32] | None = None  # [n_rows, n_origins], 1-based; 0 where a source did not bring it
    propensity: npt.NDArray[np.float64] | None = None  # [n_rows] chance of the row to be listed, where some are drawn

    def __len__(self) -> int:
        return len(self.item_num)

    @property
    def user_num(self) -> UserNums:
        """[n_rows] user number of each row."""
        return self.users[self.row_user]

    @cached_property
    def starts(self) -> Positions:
        """[n_asked + 1]: rows of asked user i are `starts[i] : starts[i + 1]`."""
        return self.row_user.searchsorted(np.arange(len(self.users) + 1))

    @cached_property
    def lengths(self) -> Positions:
        """[n_asked] rows of each asked user."""
        lengths: Positions = self.starts[1:] - self.starts[:-1]  # np.diff takes five times as long for few
        return lengths

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the columns of `source_score` and `source_rank`; none where one source made the lists."""
        return () if self.source_score is None else self.origins

    def select(self, rows: Mask | Positions | slice) -> "Candidates":
        """The rows of a mask, of positions or of a slice; all asked users stay."""
        return replace(
            self,
            row_user=self.row_user[rows],
            item_num=self.item_num[rows],
            score=self.score[rows],
            rank=self.rank[rows],
            origin=self.origin[rows],
            source_score=None if self.source_score is None else self.source_score[rows],
            source_rank=None if self.source_rank is None else self.source_rank[rows],
            propensity=None if self.propensity is None else self.propensity[rows],
        )

    def of_users(self, places: Positions) -> "Candidates":
        """The rows of the asked users at these rising `places`, who are the asked ones then."""
        new_place = np.full(len(self.users), -1)
        new_place[places] = np.arange(len(places))
        rows = np.flatnonzero(new_place[self.row_user] >= 0)
        own = self.select(rows)
        return replace(own, users=self.users[places], row_user=new_place[own.row_user])


def ranks_of(row_user: Positions, n_users: int) -> npt.NDArray[np.int32]:
    """[n_rows] place of each row among those of its user, from 1; `row_user` never falls and is below `n_users`."""
    before = row_user.searchsorted(np.arange(n_users))
    return np.arange(1, len(row_user) + 1, dtype=np.int32) - before.astype(np.int32)[row_user]


def order_by(candidates: Candidates, score: npt.NDArray[np.float32], *, top_k: int) -> Candidates:
    """The same lists by another `score` [n_rows], at most `top_k` rows of each; equal scores by item number.

    Rows of one user come in any order. NaN scores sort last.
    """
    rows = _best_rows(_sort_keys(score, candidates.item_num), candidates.starts, top_k)
    row_user = candidates.row_user[rows]
    return Candidates(
        users=candidates.users,
        row_user=row_user,
        item_num=candidates.item_num[rows],
        score=score[rows],
        rank=ranks_of(row_user, len(candidates.users)),
        origin=candidates.origin[rows],
        origins=candidates.origins,
        source_score=None if candidates.source_score is None else candidates.source_score[rows],
        source_rank=None if candidates.source_rank is None else candidates.source_rank[rows],
    )


def take_top_k(
    users: UserNums,
    row_user: Positions,
    item_num: ItemNums,
    score: npt.NDArray[np.float32],
    *,
    top_k: int,
    origin: str,
) -> Candidates:
    """Each user's `top_k` best rows of one origin, by score, then by item number; fewer where a user has fewer.

    Rows come in any order. NaN scores sort last.
    """
    if (row_user[1:] < row_user[:-1]).any():
        order = np.argsort(row_user, kind="stable")
        row_user, item_num, score = row_user[order], item_num[order], score[order]
    row_user, rank = row_user.astype(np.int64), np.zeros(len(item_num), np.int32)
    rows = Candidates(users, row_user, item_num, score, rank, np.zeros(len(item_num), np.int8), (origin,))
    return order_by(rows, score, top_k=top_k)


def _best_rows(keys: npt.NDArray[np.uint64], starts: Positions, top_k: int) -> Positions:
    """Rows of each list's `top_k` lowest `keys` [n_rows], rising, one list after another; `starts` as in `Candidates`.

    Lists are about equally long, so a block of them is sorted as one table: several times as fast as one long sort.
    """
    counts = starts[1:] - starts[:-1]
    found = [np.zeros(0, np.int64)]
    for first in range(0, len(counts), _USERS_PER_SORT):
        block = slice(first, first + _USERS_PER_SORT)
        lengths, longest = counts[block], int(counts[block].max())
        own = keys[starts[first] : starts[first + len(lengths)]]
        is_full = len(own) == len(lengths) * longest
        if is_full:
            table = own.reshape(len(lengths), longest)
        else:
            table = np.full((len(lengths), longest), _PADDING)
            table[np.arange(longest) < lengths[:, None]] = own
        rows = np.argsort(table, axis=1)[:, :top_k] + starts[block.start : first + len(lengths), None]
        found.append(rows.ravel() if is_full else rows[np.arange(rows.shape[1]) < lengths[:, None]])
    return np.concatenate(found)


def _sort_keys(score: npt.NDArray[np.float32], item_num: ItemNums) -> npt.NDArray[np.uint64]:
    """[n_rows] rising as `score` falls, then as the item number rises; NaN scores come last, -0.0 and 0.0 are equal.

    The bits of floats above 0, read as a whole number, rise with the float; those of floats below 0 fall.
    """
    bits = (score + np.float32(0)).view(np.uint32)
    falling = np.where(bits >> np.uint32(31), bits, bits ^ np.uint32(0x7FFFFFFF))
    falling[np.isnan(score)] = np.iinfo(np.uint32).max
    return (falling.astype(np.uint64) << np.uint64(32)) | item_num.astype(np.uint64)
