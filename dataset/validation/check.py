"""Validation: one report with every problem of the raw tables, and the tables cleaned by a stated policy.

Rows are counted from 0, in the table as it was handed in; the header of a file is no row.
"""

import logging
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from belfry.dataset import columns
from belfry.dataset.errors import TableError
from belfry.dataset.tables import Tables
from belfry.dataset.validation import coercion
from belfry.dataset.validation.cleaning import Cleaning, Finding, codes_of, repeats, where
from belfry.dataset.validation.features.context import read_context_columns
from belfry.dataset.validation.features.read import check_names, read_features
from belfry.dataset.validation.id_matches import compare_ids
from belfry.dataset.validation.ids import find_header_rows, note_everybody, read_ids
from belfry.dataset.validation.order import check_order, in_order, read_order
from belfry.dataset.validation.policy import DEFAULT_POLICY, Policy
from belfry.dataset.validation.ratings import read_ratings
from belfry.dataset.validation.times import mend_far_times, note_1970, read_times
from belfry.dataset.validation.usual_names import usual_name

log = logging.getLogger(__name__)

KNOWN = columns.OF_INTERACTIONS


@dataclass(frozen=True)
class CheckReport:
    """Everything that `check` found, in the order of the tables."""

    findings: tuple[Finding, ...]

    @property
    def errors(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.action == "error")

    @property
    def n_repeated_events(self) -> int:
        """Rows dropped because they repeat an earlier one."""
        return sum(one.count for one in self.findings if one.kind == "repeated_event" and one.action == "drop")

    def tell(self) -> None:
        """Log one line per finding."""
        for line in self.lines():
            log.warning("%s", line)

    def raise_errors(self) -> None:
        """Raises TableError, whose message is the whole report, where there is any."""
        if n_errors := len(self.errors):
            title = f"{n_errors} problem{'s' if n_errors > 1 else ''} in the tables (rows counted from 0):"
            raise TableError("\n".join([title, *self.lines()]))

    def lines(self) -> list[str]:
        """One line per finding, the errors first."""
        ranked = sorted(self.findings, key=lambda finding: finding.action != "error")
        return [f"{'error' if finding.action == 'error' else 'note'}: {finding}" for finding in ranked]


def check(tables: Tables, policy: Policy = DEFAULT_POLICY, *, can_set: bool = True) -> tuple[Tables, CheckReport]:
    """The tables in Belfry's own types, and what was found and done on the way.

    Interactions keep the columns that Belfry knows and the labels named, their ids encoded; items and users keep every
    column that tells rows apart, ids first.

    Args:
        tables: raw.
        policy: what to do with each kind of problem.
        can_set: whether whoever called can give settings, so that messages may advise them.

    Raises:
        TableError: something was found that the policy does not mend; the message is the whole report.
    """
    checked, report = examine(tables, policy, can_set=can_set)
    report.raise_errors()
    return checked, report


def examine(tables: Tables, policy: Policy = DEFAULT_POLICY, *, can_set: bool = True) -> tuple[Tables, CheckReport]:
    """As `check`, which refuses what has errors; with any, the tables are as far as they could be read."""
    findings = [Finding(note.table, "reading", "note", note.text) for note in tables.notes]
    events = Cleaning("interactions", tables.interactions, findings, can_set)
    _clean_interactions(events, tables.label_columns, policy)
    texts = tables.text_columns
    of_items = _clean_features("items", tables.items, columns.ITEM_ID, policy, texts, findings, can_set)
    of_users = _clean_features("users", tables.users, columns.USER_ID, policy, texts, findings, can_set)
    compare_ids(events, of_items, columns.ITEM_ID)
    compare_ids(events, of_users, columns.USER_ID)
    interactions = in_order(events.finish_encoded())
    items, users = (None if cleaning is None else cleaning.finish() for cleaning in (of_items, of_users))
    findings += check_names(tables, policy)
    texts = tuple(
        name for name in dict.fromkeys((*texts, *policy.text_columns)) if policy.kinds.get(name, "text") == "text"
    )
    checked = Tables(
        interactions,
        items,
        users,
        texts,
        tables.usage_columns,
        tables.label_columns,
        context_columns=policy.context_columns,
    )
    return checked, CheckReport(tuple(findings))


