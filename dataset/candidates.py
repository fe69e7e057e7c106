"""Candidates: per-user scored lists, handed from stage to stage; `order_by`, the only sort."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from belfry.dataset.interactions import Positions
from belfry.dataset.vocabulary import ItemNums, UserNums


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

    def __len__(self) -> int:
        return len(self.item_num)

    @property
    def user_num(self) -> UserNums:
        """[n_rows] user number of each row."""
        return self.users[self.row_user]

    @property
    def starts(self) -> Positions:
        """[n_asked + 1]: rows of asked user i are `starts[i] : starts[i + 1]`."""
        return np.searchsorted(self.row_user, np.arange(len(self.users) + 1)).astype(np.int64)

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the columns of `source_score` and `source_rank`; none where one source made the lists."""
        return () if self.source_score is None else self.origins

    def select(self, rows: npt.NDArray[np.bool_] | Positions) -> "Candidates":
        """The rows of a mask or of positions; all asked users stay."""
        return replace(
            self,
            row_user=self.row_user[rows],
            item_num=self.item_num[rows],
            score=self.score[rows],
            rank=self.rank[rows],
            origin=self.origin[rows],
            source_score=None if self.source_score is None else self.source_score[rows],
            source_rank=None if self.source_rank is None else self.source_rank[rows],
        )


def order_by(candidates: Candidates, score: npt.NDArray[np.float32], *, top_k: int) -> Candidates:
    """The same lists by another `score` [n_rows], at most `top_k` rows of each; equal scores by item number.

    Rows come in any order. NaN scores sort last.
    """
    order = np.lexsort((candidates.item_num, -score, candidates.row_user))
    row_user = candidates.row_user[order]
    starts = np.searchsorted(row_user, np.arange(len(candidates.users) + 1))
    rank = np.arange(1, len(order) + 1) - starts[row_user]
    kept = rank <= top_k
    order = order[kept]
    return replace(candidates.select(order), score=score[order], rank=rank[kept].astype(np.int32))


def take_top_k(
    users: UserNums,
    row_user: Positions,
    item_num: ItemNums,
    score: npt.NDArray[np.float32],
    *,
    top_k: int,
    origin: npt.NDArray[np.int8] | None = None,
    origins: tuple[str, ...],
) -> Candidates:
    """Each user's `top_k` best rows, by score, then by item number; fewer where a user has fewer.

    Rows come in any order. NaN scores sort last.
    """
    rows = Candidates(
        users=users,
        row_user=row_user.astype(np.int64),
        item_num=item_num,
        score=score,
        rank=np.zeros(len(item_num), np.int32),
        origin=np.zeros(len(item_num), np.int8) if origin is None else origin,
        origins=origins,
    )
    return order_by(rows, score, top_k=top_k)
