"""A recommendations table, made by anybody -> Candidates, or every reason why not in one message."""

from dataclasses import replace

import numpy as np
import pyarrow as pa

from belfry.dataset import columns
from belfry.dataset.candidates import Candidates
from belfry.dataset.interactions import SeenItems
from belfry.dataset.vocabulary import UserNums, Vocabulary
from belfry.evaluation.table_errors import TableErrors, column_problems, find_errors, find_seen, refusal, rows_of

ORIGIN = "table"


def candidates_of_table(
    table: pa.Table,
    users: Vocabulary,
    items: Vocabulary,
    *,
    asked: UserNums | None = None,
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
    problems = column_problems(table.schema, len(table), users.ids.type, items.ids.type)
    if problems:
        raise refusal(problems)
    # Numbers of the table's own ids, 0 for a null, tell unknown users and items apart.
    user_ids, item_ids = (table[name].combine_chunks() for name in (columns.USER_ID, columns.ITEM_ID))
    own_users, own_items = Vocabulary(user_ids.drop_null()), Vocabulary(item_ids.drop_null())
    rows, item_code = rows_of(table, own_users, items), own_items.numbers(item_ids)
    errors, order = TableErrors(), rows.order()
    errors.add("null_user", np.flatnonzero(rows.user_num == 0))
    errors.add("null_item", np.flatnonzero(item_code == 0))
    errors.add("unknown_item", np.flatnonzero((rows.item_num == 0) & (item_code > 0)))
    find_errors(rows, order, errors, item_code)
    if seen is not None:
        find_seen(replace(rows, user_num=users.numbers(user_ids)), seen, errors)
    errors.refuse()

    # Sorted here and not by take_top_k: a foreign score may be float64 and differ below float32.
    row_user = rows.user_num[order].astype(np.int64) - 1
    starts = np.searchsorted(row_user, np.arange(len(own_users)))
    ranks = np.arange(1, len(order) + 1) - starts[row_user]
    scores = -ranks if rows.score is None else rows.score[order]
    numbers = users.numbers(own_users.ids)
    if asked is not None:
        numbers = np.concatenate([numbers, np.setdiff1d(asked, numbers)])
    return Candidates(
        users=numbers,
        row_user=row_user,
        item_num=rows.item_num[order],
        score=scores.astype(np.float32),
        rank=ranks.astype(np.int32),
        origin=np.zeros(len(order), np.int8),
        origins=(ORIGIN,),
    )