def keep_repeats(policy: Policy, tables: Tables) -> Policy:
    """The policy for lists with repeats: rows without times and order that repeat others are events.

    Unless the policy says otherwise.
    """
    is_ordered = policy.order is not None or columns.TIMESTAMP_S in tables.interactions.column_names
    is_said = "repeated_event" in policy.model_fields_set
    return policy if is_ordered or is_said else policy.model_copy(update={"repeated_event": "keep"})


def check_later(
    table: pa.Table, policy: Policy = DEFAULT_POLICY, *, rated_and_timed: bool = False, name: str = "test"
) -> pa.Table:
    """A table of later events, its columns `event` and `weight`, if any, in Belfry's own types; ids as they came.

    Args:
        policy: what to do with ratings.
        rated_and_timed: convert `rating` and `timestamp_s` too.
        name: what messages call the table.

    Raises:
        TableError: one of the two cannot be used; the message is the whole report.
    """
    cleaning = Cleaning(name, table, [], can_set=False)
    _read_event_and_weight(cleaning, DEFAULT_POLICY)
    if rated_and_timed:
        read_ratings(cleaning, policy)
        read_times(cleaning, policy)
    cleaning.raise_errors()
    for column, values in cleaning.columns.items():
        table = table.set_column(table.column_names.index(column), column, values)
    return table


def _read_event_and_weight(cleaning: Cleaning, policy: Policy) -> None:
    if cleaning.read_optional(columns.WEIGHT, coercion.as_numbers, null_words=policy.null_words):
        _check_weights(cleaning, policy)
    cleaning.read_optional(columns.EVENT, coercion.as_text)


def _clean_interactions(cleaning: Cleaning, labels: tuple[str, ...], policy: Policy) -> None:
    if find_header_rows(cleaning, columns.USER_ID, columns.ITEM_ID):
        return  # it is what spoils every column
    ids = (columns.USER_ID, columns.ITEM_ID)
    there = [name for name in ids if cleaning.table.column_names.count(name) == 1]
    if cleaning.require(*ids):
        _note_unused(cleaning, (*labels, *policy.context_columns, *([policy.order] if policy.order else [])))
    elif not there:
        return  # and what else such a table lacks is no cause
    ids_read = [read_ids(cleaning, name, policy) for name in there]
    read_ratings(cleaning, policy)
    read_times(cleaning, policy)
    _read_event_and_weight(cleaning, policy)
    for name in labels:
        if cleaning.require(name) and cleaning.read(name, coercion.as_labels):
            infinite = where(pc.is_inf(cleaning.columns[name]))
            found = "has {count} labels that are infinite or beyond 3.4e38"
            cleaning.report("infinite_rating", name, infinite, found, "error", "mend them")
    read_context_columns(cleaning, policy)
    if not len(cleaning.table):
        cleaning.note("no_rows", "has no rows; hand in at least a few users' watches", action="error")
        return
    read_order(cleaning, policy.order, policy.bad_order)
    if len(there) == len(ids) and all(ids_read):
        _check_events(cleaning, policy)
        check_order(cleaning, policy.order)
    note_1970(cleaning)
    mend_far_times(cleaning, policy.far_time)
    _leave_out_equal_weights(cleaning)


def _note_unused(cleaning: Cleaning, labels: tuple[str, ...]) -> None:
    names = cleaning.table.column_names
    unused = [name for name in names if name not in (*KNOWN, *labels)]
    if not unused:
        return
    missing = (name for name in KNOWN[2:] if name not in names)
    pairs = ((near, name) for name in missing if (near := usual_name(name, unused)))
    hints = "".join(f"; rename {near!r} to {name!r} if that is what it is" for near, name in pairs)
    names_of_some = ", ".join([*map(repr, unused[:12]), *["..."] * (len(unused) > 12)])
    cleaning.note("unused_column", f"left out {len(unused)} columns that are not used: {names_of_some}{hints}")


