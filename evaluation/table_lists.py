"""A table of lists, read in parts: checked whole, held by blocks of users on disk, handed on as lists.

A table need not be sorted. One pass finds its users; a second deals its rows out to files, one for each block of users;
then a block at a time is put in order, checked and handed on. So memory holds some 4M rows, however long the table is.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from belfry.dataset import columns
from belfry.dataset.errors import InputError
from belfry.dataset.vocabulary import UNKNOWN, Vocabulary
from belfry.evaluation.context import EvaluationContext
from belfry.evaluation.metrics import Lists
from belfry.evaluation.table_errors import (
    Rows,
    TableErrors,
    column_problems,
    find_errors,
    find_seen,
    refusal,
    rows_of,
)

ROWS_PER_BLOCK = 4_000_000


@dataclass(frozen=True)
class TableSource:
    """One table of lists: what is known before it is read, and a way to read it, as often as asked."""

    label: str  # for people, e.g. the file's name
    schema: pa.Schema
    n_rows: int
    parts: Callable[[Sequence[str]], Iterator[pa.Table]] = field(repr=False)  # columns -> the rows, in parts


@dataclass(frozen=True)
class BlockOfLists:
    """The lists of some users of the table who are to be judged."""

    position: npt.NDArray[np.int64]  # [n] in `EvaluationContext.users`
    lists: Lists  # [n, depth]
    origin: npt.NDArray[np.int8]  # [n, depth] position in `TableLists.origins`, -1 where there is none


class TableLists:
    """The checked lists of one table."""

    def __init__(self, source: TableSource, context: EvaluationContext, folder: Path) -> None:
        """Read and partition; `folder` must outlive this and be empty.

        Raises:
            TableError: columns or ids are missing or of another type, or there are no rows.
            InputError: nobody of the table is to be judged.
        """
        history = context.history
        problems = column_problems(source.schema, source.n_rows, history.users.ids.type, history.items.ids.type)
        if problems:
            raise refusal(problems, source.label)
        self._source, self._context, self._folder = source, context, folder
        self._errors = TableErrors()
        self._users = Vocabulary(_unique(source))
        self._context_num = np.append(np.int32(UNKNOWN), history.users.numbers(self._users.ids))
        position = np.full(len(history.users) + 1, -1, np.int64)
        position[context.users] = np.arange(len(context.users))
        self._position = position[self._context_num]  # own number -> position among the judged, -1 for none
        self.label, self.n_rows, self.n_users = source.label, source.n_rows, len(self._users)
        self.n_not_judged = int(np.count_nonzero(self._position[1:] < 0))
        self.n_unknown = int(np.count_nonzero(self._context_num[1:] == UNKNOWN))
        self.origins: list[str] = []
        n_blocks = -(-source.n_rows // ROWS_PER_BLOCK)
        self._users_per_block = -(-(len(self._users) + 1) // n_blocks)
        self._n_rows_of = np.zeros(len(self._users) + 1, np.int64)
        if self.n_not_judged == self.n_users:
            raise InputError(
                f"{source.label}: none of its {self.n_users:,} users has a test item; {self.n_unknown:,} of them are "
                "in neither the training nor the test part: check that the lists and the data come from the same source"
            )
        self._files = self._deal_out()
        self.longest = int(self._n_rows_of[1:].max())
        has_list = np.zeros(len(context.users), np.bool_)
        has_list[self._position[(self._position >= 0) & (self._n_rows_of > 0)]] = True
        self.n_without_list = int(np.count_nonzero(~has_list))

    def blocks(self, depth: int) -> Iterator[BlockOfLists]:
        """The judged users' lists, down to `depth`, each user once.

        Raises:
            TableError: after the last block, where rows are at fault; the message lists every kind of fault.
        """
        for path in self._files:
            if path.exists():
                rows = np.fromfile(path, self._dtype)
                path.unlink()
                yield self._block(rows, depth)
        self._errors.refuse(self._source.label)

    @property
    def _dtype(self) -> np.dtype[np.void]:
        fields: list[tuple[str, type[np.generic]]] = [("row", np.int64), ("user_num", np.int32), ("item_num", np.int32)]
        names = self._source.schema.names
        fields += [("rank", np.int32)] if columns.RANK in names else []
        fields += [("score", np.float64)] if columns.SCORE in names else []
        fields += [("origin", np.int8)] if columns.ORIGIN in names else []
        return np.dtype(fields)

    def _deal_out(self) -> list[Path]:
        wanted = [columns.USER_ID, columns.ITEM_ID, columns.RANK, columns.SCORE, columns.ORIGIN]
        names = [name for name in wanted if name in self._source.schema.names]
        n_blocks = -(-(len(self._users) + 1) // self._users_per_block)
        paths = [self._folder / f"block-{number:05d}.bin" for number in range(n_blocks)]
        first_row = 0
        for part in self._source.parts(names):
            for path, rows in self._number(part, first_row, paths):
                with path.open("ab") as file:
                    rows.tofile(file)
            first_row += len(part)
        return paths

    def _number(self, part: pa.Table, first_row: int, paths: list[Path]) -> Iterator[tuple[Path, npt.NDArray[np.void]]]:
        """The rows of a part as records, by the file that they go to; errors that need no neighbours are counted."""
        numbered = rows_of(part, self._users, self._context.history.items, first_row=first_row)
        is_null = np.asarray(pc.is_null(part[columns.ITEM_ID]))
        self._errors.add("null_user", numbered.row[numbered.user_num == UNKNOWN])
        self._errors.add("null_item", numbered.row[is_null])
        self._errors.add("unknown_item", numbered.row[(numbered.item_num == UNKNOWN) & ~is_null])
        rows = np.empty(len(part), self._dtype)
        for name in self._dtype.names or ():
            rows[name] = self._origin_codes(part[columns.ORIGIN]) if name == "origin" else getattr(numbered, name)
        self._n_rows_of += np.bincount(numbered.user_num, minlength=len(self._n_rows_of))
        block = numbered.user_num // self._users_per_block
        if len(block) and (block == block[0]).all():
            yield paths[block[0]], rows
            return
        order = np.argsort(block, kind="stable")
        ends = np.searchsorted(block[order], np.arange(len(paths) + 1))
        for path, start, end in zip(paths, ends[:-1], ends[1:], strict=True):
            if end > start:
                yield path, rows[order[start:end]]

    def _origin_codes(self, origin: pa.ChunkedArray) -> npt.NDArray[np.int8]:
        """Numbers of the origins as they turn up; -1 for a null and for what comes after the 100th."""
        text = origin.cast(pa.string()).combine_chunks()
        for name in pc.unique(text.drop_null()).to_pylist():
            if name not in self.origins and len(self.origins) < 100:
                self.origins.append(name)
        found = pc.index_in(text, value_set=pa.array(self.origins, pa.string()))
        return np.asarray(pc.fill_null(pc.if_else(pc.is_valid(text), found, None), -1), np.int8)

    def _block(self, records: npt.NDArray[np.void], depth: int) -> BlockOfLists:
        names = records.dtype.names or ()
        rank, score = (records[name] if name in names else None for name in ("rank", "score"))
        rows = Rows(records["row"], records["user_num"].copy(), records["item_num"].copy(), rank, score)
        order = rows.order()
        find_errors(rows, order, self._errors)
        find_seen(replace(rows, user_num=self._context_num[rows.user_num]), self._context.seen, self._errors)

        user = rows.user_num[order]
        starts = np.flatnonzero(np.diff(user, prepend=-1))
        counts = np.diff(np.append(starts, len(user)))
        place = np.arange(len(user)) - np.repeat(starts, counts)
        position = self._position[user[starts]]
        judged = np.flatnonzero(position >= 0)
        line = np.full(len(starts), -1, np.int64)
        line[judged] = np.arange(len(judged))
        row_line = np.repeat(line, counts)
        kept = (row_line >= 0) & (place < depth)
        lists = np.zeros((len(judged), depth), np.int32)
        lists[row_line[kept], place[kept]] = rows.item_num[order][kept]
        origin = np.full((len(judged), depth if self.origins else 0), -1, np.int8)
        if self.origins:
            origin[row_line[kept], place[kept]] = records["origin"][order][kept]
        return BlockOfLists(position[judged], lists, origin)


def _unique(source: TableSource) -> pa.Array:
    """The users of the table, each once."""
    found = [pc.unique(part[columns.USER_ID].drop_null()) for part in source.parts([columns.USER_ID])]
    return pc.unique(pa.chunked_array(found).combine_chunks())
