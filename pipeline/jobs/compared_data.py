"""The data that systems are compared on: train and test tables, as one context that every system is judged in."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from belfry.dataset import columns
from belfry.dataset.errors import InputError, TableError
from belfry.dataset.event_weights import DEFAULT_EVENT_WEIGHTS, watches_and_impressions
from belfry.dataset.interactions import Interactions, Mask, SeenItems
from belfry.dataset.sources.tabular import Source, read_tables
from belfry.dataset.tables import Tables
from belfry.dataset.validation import coercion
from belfry.dataset.validation.check import check
from belfry.dataset.vocabulary import UNKNOWN, Vocabulary, as_id_type
from belfry.evaluation.context import EvaluationContext, Groups, categories_of, groups_of_column
from belfry.evaluation.metrics import PerUser
from belfry.evaluation.reports.comparison.counterfactual import Log
from belfry.evaluation.reports.comparison.result import Count
from belfry.pipeline.jobs.compared_systems import Opened, RunPart
from belfry.pipeline.jobs.evaluate import later_watches

REWARD, PROPENSITY = "reward", "propensity"
MAX_USER_COLUMNS = 10
MAX_VALUES = 50  # a column with more of them names its users rather than grouping them


@dataclass(frozen=True)
class CompareData:
    """The context, and what of the tables is not in it."""

    context: EvaluationContext
    seen_allowed: bool
    left_out: tuple[Count, ...]
    notes: tuple[str, ...]


def read_compare_data(
    train: Source,
    test: Source,
    items: Source | None,
    users: Source | None,
    systems: Sequence[Opened],
    *,
    seen_allowed: bool,
    liked_from: float | None,
) -> CompareData:
    """Check the tables and number them; the catalogue is every item of train, of items and of the runs among `systems`.

    Raises:
        TableError: a table is at fault; the message lists every problem.
        InputError: nobody can be judged.
    """
    known, _ = check(read_tables(train, items, users))
    later = read_tables(test, items=_ids_of(known, columns.ITEM_ID), users=_ids_of(known, columns.USER_ID)).interactions
    runs = [part for one in systems for part in one.parts if isinstance(part, RunPart)]
    own_items = _vocabulary(known, columns.ITEM_ID)
    catalogue, notes = _with_runs(own_items, runs)
    later = later_watches(
        later, _vocabulary(known, columns.USER_ID), catalogue, DEFAULT_EVENT_WEIGHTS, rated_and_timed=True
    )
    everybody = Vocabulary(
        pa.chunked_array([*_chunks(known, columns.USER_ID), *later[columns.USER_ID].drop_null().chunks])
    )
    watches, _ = watches_and_impressions(known.interactions, DEFAULT_EVENT_WEIGHTS)
    history = Interactions.from_table(watches, users=everybody, items=catalogue)
    seen = SeenItems.nothing(len(everybody)) if seen_allowed else history.seen_items
    events = Interactions.from_table(later, users=everybody, items=catalogue)
    usable, left_out = _usable(events, seen, history)
    context = _context(history, usable, seen, known, runs, liked_from)
    return CompareData(context, seen_allowed, tuple(left_out), tuple(notes))


def read_log(source: Source, context: EvaluationContext, *, is_uniform: bool) -> Log:
    """A log of what was shown, to whom, how likely, and what came of it; rows of users who are not judged stay out.

    Raises:
        TableError: it cannot be used; the message lists every problem.
    """
    known = {columns.ITEM_ID: context.history.items.ids}, {columns.USER_ID: context.history.users.ids}
    table = read_tables(source, *map(pa.table, known)).interactions
    vocabularies = {columns.USER_ID: context.history.users, columns.ITEM_ID: context.history.items}
    problems = []
    for name, vocabulary in vocabularies.items():
        if table.column_names.count(name) != 1:
            problems.append(f"column {name!r} is needed once")
        elif (found := _id_type(table, name)) != vocabulary.ids.type:
            problems.append(f"column {name!r} is {found} and the data has {vocabulary.ids.type} ids; cast it")
    numbers = {}
    for name in [REWARD] if is_uniform else [REWARD, PROPENSITY]:
        if table.column_names.count(name) != 1:
            problems.append(
                f"column {name!r} is needed once"
                + ("; where items were shown at random, say so instead" if name == PROPENSITY else "")
            )
            continue
        try:
            numbers[name] = coercion.as_numbers(table[name]).to_numpy(zero_copy_only=False).astype(np.float64)
        except TableError as error:
            problems.append(f"column {name!r} {error}")
    if not problems:
        problems += _bad_numbers(numbers)
    if problems:
        raise TableError("\n- ".join(["log: cannot be used", *problems]))
    user_num = context.history.users.numbers(table[columns.USER_ID])
    item_num = context.history.items.numbers(table[columns.ITEM_ID]).astype(np.int64)
    row = np.searchsorted(context.users, user_num)
    kept = context.users[np.minimum(row, len(context.users) - 1)] == user_num
    if not kept.any():
        raise InputError("log: none of its users is judged; pass the log of the users in the test part")
    propensity = numbers.get(PROPENSITY, np.full(len(table), 1 / len(context.history.items)))
    return Log(row[kept], item_num[kept], numbers[REWARD][kept], propensity[kept])


def _bad_numbers(numbers: dict[str, PerUser]) -> Iterator[str]:
    for name, values in numbers.items():
        bad = ~np.isfinite(values)
        if name == PROPENSITY:
            bad |= (values <= 0) | (values > 1)
        if bad.any():
            rows = ", ".join(map(str, np.flatnonzero(bad)[:3]))
            wanted = "above 0 and up to 1" if name == PROPENSITY else "numbers"
            found = f"{bad.sum():,} values that are not {wanted} (first in rows {rows})"
            yield f"column {name!r} has {found}; mend or drop them"


def _context(
    history: Interactions,
    usable: Interactions,
    seen: SeenItems,
    known: Tables,
    runs: Sequence[RunPart],
    liked_from: float | None,
) -> EvaluationContext:
    order = np.lexsort((np.arange(len(usable)), usable.item_num, usable.user_num))
    user, item = usable.user_num[order], usable.item_num[order]
    is_first = np.ones(len(order), np.bool_)
    is_first[1:] = (np.diff(user) != 0) | (np.diff(item) != 0)
    order = order[is_first]
    starts = np.searchsorted(user[is_first], np.arange(len(history.users) + 2)).astype(np.int64)
    rating = None if usable.rating is None else usable.rating[order].astype(np.float64)
    if rating is not None and np.isnan(rating).all():
        rating = None
    return EvaluationContext(
        history=history,
        test=SeenItems(starts, item[is_first]),
        rating=rating,
        time=None if usable.timestamp_s is None else usable.timestamp_s[order],
        seen=seen,
        titles=_titles(known.items, history.items, runs),
        categories=categories_of(known.items, history.items),
        user_columns=_user_columns(known.users, history.users),
        liked_from=_liked_from(liked_from, history, rating),
    )


def _liked_from(wanted: float | None, history: Interactions, rating: PerUser | None) -> float | None:
    if rating is None:
        return None
    if wanted is not None:
        return wanted
    ratings = rating if history.rating is None or np.isnan(history.rating).all() else history.rating
    return float(np.nanmean(ratings))


def _usable(events: Interactions, seen: SeenItems, history: Interactions) -> tuple[Interactions, list[Count]]:
    """The test rows that a list could hit, and whom or what the others cost."""
    unknown_item = events.item_num == UNKNOWN
    was_seen = seen.contains(events.user_num, events.item_num) & ~unknown_item
    unknown_user = events.user_num == UNKNOWN
    usable = ~unknown_item & ~was_seen & ~unknown_user
    everybody, judged = np.unique(events.user_num[~unknown_user]), np.unique(events.user_num[usable])
    cold = judged[np.diff(history.seen_items.starts)[judged] == 0]

    def of_users(rows: Mask) -> int:
        return len(np.unique(events.user_num[rows]))

    counts = [
        Count("no test row of an item that is in the catalogue and was not seen before", len(everybody) - len(judged)),
        Count(f"in part: {unknown_item.sum():,} test rows of items outside of the catalogue", of_users(unknown_item)),
        Count(f"in part: {was_seen.sum():,} test rows of items that they had seen before", of_users(was_seen)),
        Count("judged without any history (cold)", len(cold)),
        Count(f"unknown: {unknown_user.sum():,} test rows have no user_id", int(unknown_user.any())),
    ]
    told = [count for count in counts if count.n]
    if not len(judged):
        why = "; ".join(f"{count.reason}: {count.n:,} users" for count in told) or "it has no rows"
        raise InputError(f"test: no user can be judged ({why}); pass what users did after the training data")
    return events.select(usable), told


def _with_runs(items: Vocabulary, runs: Sequence[RunPart]) -> tuple[Vocabulary, list[str]]:
    """The catalogue with that of the runs, and what they differ in."""
    notes, chunks = [], [items.ids]
    for run in runs:
        if run.items.ids.type != items.ids.type:
            raise TableError(
                f"{run.label}: its item ids are {run.items.ids.type}, those of train are {items.ids.type}; 1 and '1' "
                "are never merged: pass the data that the run was trained on"
            )
        n_more = int((items.numbers(run.items.ids) == UNKNOWN).sum())
        n_fewer = int((run.items.numbers(items.ids) == UNKNOWN).sum())
        if n_more or n_fewer:
            notes.append(
                f"The catalogue of {run.label} has {n_more:,} items that train and items lack, and lacks {n_fewer:,} "
                "of theirs."
            )
        chunks.append(run.items.ids)
    return Vocabulary(pa.chunked_array(chunks)), notes


def _titles(items: pa.Table | None, vocabulary: Vocabulary, runs: Sequence[RunPart]) -> pa.Array:
    """[n_items] from the items table, else from a run that knows one."""
    sources = [(run.items.ids, run.recommender.titles) for run in runs]
    if items is not None and columns.TITLE in items.column_names:
        sources.insert(0, (items[columns.ITEM_ID].combine_chunks(), items[columns.TITLE].combine_chunks()))
    titles = pa.nulls(len(vocabulary), pa.string())
    for ids, found in sources:
        place = pc.index_in(vocabulary.ids, value_set=ids)
        titles = pc.coalesce(titles, found.cast(pa.string()).take(place))
    return titles


def _user_columns(users: pa.Table | None, vocabulary: Vocabulary) -> dict[str, Groups]:
    found: dict[str, Groups] = {}
    if users is None:
        return found
    for name in users.column_names:
        if name == columns.USER_ID or len(found) == MAX_USER_COLUMNS:
            continue
        values = users[name].combine_chunks()
        if pa.types.is_string(values.type) and len(pc.unique(values)) > MAX_VALUES:
            continue
        numbers = vocabulary.numbers(users[columns.USER_ID])
        if (groups := groups_of_column(values, numbers, len(vocabulary))) is not None:
            found[name] = groups
    return found


def _ids_of(known: Tables, name: str) -> pa.Table:
    return pa.table({name: known.interactions[name]})


def _chunks(known: Tables, name: str) -> list[pa.Array]:
    side = known.users if name == columns.USER_ID else known.items
    return [*known.interactions[name].chunks, *([] if side is None else side[name].chunks)]


def _vocabulary(known: Tables, name: str) -> Vocabulary:
    return Vocabulary(pa.chunked_array(_chunks(known, name)))


def _id_type(table: pa.Table, name: str) -> pa.DataType:
    try:
        return as_id_type(table[name].combine_chunks()).type
    except InputError:
        return table[name].type
