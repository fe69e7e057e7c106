"""Arrived: tables of what came since a run was made, read and checked as its own tables were."""

import hashlib
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from belfry.dataset import columns
from belfry.dataset.concurrency.cached import cached_property
from belfry.dataset.encoding.context import CLOCK
from belfry.dataset.encoding.dictionary import plain
from belfry.dataset.encoding.table import FeatureEncoder
from belfry.dataset.errors import InputError, shown
from belfry.dataset.event_weights import EventParts, part_events
from belfry.dataset.interactions import Interactions
from belfry.dataset.prepare import Data
from belfry.dataset.sources.id_types import is_guessed
from belfry.dataset.sources.reading import Reading
from belfry.dataset.sources.tabular import Source, read_tables
from belfry.dataset.tables import Tables
from belfry.dataset.validation.check import CheckReport, examine
from belfry.dataset.validation.cleaning import Cleaning, Finding, codes_of, repeats, where
from belfry.dataset.validation.features.read import as_spelled, as_type_says, read_as
from belfry.dataset.validation.id_matches import note_meeting, numbers_among
from belfry.dataset.validation.ids import find_header_rows, read_ids
from belfry.dataset.validation.policy import Policy
from belfry.dataset.vocabulary import Vocabulary
from belfry.pipeline.config import PipelineConfig

# What `examine` finds in tables that are all there is to learn from; these come on top of others.
_OF_WHOLE_TABLES = frozenset({"one_user", "one_item", "everybody", "named_column", "equal_weights"})
_MANY = 10  # events, that are not all of a new user and a new item by chance


