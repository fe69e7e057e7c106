"""A recommendations table, made by anybody -> Candidates, or every reason why not in one message."""

import numpy as np
import pyarrow as pa

from dataset import columns
from dataset.candidates import Candidates
from dataset.errors import InputError, TableError
from dataset.interactions import Mask, Positions, SeenItems
from dataset.vocabulary import Numbers, Vocabulary, as_id_type
from evaluation.metrics import PerUser

ORIGIN = "table"
_N_SHOWN = 3


def candidates_of_table(
    table: pa.Table,
    users: Vocabulary,
    items: Vocabulary,
    *,
    asked: Numbers | None = None,
    seen: SeenItems | None = None,
) -> Candidates:
    """The lists that `table` holds, by its ranks, or by its scores where it has no ranks (ties by item id).

    Users without a number in `users` stay, each by themselves, with number 0.

    Args:
        table: `user_id`, `item_id`, and `rank` (integers from 1 up) or `score` (higher is better) or both.
        users: the vocabulary that user ids are looked up in.
        items: the catalogue.
        asked: [n_asked] users who should be in the table; one who is not gets an empty list, which counts as zeros.
        seen: where given, an item that its user has seen is a fault.

    Raises:
        TableError: the table cannot be judged; the message lists every problem with its count and first rows, from 0.
    """
    problems = _column_problems(table, users, items)
    if problems:
        raise _refusal(problems)
    # Numbers of the table's own ids, 0 for a null, tell unknown users and items apart.
    user_ids, item_ids = (table[name].combine_chunks() for name in (columns.USER_ID, columns.ITEM_ID))
    own_users, own_items = Vocabulary(user_ids.drop_null()), Vocabulary(item_ids.drop_null())
    user_code, item_code = own_users.numbers(user_ids), own_items.numbers(item_ids)
    item_num = items.numbers(item_ids)
    rank, score = _floats(table, columns.RANK), _floats(table, columns.SCORE)

    problems = [
        *_problem(user_code == 0, f"a null {columns.USER_ID}", "drop them"),
        *_problem(item_code == 0, f"a null {columns.ITEM_ID}", "drop them"),
        *_problem(
            (item_num == 0) & (item_code > 0), "an item that the catalogue lacks", "pass its items, or drop them"
        ),
        *_problem(_repeats(user_code, item_code), "a user and an item of an earlier row", "keep one of each"),
        *_order_problems(user_code, rank, score),
    ]
    if seen is not None:
        user_num = users.numbers(user_ids)
        was_seen = seen.contains(user_num, item_num)
        problems += _problem(
            was_seen, "an item that its user has seen", "remove them, or judge with seen items allowed"
        )
    if problems:
        raise _refusal(problems)

    # Sorted here and not by take_top_k: a foreign score may be float64 and differ below float32.
    keys = [key for key in (rank, None if score is None else -score) if key is not None]
    order = np.lexsort((item_num, keys[0], user_code))
    row_user = user_code[order].astype(np.int64) - 1
    starts = np.searchsorted(row_user, np.arange(len(own_users)))
    ranks = np.arange(1, len(order) + 1) - starts[row_user]
    scores = -ranks if score is None else score[order]
    numbers = users.numbers(own_users.ids)
    if asked is not None:
        numbers = np.concatenate([numbers, np.setdiff1d(asked, numbers)])
    return Candidates(
        users=numbers,
        row_user=row_user,
        item_num=item_num[order],
        score=scores.astype(np.float32),
        rank=ranks.astype(np.int32),
        origin=np.zeros(len(order), np.int8),
        origins=(ORIGIN,),
    )


