"""A log of what was shown, read and checked; and the lists that systems have for its users."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import numpy as np
import pyarrow as pa

from belfry.dataset import columns
from belfry.dataset.arrays import differs_from_row_before
from belfry.dataset.errors import InputError, TableError
from belfry.dataset.history.seen_items import SeenItems
from belfry.dataset.sources.reading import AS_IT_IS, Reading
from belfry.dataset.sources.tabular import Source, read_events
from belfry.dataset.validation import coercion
from belfry.dataset.vocabulary import UNKNOWN, Vocabulary, as_id_type
from belfry.evaluation.context import EvaluationContext
from belfry.evaluation.lists import ListSource, lists_in_memory
from belfry.evaluation.metrics import Counts, PerUser
from belfry.evaluation.reports.counterfactual import Log, Policy

REWARD = "reward"
_WANTED = {columns.PROPENSITY: "above 0 and up to 1", columns.RANK: "whole numbers from 1", REWARD: "numbers"}


def read_log(
    source: Source,
    users: Vocabulary,
    items: Vocabulary,
    *,
    how: Reading = AS_IT_IS,
    is_uniform: bool = False,
    clip: float | None = None,
) -> Log:
    """A log: `user_id`, `item_id`, `reward`, `propensity`, and `rank` where its rows are places of lists.

    Rows of users who are not among `users` stay out; those of unknown items count as shown, and no list holds them.

    Args:
        is_uniform: single items were shown, every one of the catalogue as likely.
        clip: weights above it are cut.

    Raises:
        TableError: it cannot be used; the message lists every problem.
        InputError: nobody in it is known, or `clip` is below 1.
    """
    if clip is not None and not clip >= 1:
        raise InputError(f"log: weights cut to {clip:g}: wanted at least 1, the weight of what is always shown")
    table = read_events(source, users, items, reading=how, name="log")
    if not len(table):
        raise TableError("log: has no rows; hand in what was shown to users, a row for each item shown")
    numbers, problems = _numbers(table, {columns.USER_ID: users, columns.ITEM_ID: items}, is_uniform)
    if problems:
        raise TableError("\n- ".join(["log: cannot be used", *problems]))
    user_num = users.numbers(table[columns.USER_ID])
    kept = np.flatnonzero(user_num != UNKNOWN)
    if not len(kept):
        raise InputError("log: none of its users is in the data that lists are judged on; pass the log of these users")
    own, row = np.unique(user_num[kept], return_inverse=True)
    item_num = items.numbers(table[columns.ITEM_ID]).astype(np.int64)[kept]
    chance = numbers.get(columns.PROPENSITY, np.full(len(table), 1 / len(items)))[kept]
    log = Log.of_items(own, row, item_num, numbers[REWARD][kept], chance, clip=clip)
    if columns.RANK not in numbers:
        return log
    return replace(log, n_lists=_lists_shown(row, numbers[columns.RANK][kept].astype(np.int64)))


def policies_of(
    log: Log,
    context: EvaluationContext,
    systems: Mapping[str, Callable[[EvaluationContext], ListSource]],
    n: int,
) -> list[Policy]:
    """How the lists of `n` of each system stand to a log.

    Args:
        systems: name -> its lists for the users of a context, which are those of the log.
    """
    shown = SeenItems.of_pairs(log.users[log.row], log.item_num.astype(np.int32), len(context.history.users))
    of_log = replace(context, test=shown, rating=None, time=None)
    return [
        Policy.of_lists(name, lists_in_memory(lists(of_log), len(log.users), n), log) for name, lists in systems.items()
    ]


def _numbers(
    table: pa.Table, vocabularies: dict[str, Vocabulary], is_uniform: bool
) -> tuple[dict[str, PerUser], list[str]]:
    """The columns of numbers, and what is wrong with the table."""
    problems: list[str] = []
    for name, vocabulary in vocabularies.items():
        if table.column_names.count(name) != 1:
            problems.append(f"column {name!r} is needed once")
        elif (found := _id_type(table, name)) != vocabulary.ids.type:
            problems.append(f"column {name!r} is {found} and the data has {vocabulary.ids.type} ids; cast it")
    numbers = {}
    has_rank = columns.RANK in table.column_names
    if is_uniform and has_rank:
        problems.append("column 'rank' says that lists were shown, and 'uniform' that single items were; keep one")
    for name in [REWARD] + [columns.PROPENSITY] * (not is_uniform) + [columns.RANK] * has_rank:
        if table.column_names.count(name) != 1:
            problems.append(
                f"column {name!r} is needed once"
                + ("; where items were shown at random, say so instead" if name == columns.PROPENSITY else "")
            )
            continue
        try:
            numbers[name] = coercion.as_numbers(table[name]).to_numpy(zero_copy_only=False).astype(np.float64)
        except TableError as error:
            problems.append(f"column {name!r} {error}")
    if not problems:
        problems += _bad_numbers(numbers)
    return numbers, problems


def _bad_numbers(numbers: dict[str, PerUser]) -> Iterator[str]:
    for name, values in numbers.items():
        bad = ~np.isfinite(values)
        if name == columns.PROPENSITY:
            bad |= (values <= 0) | (values > 1)
        if name == columns.RANK:
            bad |= (values < 1) | (values != np.floor(values))
        if bad.any():
            rows = ", ".join(map(str, np.flatnonzero(bad)[:3]))
            found = f"{bad.sum():,} values that are not {_WANTED[name]} (first in rows {rows})"
            yield f"column {name!r} has {found}; mend or drop them"


def _lists_shown(row: Counts, rank: Counts) -> Counts:
    """[n_users] lists of each user: rows at rank 1.

    Raises:
        TableError: a rank has more rows than the one above it, so that rows are missing.
    """
    order = np.lexsort((rank, row))
    first = np.flatnonzero(differs_from_row_before(row[order], rank[order]))
    of_user, of_rank, count = row[order][first], rank[order][first], np.diff(np.append(first, len(row)))
    same = ~differs_from_row_before(of_user)
    gap = np.where(same, np.diff(of_rank, prepend=0) != 1, of_rank != 1)
    more = same & (np.diff(count, prepend=0) > 0)
    if (bad := np.unique(of_user[gap | more])).size:
        raise TableError(
            f"log: lists of {len(bad):,} users lack rows (a rank has more of them than the one above); log every item "
            "that was shown, with a reward of 0 where nothing came of it, or leave out 'rank' where single items were"
        )
    return np.asarray(count[of_rank == 1], np.int64)


def _id_type(table: pa.Table, name: str) -> pa.DataType:
    try:
        return as_id_type(table[name].combine_chunks()).type
    except InputError:
        return table[name].type