def _check_weights(cleaning: Cleaning, policy: Policy) -> None:
    name, weight = columns.WEIGHT, cleaning.columns[columns.WEIGHT]
    no_number = where(pc.or_kleene(pc.is_null(weight), pc.is_inf(weight)))
    found = "has {count} weights that are null, infinite or beyond 3.4e38"
    cleaning.report("bad_weight", name, no_number, found, policy.bad_weight, "mend them")
    negative = where(pc.less(weight, 0)) & ~no_number
    remedy = "say what was not liked by an event that event_weights counts below 0, or by a rating and data.liked_from"
    cleaning.report("bad_weight", name, negative, "has {count} negative weights", policy.bad_weight, remedy)
    if policy.bad_weight == "clip":
        cleaning.columns[name] = pc.if_else(pa.array(no_number | negative), pa.scalar(0, pa.float32()), weight)


def _leave_out_equal_weights(cleaning: Cleaning) -> None:
    """Weights that are all alike say nothing, and training is spared them."""
    if columns.WEIGHT not in cleaning.columns:
        return
    weight = cleaning.columns[columns.WEIGHT].to_numpy()[cleaning.kept]
    if len(weight) > 1 and weight[0] > 0 and (weight == weight[0]).all():
        del cleaning.columns[columns.WEIGHT]
        cleaning.note("equal_weights", f"is {weight[0]:g} in every row; left out, for all count alike", columns.WEIGHT)


def _check_events(cleaning: Cleaning, policy: Policy) -> None:
    """Report rows that repeat an earlier one; then whether the rest can teach anything."""
    of_event = (columns.USER_ID, columns.ITEM_ID, columns.TIMESTAMP_S, columns.ORDER, columns.EVENT)
    names = [name for name in of_event if name in cleaning.columns]
    keys = [codes_of(cleaning.columns[name]) for name in names[:2]]
    others = [cleaning.columns[name] for name in names[2:]]
    refused = {one.column for one in cleaning.findings if (one.table, one.action) == (cleaning.name, "error")}
    if not refused & {*of_event, policy.order} - {*names}:  # else rows look alike that a column would tell apart
        found = f"{{count}} rows repeat {', '.join(map(repr, names))} of an earlier row"
        repeated = repeats(keys, others, cleaning.kept)
        cleaning.report("repeated_event", None, repeated, found, policy.repeated_event, "remove the later ones")
    n_kept = int(cleaning.kept.sum())
    if not n_kept:
        cleaning.note("no_rows", "has no row left after dropping; mend the rows named above", action="error")
    if n_kept == 1:
        cleaning.note("no_rows", "has one row of one user; hand in at least a few users' watches", action="error")
        return
    note_everybody(cleaning, keys[0])
    for column, codes, one in zip(names, keys, ("user", "item"), strict=False):
        kept = codes[cleaning.kept]
        if n_kept and (kept == kept[0]).all() and cleaning.columns[column].null_count < len(codes):
            text = f"names one {one} in all {n_kept} rows; there is nothing to learn from one {one}: hand in more"
            cleaning.note(f"one_{one}", text, column, action="error")


def _clean_features(
    table_name: str,
    table: pa.Table | None,
    id_column: str,
    policy: Policy,
    text_columns: tuple[str, ...],
    findings: list[Finding],
    can_set: bool,
) -> Cleaning | None:
    if table is None:
        return None
    cleaning = Cleaning(table_name, table, findings, can_set)
    if find_header_rows(cleaning, id_column):
        return cleaning
    if read_ids(cleaning, id_column, policy):
        ids = cleaning.columns[id_column]
        repeated = repeats([codes_of(ids)], [], cleaning.kept & where(pc.is_valid(ids)))
        found = "repeats an earlier id {count} times"
        cleaning.report("repeated_id", id_column, repeated, found, policy.repeated_id, "keep one row per id")
    read_features(cleaning, id_column, policy, text_columns)
    if not cleaning.kept.any():
        cleaning.note("no_rows", "has no rows; fill it or leave the table out", action="error")
    return cleaning