def _column_problems(table: pa.Table, users: Vocabulary, items: Vocabulary) -> list[str]:
    """What makes the rows unreadable: missing columns, no rows, columns of another type."""
    names = table.column_names
    problems = [f"column {name!r} is missing" for name in (columns.USER_ID, columns.ITEM_ID) if name not in names]
    if columns.RANK not in names and columns.SCORE not in names:
        problems.append(f"columns {columns.RANK!r} and {columns.SCORE!r} are both missing; one of them must give order")
    if problems:
        return [*problems, f"found columns: {', '.join(map(repr, names))}"]
    if not len(table):
        return ["there are no rows"]
    problems += _id_problem(table, columns.USER_ID, users) + _id_problem(table, columns.ITEM_ID, items)
    if columns.RANK in names and not pa.types.is_integer(table[columns.RANK].type):
        problems.append(f"column {columns.RANK!r} is {table[columns.RANK].type}; cast it to integers")
    if columns.SCORE in names and not _is_number(table[columns.SCORE].type):
        problems.append(f"column {columns.SCORE!r} is {table[columns.SCORE].type}; cast it to a number")
    return problems


def _id_problem(table: pa.Table, name: str, vocabulary: Vocabulary) -> list[str]:
    """Ids of another type than the vocabulary's: "1" and 1 are never the same."""
    try:
        found = as_id_type(table[name].combine_chunks()).type
    except InputError:
        found = table[name].type
    wanted = vocabulary.ids.type
    return [] if found == wanted else [f"column {name!r} is {found} and the data has {wanted} ids; cast it"]


def _order_problems(user_code: Numbers, rank: PerUser | None, score: PerUser | None) -> list[str]:
    problems = []
    if score is not None:
        problems += _problem(
            ~np.isfinite(score), "a score that is null, NaN or infinite", "drop them or mend the scores"
        )
    if rank is None:
        return problems
    problems += _problem(np.isnan(rank), "a null rank", "number each user's rows 1, 2, 3, ...")
    order = np.lexsort((rank, user_code))
    sorted_code = user_code[order]
    expected = np.arange(1, len(order) + 1) - np.searchsorted(sorted_code, sorted_code)
    wrong = order[(rank[order] != expected) & ~np.isnan(rank[order]) & (sorted_code > 0)]
    _, first = np.unique(user_code[wrong], return_index=True)
    if len(first):
        problems.append(
            f"{_count(len(first), 'user')} with ranks that do not run 1, 2, 3, ... (first in {_rows(wrong[first])}); "
            "leave no gap and use no rank twice"
        )
    if score is not None:
        rises = (score[order][1:] > score[order][:-1]) & (sorted_code[1:] == sorted_code[:-1])
        disagree = np.zeros(len(order), np.bool_)
        disagree[order[1:][rises]] = True
        problems += _problem(
            disagree, "a higher score than the rank before", "drop the column that does not give order"
        )
    return problems


def _repeats(user_code: Numbers, item_code: Numbers) -> Mask:
    """[n_rows] whether an earlier row has the same user and item; rows with a null repeat nothing."""
    pairs = user_code.astype(np.int64) * (item_code.max() + 1) + item_code
    repeats = np.ones(len(pairs), np.bool_)
    repeats[np.unique(pairs, return_index=True)[1]] = False
    return repeats & (user_code > 0) & (item_code > 0)


def _floats(table: pa.Table, name: str) -> PerUser | None:
    """[n_rows] the column, null as NaN; None where the table has no such column."""
    if name not in table.column_names:
        return None
    values: PerUser = table[name].cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return values


def _is_number(type_: pa.DataType) -> bool:
    return bool(pa.types.is_integer(type_) or pa.types.is_floating(type_) or pa.types.is_decimal(type_))


def _problem(bad: Mask, what: str, remedy: str) -> list[str]:
    rows = np.flatnonzero(bad)
    return [f"{_count(len(rows), 'row')} with {what} (first in {_rows(rows)}); {remedy}"] if len(rows) else []


def _rows(rows: Positions) -> str:
    shown = ", ".join(map(str, np.sort(rows)[:_N_SHOWN]))
    return f"row {shown}" if len(rows) == 1 else f"rows {shown}"


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def _refusal(problems: list[str]) -> TableError:
    return TableError("\n- ".join(["recommendations: the table cannot be judged", *problems]))
