"""The data that systems are compared on: train and test tables, as one context that every system is judged in."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from belfry.dataset import columns
from belfry.dataset.errors import TableError
from belfry.dataset.event_weights import DEFAULT_EVENT_WEIGHTS, EventWeights, part_events
from belfry.dataset.history.repeats import Repeats, kept_out
from belfry.dataset.interactions import Interactions
from belfry.dataset.sources.reading import AS_IT_IS, Reading
from belfry.dataset.sources.tabular import Source, read_events, read_tables
from belfry.dataset.validation.check import check, keep_repeats
from belfry.dataset.validation.policy import DEFAULT_POLICY, Policy
from belfry.dataset.vocabulary import UNKNOWN, Vocabulary
from belfry.evaluation.context import EvaluationContext, UserCount, make_context
from belfry.evaluation.groups import Groups, categories_of, groups_of_column
from belfry.pipeline.jobs.later_events import later_watches
from belfry.pipeline.serving.recommender import Recommender

MAX_USER_COLUMNS = 10
MAX_VALUES = 50  # a column with more of them names its users rather than grouping them


@dataclass(frozen=True)
class CompareData:
    """The context, and what of the tables is not in it."""

    context: EvaluationContext
    left_out: tuple[UserCount, ...]
    notes: tuple[str, ...]


def read_compare_data(
    train: Source,
    test: Source,
    items: Source | None,
    users: Source | None,
    runs: Sequence[Recommender],
    *,
    how: Reading = AS_IT_IS,
    repeats: Repeats,
    liked_from: float | None,
) -> CompareData:
    """Check the tables and number them; the catalogue is every item of train, of items and of `runs`.

    Raises:
        TableError: a table is at fault; the message lists every problem.
        InputError: nobody can be judged.
    """
    event_weights, policy, differences = _reading_of(runs)
    tables = read_tables(train, items, users, reading=how)
    reading = policy.of_ids_and_ratings
    known, report = check(tables, reading if repeats == "exclude" else keep_repeats(reading, tables), can_set=False)
    report.tell()
    own_users, own_items = Vocabulary(known.user_ids), Vocabulary(known.item_ids)
    catalogue, notes = _with_runs(own_items, runs)
    later = read_events(test, own_users, own_items, reading=how)
    later = later_watches(later, own_users, catalogue, event_weights, policy=policy, rated_and_timed=True)
    everybody = Vocabulary(pa.chunked_array([*known.user_ids.chunks, *later[columns.USER_ID].drop_null().chunks]))
    parts = part_events(known.interactions, event_weights, liked_from=policy.liked_from)
    history = Interactions.from_table(parts.watches, users=everybody, items=catalogue, dislikes=parts.dislikes)
    events = Interactions.from_table(later, users=everybody, items=catalogue)
    n_nameless = int((events.user_num == UNKNOWN).sum())
    context, left_out = make_context(
        history,
        events,
        seen=kept_out(history, repeats),
        titles=_titles(known.items, history.items, runs),
        categories=categories_of(known.items, history.items),
        user_columns=_user_columns(known.users, history.users),
        liked_from=liked_from,
        told=[UserCount(f"unknown: {n_nameless:,} test rows have no user_id", 1)] if n_nameless else [],
    )
    return CompareData(context, tuple(left_out), (*differences, *notes))


def _reading_of(runs: Sequence[Recommender]) -> tuple[EventWeights, Policy, list[str]]:
    """What events and ratings mean to all of the runs; where they differ, by default, with a note."""
    readings = {(run.event_weights, run.parts.policy.of_ids_and_ratings, run.parts.policy.liked_from) for run in runs}
    if len(readings) == 1:
        return runs[0].event_weights, runs[0].parts.policy, []
    differ = "The runs read events or ratings differently: all tables are read by the default settings."
    return DEFAULT_EVENT_WEIGHTS, DEFAULT_POLICY, [differ] if readings else []


def _with_runs(items: Vocabulary, runs: Sequence[Recommender]) -> tuple[Vocabulary, list[str]]:
    """The catalogue with that of the runs, and what they differ in."""
    notes, chunks = [], [items.ids]
    for recommender in runs:
        name, own = recommender.run.name, recommender.items
        if own.ids.type != items.ids.type:
            raise TableError(
                f"{name}: its item ids are {own.ids.type}, those of train are {items.ids.type}; 1 and '1' are never "
                "merged: pass the data that the run was trained on"
            )
        n_more = int((items.numbers(own.ids) == UNKNOWN).sum())
        n_fewer = int((own.numbers(items.ids) == UNKNOWN).sum())
        if n_more or n_fewer:
            notes.append(
                f"The catalogue of {name} has {n_more:,} items that train and items lack, and lacks {n_fewer:,} of "
                "theirs."
            )
        chunks.append(own.ids)
    return Vocabulary(pa.chunked_array(chunks)), notes


def _titles(items: pa.Table | None, vocabulary: Vocabulary, runs: Sequence[Recommender]) -> pa.Array:
    """[n_items] from the items table, else from a run that knows one."""
    sources = [(recommender.items.ids, recommender.titles) for recommender in runs]
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
