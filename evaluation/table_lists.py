"""A table of lists, read in parts: checked whole, held by blocks of users on disk, handed on as lists.

A table need not be sorted. One pass finds its users; a second deals its rows out to files, one for each block of users;
then a block at a time is put in order, checked and handed on. So memory holds some 4M rows, however long the table is.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from belfry.dataset import columns
from belfry.dataset.encoding.dictionary import codes_and_values, codes_as_numpy, distinct_in, encoded
from belfry.dataset.errors import InputError
from belfry.dataset.history.repeats import KINDS_OF_REPEATS, REPEATS_OF_TABLE, Repeats
from belfry.dataset.sources.kinds import is_text
from belfry.dataset.sources.parts import TableParts, is_in_parts, open_table
from belfry.dataset.sources.reading import AS_IT_IS, Reading
from belfry.dataset.sources.tabular import Source, read_events
from belfry.dataset.vocabulary import UNKNOWN, Vocabulary, positions_in
from belfry.evaluation.context import EvaluationContext
from belfry.evaluation.lists import BlockOfLists
from belfry.evaluation.table_errors import Rows, TableErrors, column_problems, find_errors, find_seen, refusal, rows_of

ROWS_PER_BLOCK = 4_000_000


def open_lists(
    table: Source, context: EvaluationContext, folder: Path, *, label: str, reading: Reading = AS_IT_IS
) -> "TableLists":
    """`TableLists` of any source; a CSV file does not say whether ids are numbers: those of the context decide.

    Raises:
        TableError, InputError: as `read_table` and `TableLists` do.
    """
    if not is_in_parts(table):
        table = read_events(table, context.history.users, context.history.items, reading=reading, name=label)
        reading = AS_IT_IS
    return TableLists(open_table(table, reading), context, folder, label=label)


def repeats_of_table(table: Source) -> Repeats | None:
    """What a table's metadata say of seen items in its lists; None where they say nothing, or it cannot be read."""
    try:
        if isinstance(table, str | Path) and is_text(Path(table)):
            return None
        opened: Any = table if isinstance(table, pa.RecordBatchReader) else open_table(table)  # it can be read once
        metadata = opened.schema.metadata or {}
    except InputError:  # which is told when its rows are read
        return None
    said = metadata.get(REPEATS_OF_TABLE.encode(), b"")
    return next((one for one in KINDS_OF_REPEATS if one.encode() == said), None)


@dataclass(frozen=True)
class TableInfo:
    """One table as it was read."""

    label: str
    n_rows: int
    n_users: int
    longest_list: int
    n_users_not_judged: int  # in the table, and without a test item
    n_users_unknown: int  # of them, in neither the training nor the test part
    n_judged_without_list: int  # to be judged, and not in the table: an empty list


class TableLists:
    """The checked lists of one table, whoever made it."""

    def __init__(self, table: TableParts, context: EvaluationContext, folder: Path, *, label: str) -> None:
        """Read and partition.

        Args:
            table: `user_id`, `item_id`, and `rank` (1, 2, 3, ...) or `score` (higher is better, ties by item id) or
                both; `origin` is used where it is there.
            folder: outlives this, and holds no block of another table.
            label: what messages call the table.

        Raises:
            TableError: columns or ids are missing or of another type, or there are no rows.
            InputError: nobody of the table is to be judged.
        """
        history = context.history
        problems = column_problems(table.schema, table.n_rows, history.users.ids.type, history.items.ids.type)
        if problems:
            raise refusal(problems, label)
        self._table, self._context, self._folder = table, context, folder
        self._errors = TableErrors()
        self._users = Vocabulary(_unique(table))
        self._context_num = np.append(np.int32(UNKNOWN), history.users.numbers(self._users.ids))
        position = np.full(len(history.users) + 1, -1, np.int64)
        position[context.users] = np.arange(len(context.users))
        self._position = position[self._context_num]  # own number -> position among the judged, -1 for none
        self._origins: list[str] = []
        n_blocks = -(-table.n_rows // ROWS_PER_BLOCK)
        self._users_per_block = -(-(len(self._users) + 1) // n_blocks)
        self._n_rows_of = np.zeros(len(self._users) + 1, np.int64)
        n_not_judged = int(np.count_nonzero(self._position[1:] < 0))
        n_unknown = int(np.count_nonzero(self._context_num[1:] == UNKNOWN))
        if n_not_judged == len(self._users):
            raise InputError(
                f"{label}: none of its {len(self._users):,} users has a test item; {n_unknown:,} of them are "
                "in neither the training nor the test part: check that the lists and the data come from the same source"
            )
        self._files = self._deal_out()
        has_list = np.unique(self._position[(self._position >= 0) & (self._n_rows_of > 0)])
        self.info = TableInfo(
            label=label,
            n_rows=table.n_rows,
            n_users=len(self._users),
            longest_list=int(self._n_rows_of[1:].max()),
            n_users_not_judged=n_not_judged,
            n_users_unknown=n_unknown,
            n_judged_without_list=len(context.users) - len(has_list),
        )

    def blocks(self, depth: int) -> Iterator[BlockOfLists]:
        """The judged users' lists, down to `depth`, each user once.

        Raises:
            TableError: after the last block, where rows are at fault; the message lists every kind of error.
        """
        for path in self._files:
            if path.exists():
                rows = np.fromfile(path, self._dtype)
                path.unlink()
                yield self._block(rows, depth)
        self._errors.refuse(self.info.label)

    @property
    def _dtype(self) -> np.dtype[np.void]:
        fields: list[tuple[str, type[np.generic]]] = [("row", np.int64), ("user_num", np.int32), ("item_num", np.int32)]
        names = self._table.schema.names
        fields += [("rank", np.int32)] if columns.RANK in names else []
        fields += [("score", np.float64)] if columns.SCORE in names else []
        fields += [("origin", np.int8)] if columns.ORIGIN in names else []
        return np.dtype(fields)

    def _deal_out(self) -> list[Path]:
        wanted = [columns.USER_ID, columns.ITEM_ID, columns.RANK, columns.SCORE, columns.ORIGIN]
        names = [name for name in wanted if name in self._table.schema.names]
        n_blocks = -(-(len(self._users) + 1) // self._users_per_block)
        paths = [self._folder / f"block-{number:05d}.bin" for number in range(n_blocks)]
        first_row = 0
        for part in self._table.read(names):
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
        codes, values = codes_and_values(encoded(origin))
        texts = values.cast(pa.string())
        for name in texts.to_pylist():
            if name not in self._origins and len(self._origins) < 100:
                self._origins.append(name)
        numbers = positions_in(texts, pa.array(self._origins, pa.string())).astype(np.int8)
        return np.append(numbers, np.int8(-1))[codes_as_numpy(codes, null=-1)]

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
        origin = np.full((len(judged), depth if self._origins else 0), -1, np.int8)
        if self._origins:
            origin[row_line[kept], place[kept]] = records["origin"][order][kept]
        return BlockOfLists(position[judged], lists, origin, tuple(self._origins))


def _unique(table: TableParts) -> pa.Array:
    """The users of the table, each once."""
    found = [distinct_in(part[columns.USER_ID]).drop_null() for part in table.read([columns.USER_ID])]
    return pc.unique(pa.chunked_array(found).combine_chunks())
