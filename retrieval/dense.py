"""Score tables, dense or sparse -> Candidates: shared by every retriever that scores the whole catalogue."""

from collections.abc import Sequence
from typing import TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
import scipy  # its parts load when they are used

from belfry.dataset.arrays import Positions
from belfry.dataset.candidates import Candidates, ranks_of, take_top_k
from belfry.dataset.history.seen_items import SeenItems
from belfry.dataset.vocabulary import UNKNOWN, ItemNums, UserNums

Scores: TypeAlias = npt.NDArray[np.float32]
Table = TypeVar("Table", npt.NDArray[np.float32], npt.NDArray[np.int32], npt.NDArray[np.float64])


def best_columns(scores: Scores, top_k: int) -> Positions:
    """Columns of each row's `top_k` highest scores, best first; equal scores by column, also at the cut.

    Which cells of -inf come is undefined: no caller keeps them.

    Args:
        scores: [n_rows, n_columns], no NaN.
        top_k: from 1 to n_columns.

    Returns:
        [n_rows, top_k] int64.
    """
    columns = np.argpartition(scores, -top_k, axis=1)[:, -top_k:]
    last = np.take_along_axis(scores, columns, axis=1).min(axis=1)
    n_reaching = np.count_nonzero(scores >= last[:, None], axis=1)
    for row in np.flatnonzero((n_reaching > top_k) & (last > -np.inf)):  # argpartition took any of the equal ones
        higher, equal = np.flatnonzero(scores[row] > last[row]), np.flatnonzero(scores[row] == last[row])
        columns[row] = np.concatenate([higher, equal[: top_k - len(higher)]])
    columns.sort(axis=1)
    order = np.argsort(-np.take_along_axis(scores, columns, axis=1), axis=1, kind="stable")
    return np.take_along_axis(columns, order, axis=1)


def top_candidates(
    users: UserNums,
    scores: Scores,
    exclude: SeenItems,
    top_k: int,
    origin: str,
    only: ItemNums | None = None,
) -> Candidates:
    """Each user's best unseen items out of a score for every item.

    Args:
        users: [n_users].
        scores: [n_users, n_items + 1], column i for item number i; column 0, -inf and NaN are never listed. Not
            changed.
        exclude: items that must not come back.
        top_k: length of a list, which is shorter where fewer items are left.
        origin: name of the source of these candidates.
        only: where given, the items to choose from.
    """
    scores = np.where(np.isnan(scores), -np.inf, scores)
    scores[:, UNKNOWN] = -np.inf
    if only is not None:
        scores[:, np.isin(np.arange(scores.shape[1]), only, invert=True)] = -np.inf
    scores[exclude.rows_of(users)] = -np.inf
    columns = best_columns(scores, min(top_k, scores.shape[1]))
    score = np.take_along_axis(scores, columns, axis=1)
    kept = score > -np.inf
    row_user = np.nonzero(kept)[0]
    item_num, score, of_origin = columns[kept].astype(np.int32), score[kept], np.zeros(len(row_user), np.int8)
    return Candidates(users, row_user, item_num, score, ranks_of(row_user, len(users)), of_origin, (origin,))


def top_of_few(
    users: UserNums,
    item_num: ItemNums,
    score: Scores,
    exclude: SeenItems,
    top_k: int,
    origin: str,
    only: ItemNums | None = None,
) -> Candidates:
    """`top_candidates` of one user among `item_num` [n], each once, by their `score` [n]; none that is not above 0."""
    kept = (score > 0) & (item_num != UNKNOWN) & ~exclude.of_user_contain(int(users[0]), item_num)
    if only is not None:
        kept &= np.isin(item_num, only)
    item_num, score = item_num[kept], score[kept]
    if len(score) > top_k:
        is_due = score >= np.partition(score, -top_k)[-top_k]
        item_num, score = item_num[is_due], score[is_due]
    return take_top_k(users, np.zeros(len(score), np.int64), item_num, score, top_k=top_k, origin=origin)


def top_sparse_candidates(
    users: UserNums,
    scores: "scipy.sparse.csr_matrix[np.float32]",
    exclude: SeenItems,
    top_k: int,
    origin: str,
    only: ItemNums | None = None,
) -> Candidates:
    """`top_candidates` of the stored cells of `scores` [n_users, n_items + 1] that are above 0."""
    row_user = np.repeat(np.arange(len(users)), np.diff(scores.indptr))
    item_num = scores.indices.astype(np.int32)
    kept = (scores.data > 0) & (item_num != UNKNOWN)
    kept &= ~exclude.contains(users[row_user], item_num)
    if only is not None:
        kept &= np.isin(item_num, only)
    return take_top_k(
        users, row_user[kept], item_num[kept], scores.data[kept].astype(np.float32), top_k=top_k, origin=origin
    )


def stack(parts: Sequence[Candidates]) -> Candidates:
    """Candidates of several groups of users, made by the same retriever, one group after another."""
    firsts = np.cumsum([0, *(len(part.users) for part in parts[:-1])])
    return Candidates(
        users=np.concatenate([part.users for part in parts]),
        row_user=np.concatenate([part.row_user + first for part, first in zip(parts, firsts, strict=True)]),
        item_num=np.concatenate([part.item_num for part in parts]),
        score=np.concatenate([part.score for part in parts]),
        rank=np.concatenate([part.rank for part in parts]),
        origin=np.concatenate([part.origin for part in parts]),
        origins=parts[0].origins,
        source_score=_joined([part.source_score for part in parts]),
        source_rank=_joined([part.source_rank for part in parts]),
        propensity=_joined([part.propensity for part in parts]),
    )


def _joined(tables: Sequence[Table | None]) -> Table | None:
    """All tables, one below the other; None where they are None."""
    return np.concatenate([table for table in tables if table is not None]) if tables[0] is not None else None