@dataclass(frozen=True)
class Arrived:
    """What came: checked tables, with ids of the run's types."""

    events: EventParts
    items: pa.Table | None
    users: pa.Table | None
    ids: pa.Table  # of users and items, in all events

    @property
    def user_ids(self) -> pa.ChunkedArray:
        """Of all rows."""
        return _ids(columns.USER_ID, self.ids, self.users)

    @property
    def item_ids(self) -> pa.ChunkedArray:
        """Of all rows."""
        return _ids(columns.ITEM_ID, self.ids, self.items)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all events, in their order: equal for tables that are given twice; empty where there are none."""
        tables = [table for table in (self.events.watches, self.events.dislikes, self.events.impressions) if len(table)]
        digest = hashlib.sha256()
        for table in tables:
            sink, plain = pa.BufferOutputStream(), table.replace_schema_metadata(None).combine_chunks()
            with pa.ipc.new_stream(sink, plain.schema) as stream:
                stream.write_table(plain)
            digest.update(sink.getvalue())
        return digest.hexdigest() if tables else ""


def read_arrived(
    interactions: Source | None,
    items: Source | None,
    users: Source | None,
    before: Data,
    config: PipelineConfig,
    reading: Reading,
    *,
    kept: frozenset[str] = frozenset(),
) -> Arrived:
    """Read and check what came since, by the settings of a run that holds `before`.

    Args:
        kept: columns of items that no model reads, and that the run keeps for rules.

    Raises:
        InputError: there is no table.
        TableError: a table is wrong, has ids of another type than the run, or lacks a column that the run's events have
            and cannot do without; the message is the whole report.
    """
    if interactions is None and items is None and users is None:
        raise InputError("there is nothing to update with: name interactions, items or users")
    history = before.interactions
    nothing = pa.table({columns.USER_ID: history.users.ids[:0], columns.ITEM_ID: history.items.ids[:0]})
    tables = read_tables(nothing if interactions is None else interactions, items, users, reading=reading)
    findings = [Finding(note.table, "reading", "note", note.text) for note in tables.notes]
    of_items = _Side("items", columns.ITEM_ID, history.items, before.item_encoder, kept)
    of_users = _Side("users", columns.USER_ID, history.users, before.user_encoder)
    new_items = _read_described(tables.items, of_items, config.data, findings)
    new_users = _read_described(tables.users, of_users, config.data, findings)
    events = nothing
    if interactions is not None:
        events = _read_events(tables.interactions, history, config, findings)
    report = CheckReport(tuple(findings))
    report.raise_errors()
    report.tell()
    ids = events.select([columns.USER_ID, columns.ITEM_ID])
    parts = EventParts(nothing, nothing, nothing)
    if len(events):
        parts = part_events(events, config.event_weights, liked_from=config.data.liked_from)
    return Arrived(parts, new_items, new_users, ids)


def _read_events(table: pa.Table, history: Interactions, config: PipelineConfig, findings: list[Finding]) -> pa.Table:
    """The checked interactions; what was found goes to `findings`."""
    for name, known in ((columns.USER_ID, history.users), (columns.ITEM_ID, history.items)):
        table = _as_ids_of(table, name, known)
    declared, policy = Tables(table, label_columns=config.label_columns), config.data
    if history.rows_in_order and history.timestamp_s is None and policy.order is None:
        policy = policy.model_copy(update={"order": columns.TIMESTAMP_S})  # which was found to be one at training
    there = tuple(name for name in policy.context_columns if name in (*table.column_names, *CLOCK))
    if missing := [name for name in policy.context_columns if name not in there]:
        found = f"lacks {', '.join(map(shown, missing))}; the context of these events is taken for absent"
        findings.append(Finding("interactions", "context", "note", found))
    if columns.TIMESTAMP_S not in table.column_names:
        there = tuple(name for name in there if name not in CLOCK)  # an error below, where they have rows
    policy = policy.model_copy(update={"context_columns": there})
    checked, report = examine(declared, policy, can_set=False)
    events = plain(checked.interactions, (columns.USER_ID, columns.ITEM_ID))
    is_empty = not events.num_columns or not len(events)
    findings += [one for one in report.findings if not _is_fine(one, is_empty)]
    for name, known in ((columns.USER_ID, history.users), (columns.ITEM_ID, history.items)):
        findings += _other_type("interactions", events, name, known)
    if is_empty:
        return events
    if history.timestamp_s is not None and columns.TIMESTAMP_S not in events.column_names:
        wanted = "is missing, and the run's events have times: hand in when each event happened"
        findings.append(Finding("interactions", "missing_column", "error", wanted, columns.TIMESTAMP_S))
    elif history.rows_in_order and columns.ORDER not in events.column_names:
        wanted = "say nothing of their order, in which the run's events stand: hand in the column that does"
        findings.append(Finding("interactions", "missing_column", "error", wanted))
    findings += _meetings(events, history)
    return events


def _meetings(events: pa.Table, history: Interactions) -> list[Finding]:
    """An error where nothing ties the events to those of the run; a note where hardly any ids of a column are known."""
    cleaning, n_known = Cleaning("interactions", events, [], can_set=False), 0
    for name, known in ((columns.USER_ID, history.users), (columns.ITEM_ID, history.items)):
        if name not in events.column_names or events[name].type != known.ids.type:
            return []
        ids = pc.unique(events[name])
        n_known += int((known.numbers(ids) > 0).sum())
        note_meeting(cleaning, name, ids, known.ids)
    if n_known or len(events) < _MANY:
        return cleaning.findings
    examples = ", ".join(shown(events[name][0].as_py()) for name in (columns.USER_ID, columns.ITEM_ID))
    of_run = ", ".join(shown(known.ids[0].as_py()) for known in (history.users, history.items))
    text = f"name no user and no item of the run (such as {examples}; the run has {of_run}): correct the ids, or train"
    return [Finding("interactions", "no_id_meets", "error", text)]


def _is_fine(finding: Finding, is_empty: bool) -> bool:
    """Whether it would only matter in a table that is all there is to learn from."""
    return finding.kind in _OF_WHOLE_TABLES or (finding.kind == "no_rows" and not is_empty)


class _Side(NamedTuple):
    """What a table of users, or of items, is to fit."""

    label: str
    id_column: str
    known: Vocabulary
    encoder: FeatureEncoder
    kept: frozenset[str] = frozenset()  # columns that are no features


def _read_described(table: pa.Table | None, side: _Side, policy: Policy, findings: list[Finding]) -> pa.Table | None:
    """A checked table of users or items, each id once, with the columns that the run reads; findings are added."""
    if table is None:
        return None
    name, encoders = side.id_column, side.encoder.encoders
    cleaning = Cleaning(side.label, _as_ids_of(table, name, side.known), findings, can_set=False)
    if find_header_rows(cleaning, name) or not read_ids(cleaning, name, policy):
        return None
    ids = cleaning.columns[name]
    found = "repeats an earlier id {count} times"
    repeated = repeats([codes_of(ids)], [], cleaning.kept & where(pc.is_valid(ids)))
    cleaning.report("repeated_id", name, repeated, found, policy.repeated_id, "keep one row per id")
    findings += _other_type(side.label, plain(pa.table({name: ids}), [name]), name, side.known)
    read_as(cleaning, encoders, policy)
    if side.label == "items" and columns.TITLE in table.column_names and columns.TITLE not in encoders:
        cleaning.read(columns.TITLE, as_spelled)
    for column in table.column_names:
        if column in side.kept and column not in cleaning.columns:
            cleaning.read(column, partial(as_type_says, rules=policy))
    unread = [
        column for column in table.column_names if column not in {name, *cleaning.columns, *encoders, *policy.kinds}
    ]
    if unread:
        cleaning.note("unused_column", f"left out what the run does not read: {', '.join(map(shown, unread[:12]))}")
    if missing := [column for column in encoders if column not in table.column_names]:
        cleaning.note("no_features", f"lacks {', '.join(map(shown, missing[:12]))}, which the run reads")
    if not cleaning.kept.any():
        cleaning.note("no_rows", "has no rows; fill it or leave the table out", action="error")
    return cleaning.finish()


def _as_ids_of(table: pa.Table, name: str, known: Vocabulary) -> pa.Table:
    """Whole numbers of CSV files, which do not say what they are, as text where the run's ids are text."""
    if table.column_names.count(name) != 1 or known.is_integer or not is_guessed(table, name):
        return table
    return table.set_column(table.column_names.index(name), name, table[name].cast(pa.string()))


def _other_type(label: str, table: pa.Table, name: str, known: Vocabulary) -> list[Finding]:
    """An error where there are ids of another type than those of the run: 1 and '1' are never merged."""
    if name not in table.column_names or table[name].type == known.ids.type or table[name].null_count == len(table):
        return []
    spelled = numbers_among(table[name], pa.chunked_array([known.ids])) if known.is_integer else ""
    text = f"is {table[name].type}, the run's ids are {known.ids.type}; 1 and '1' are never merged: cast it{spelled}"
    return [Finding(label, "id_type", "error", text, name)]


def _ids(name: str, *tables: pa.Table | None) -> pa.ChunkedArray:
    return pa.chunked_array([chunk for table in tables if table is not None for chunk in table[name].chunks])
