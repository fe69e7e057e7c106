"""Candidates: per-user scored lists, handed from stage to stage; `take_top_k`, the only sort."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from dataset.interactions import Positions
from dataset.vocabulary import Numbers


@dataclass(frozen=True)
class Candidates:
    """Rows of (asked user, item, score), the rows of one user together.

    A row speaks of `users[row_user]`, so that a user who was asked for stays visible with no rows at all.
    """

    users: Numbers  # [n_asked] user numbers, 0 for an unknown one
    row_user: Positions  # [n_rows] position in `users`, never falling
    item_num: Numbers  # [n_rows]
    score: npt.NDArray[np.float32]  # [n_rows], higher is better
    rank: Numbers  # [n_rows] 1-based within a user
    origin: npt.NDArray[np.int8]  # [n_rows] position in `origins`: the source that brought the row
    origins: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.item_num)

    @property
    def user_num(self) -> Numbers:
        """[n_rows] user number of each row."""
        return self.users[self.row_user]

    @property
    def starts(self) -> Positions:
        """[n_asked + 1]: rows of asked user i are `starts[i] : starts[i + 1]`."""
        return np.searchsorted(self.row_user, np.arange(len(self.users) + 1)).astype(np.int64)

    def select(self, rows: npt.NDArray[np.bool_] | Positions) -> "Candidates":
        return replace(
            self,
            row_user=self.row_user[rows],
            item_num=self.item_num[rows],
            score=self.score[rows],
            rank=self.rank[rows],
            origin=self.origin[rows],
        )


def take_top_k(
    users: Numbers,
    row_user: Positions,
    item_num: Numbers,
    score: npt.NDArray[np.float32],
    *,
    top_k: int,
    origin: npt.NDArray[np.int8] | None = None,
    origins: tuple[str, ...],
) -> Candidates:
    """Each user's `top_k` best rows, by score, then by item number; fewer where a user has fewer.

    Rows come in any order. NaN scores sort last.
    """
    order = np.lexsort((item_num, -score, row_user))
    row_user = row_user[order]
    starts = np.searchsorted(row_user, np.arange(len(users) + 1))
    rank = np.arange(1, len(order) + 1) - starts[row_user]
    kept = rank <= top_k
    order = order[kept]
    return Candidates(
        users=users,
        row_user=row_user[kept].astype(np.int64),
        item_num=item_num[order],
        score=score[order],
        rank=rank[kept].astype(np.int32),
        origin=np.zeros(len(order), np.int8) if origin is None else origin[order],
        origins=origins,
    )
