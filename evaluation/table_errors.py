"""TableErrors: what is wrong with a table of lists, counted while its rows come by, each kind with its first rows."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from belfry.dataset import columns
from belfry.dataset.arrays import Mask, Positions, differs_from_row_before
from belfry.dataset.errors import InputError, TableError
from belfry.dataset.history.seen_items import SeenItems, pair_keys
from belfry.dataset.validation.usual_names import remedy
from belfry.dataset.vocabulary import ItemNums, Numbers, UserNums, Vocabulary, as_id_type
from belfry.evaluation.metrics import PerUser

NO_RANK = np.iinfo(np.int32).min  # a null
_N_SHOWN = 3

# Kind -> what a row (or a user) has, and what to do; in the order of messages.
_KINDS = {
    "null_user": (f"a null {columns.USER_ID}", "drop them"),
    "null_item": (f"a null {columns.ITEM_ID}", "drop them"),
    "unknown_item": ("an item that the catalogue lacks", "pass its items, or drop them"),
    "repeat": ("a user and an item of an earlier row", "keep one of each"),
    "score": ("a score that is null, NaN or infinite", "drop them or mend the scores"),
    "null_rank": ("a null rank", "number each user's rows 1, 2, 3, ..."),
    "gap": ("ranks that do not run 1, 2, 3, ...", "leave no gap and use no rank twice"),
    "rise": ("a higher score than the rank before", "drop the column that does not give order"),
    "seen": ("an item that its user has seen", "remove them, or judge with --repeats allow"),
    "not seen": ("an item that its user has not seen", "remove them, or judge with --repeats allow"),
    "disliked": ("an item that its user has disliked", "remove them"),
}
_OF_USERS = {"gap"}  # kinds that count users, each by the first of their rows


@dataclass(frozen=True)
class Rows:
    """Rows of a table, in any order, in numbers."""

    row: Positions  # [n] position in the table, from 0
    user_num: UserNums  # [n] equal for rows of one user, 0 for a null
    item_num: ItemNums  # [n] 0 for a null or an unknown item
    rank: Numbers | None  # [n] NO_RANK for a null
    score: PerUser | None  # [n] NaN for a null

    def order(self) -> Positions:
        """[n] rows of a user together, by rank, or by score where there is no rank; ties by item number."""
        key = self.rank if self.rank is not None else -self.score if self.score is not None else self.row
        before, after = self.user_num[:-1], self.user_num[1:]
        is_sorted = (before < after) | ((before == after) & (key[:-1] < key[1:]))
        if is_sorted.all():
            return np.arange(len(key))
        return np.lexsort((self.item_num, key, self.user_num))


@dataclass
class TableErrors:
    """What was found so far."""

    found: dict[str, tuple[int, list[int]]] = field(default_factory=dict)  # kind -> count, first rows

    def add(self, kind: str, rows: npt.ArrayLike) -> None:
        """Rows (positions in the table) that have this error."""
        rows = np.asarray(rows, np.int64)
        if len(rows):
            n, first = self.found.get(kind, (0, []))
            nearest = np.partition(rows, min(_N_SHOWN, len(rows) - 1))[:_N_SHOWN]
            self.found[kind] = (n + len(rows), sorted([*first, *nearest.tolist()])[:_N_SHOWN])

    def lines(self) -> list[str]:
        """One line for each kind."""
        lines = []
        for kind, (what, way_out) in _KINDS.items():
            if kind in self.found:
                n, first = self.found[kind]
                noun = ("user" if n == 1 else "users") if kind in _OF_USERS else ("row" if n == 1 else "rows")
                shown = ", ".join(f"{row}" for row in first)
                lines.append(
                    f"{n:,} {noun} with {what} (first in {'row' if len(first) == 1 else 'rows'} {shown}); {way_out}"
                )
        return lines

    def refuse(self, name: str) -> None:
        """Raises:
        TableError: anything was found; the message lists it all.
        """
        if self.found:
            raise refusal(self.lines(), name)


def find_errors(rows: Rows, order: Positions, errors: TableErrors) -> None:
    """Repeated pairs, scores that are no numbers, ranks with gaps, and scores that rise with rank.

    Args:
        rows: all rows of their users.
        order: as `rows.order()` gives it.
    """
    user = rows.user_num[order]
    is_first = differs_from_row_before(user)
    errors.add("repeat", rows.row[_repeats(rows)])
    if rows.score is not None:
        errors.add("score", rows.row[~np.isfinite(rows.score)])
    if rows.rank is None:
        return
    rank = rows.rank[order]
    errors.add("null_rank", rows.row[rows.rank == NO_RANK])
    starts = np.flatnonzero(is_first)
    expected = np.arange(1, len(order) + 1) - np.repeat(starts, np.diff(np.append(starts, len(order))))
    wrong = order[(rank != expected) & (rank != NO_RANK) & (user > 0)]
    by_user = np.lexsort((rows.row[wrong], rows.user_num[wrong]))
    _, first = np.unique(rows.user_num[wrong][by_user], return_index=True)
    errors.add("gap", rows.row[wrong[by_user][first]])
    if rows.score is not None:
        rises = (rows.score[order][1:] > rows.score[order][:-1]) & ~is_first[1:]
        errors.add("rise", rows.row[order[1:][rises]])


def find_seen(rows: Rows, seen: SeenItems, errors: TableErrors) -> None:
    """Items that no list may hold; `rows.user_num` are numbers of the vocabulary behind `seen`."""
    errors.add(seen.was, rows.row[seen.contains(rows.user_num, rows.item_num)])


def column_problems(schema: pa.Schema, n_rows: int, users: pa.DataType, items: pa.DataType) -> list[str]:
    """What makes the rows unreadable: missing columns, no rows, columns of another type.

    Args:
        schema: `user_id`, `item_id`, and `rank` or `score` or both are wanted in it, each once.
        users: type of the ids that the data has, as `as_id_type` gives it.
        items: likewise.
    """
    names = schema.names
    known = (columns.USER_ID, columns.ITEM_ID, columns.RANK, columns.SCORE)
    missing = [name for name in known[:2] if name not in names]
    problems = [f"column {name!r} is missing" for name in missing]
    problems += [f"column {name!r} is there {names.count(name)} times" for name in known if names.count(name) > 1]
    if columns.RANK not in names and columns.SCORE not in names:
        problems.append(f"columns {columns.RANK!r} and {columns.SCORE!r} are both missing; one of them must give order")
    if problems:
        way_out = f": {remedy(missing, names)}" if missing else ""
        return [*problems, f"found columns: {', '.join(map(repr, names))}{way_out}"]
    if not n_rows:
        return ["there are no rows"]
    for name, wanted in ((columns.USER_ID, users), (columns.ITEM_ID, items)):
        if (found := _id_type(schema.field(name).type)) != wanted:
            problems.append(f"column {name!r} is {found} and the data has {wanted} ids; cast it")
    if columns.RANK in names and not pa.types.is_integer(schema.field(columns.RANK).type):
        problems.append(f"column {columns.RANK!r} is {schema.field(columns.RANK).type}; cast it to integers")
    if columns.SCORE in names and not _is_number(schema.field(columns.SCORE).type):
        problems.append(f"column {columns.SCORE!r} is {schema.field(columns.SCORE).type}; cast it to a number")
    return problems


def rows_of(table: pa.Table, users: Vocabulary, items: Vocabulary, *, first_row: int = 0) -> Rows:
    """The rows of a table without `column_problems`; users and items as numbers of these vocabularies."""
    rank = score = None
    if columns.RANK in table.column_names:
        wide = table[columns.RANK].cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        rank = np.where(np.isnan(wide), NO_RANK, np.clip(wide, NO_RANK + 1, np.iinfo(np.int32).max)).astype(np.int32)
    if columns.SCORE in table.column_names:
        score = table[columns.SCORE].cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return Rows(
        first_row + np.arange(len(table)),
        users.numbers(table[columns.USER_ID]),
        items.numbers(table[columns.ITEM_ID]),
        rank,
        score,
    )


def refusal(problems: list[str], name: str) -> TableError:
    """The error that lists every problem of a table."""
    return TableError("\n- ".join([f"{name}: the table cannot be judged", *problems]))


def _repeats(rows: Rows) -> Mask:
    """[n] whether an earlier row of the table has the same user and item; rows with a 0 repeat nothing."""
    pairs = pair_keys(rows.user_num, rows.item_num)
    order = np.argsort(pairs, kind="stable")
    is_repeat = np.zeros(len(pairs), np.bool_)
    is_repeat[order[1:]] = pairs[order][1:] == pairs[order][:-1]
    return is_repeat & (rows.user_num > 0) & (rows.item_num > 0)


def _id_type(type_: pa.DataType) -> pa.DataType:
    try:
        return as_id_type(pa.array([], type_)).type
    except (InputError, pa.ArrowException):
        return type_


def _is_number(type_: pa.DataType) -> bool:
    return bool(pa.types.is_integer(type_) or pa.types.is_floating(type_) or pa.types.is_decimal(type_))
