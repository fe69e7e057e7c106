"""Validation: one report with every problem of the raw tables, and the tables cleaned by a stated policy.

Rows are counted from 0, in the table as it was handed in; the header of a file is no row.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, FiniteFloat, field_validator

from belfry.dataset import columns
from belfry.dataset.errors import TableError
from belfry.dataset.tables import Tables
from belfry.dataset.validation import coercion
from belfry.dataset.validation.cleaning import Cleaning, Finding, codes_of, nearest, repeats, where
from belfry.dataset.validation.features.read import check_names, read_features
from belfry.dataset.validation.features.rules import FeatureRules
from belfry.dataset.validation.order import check_order, in_order, read_order

YEAR_2200_S = 7_258_118_400
KNOWN = columns.OF_INTERACTIONS


class Policy(FeatureRules):
    """What to do with each kind of problem: refuse the tables, drop the rows, or clip the values into their range."""

    bad_id: Literal["error", "drop"] = Field("error", description="ids that are null, empty or longer than 1000 bytes")
    repeated_id: Literal["error", "drop"] = Field("error", description="an id twice in items or users; drop keeps one")
    repeated_event: Literal["error", "drop", "keep"] = Field(
        "drop",
        description="rows with the user, item, time (and place in `data.order`) and event of an earlier row; without "
        "times and order, of any",
    )
    rating_range: tuple[FiniteFloat, FiniteFloat] | None = Field(None, description="lowest and highest rating allowed")
    rating_out_of_range: Literal["error", "drop", "clip", "null"] = Field(
        "error", description="only where a range is stated; null takes such a rating for not rated"
    )
    liked_from: FiniteFloat | None = Field(
        None, description="lowest rating that is no dislike: an event rated below it was seen, and not liked"
    )
    infinite_rating: Literal["error", "drop"] = Field("error", description="ratings of plus or minus infinity")
    bad_time: Literal["error", "drop"] = Field("error", description="times that are null, before 1970 or after 2199")
    bad_weight: Literal["error", "drop", "clip"] = Field(
        "error", description="weights that are null, infinite or negative; clip makes them 0"
    )
    order: str | None = Field(
        None,
        description="what says which of a user's events came first, where times do not: `rows` (they are in order), or "
        "the name of a column of the interactions",
    )
    bad_order: Literal["error", "drop"] = Field("error", description="nulls in the column that `data.order` names")
    unusable_column: Literal["error", "drop"] = Field(
        "error", description="features of a type without a rule; drop leaves the column out"
    )

    @property
    def of_ratings(self) -> "Policy":
        """What it mends in ratings, for tables that are judged by: what it would refuse or drop stays as it is."""
        if self.rating_out_of_range not in ("clip", "null"):
            return DEFAULT_POLICY
        return Policy(rating_range=self.rating_range, rating_out_of_range=self.rating_out_of_range)

    @field_validator("rating_range")
    @classmethod
    def _rising(cls, rating_range: tuple[float, float] | None) -> tuple[float, float] | None:
        if rating_range and rating_range[0] > rating_range[1]:
            raise ValueError(f"runs from {rating_range[0]} down to {rating_range[1]}; name the lowest rating first")
        return rating_range


DEFAULT_POLICY = Policy()


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

    def raise_errors(self) -> None:
        """Raises TableError, whose message is the whole report, where there is any."""
        if n_errors := len(self.errors):
            title = f"{n_errors} problem{'s' if n_errors > 1 else ''} in the tables (rows counted from 0):"
            raise TableError("\n".join([title, *self.lines()]))

    def lines(self) -> list[str]:
        """One line per finding, the errors first."""
        ranked = sorted(self.findings, key=lambda finding: finding.action != "error")
        return [f"{'error' if finding.action == 'error' else 'note'}: {finding}" for finding in ranked]


def check(tables: Tables, policy: Policy = DEFAULT_POLICY) -> tuple[Tables, CheckReport]:
    """The tables in Belfry's own types, and what was found and done on the way.

    Interactions keep the columns that Belfry knows and the labels named; items and users keep every column that tells
    rows apart, ids first.

    Raises:
        TableError: something was found that the policy does not mend; the message is the whole report.
    """
    checked, report = examine(tables, policy)
    report.raise_errors()
    return checked, report


def examine(tables: Tables, policy: Policy = DEFAULT_POLICY) -> tuple[Tables, CheckReport]:
    """As `check`, which refuses what has errors; with any, the tables are as far as they could be read."""
    findings: list[Finding] = []
    interactions = _clean_interactions(tables.interactions, tables.label_columns, policy, findings)
    texts = tables.text_columns
    items = _clean_features("items", tables.items, columns.ITEM_ID, policy, texts, findings)
    users = _clean_features("users", tables.users, columns.USER_ID, policy, texts, findings)
    _compare_ids(interactions, items, columns.ITEM_ID, "items", findings)
    _compare_ids(interactions, users, columns.USER_ID, "users", findings)
    findings += check_names(tables, policy)
    texts = tuple(
        name for name in dict.fromkeys((*texts, *policy.text_columns)) if policy.kinds.get(name, "text") == "text"
    )
    checked = Tables(interactions, items, users, texts, tables.usage_columns, tables.label_columns)
    return checked, CheckReport(tuple(findings))


def keep_repeats(policy: Policy, tables: Tables) -> Policy:
    """The policy for lists with repeats: rows without times and order that repeat others are events.

    Unless the policy says otherwise.
    """
    is_ordered = policy.order is not None or columns.TIMESTAMP_S in tables.interactions.column_names
    is_said = "repeated_event" in policy.model_fields_set
    return policy if is_ordered or is_said else policy.model_copy(update={"repeated_event": "keep"})


def check_later(table: pa.Table, policy: Policy = DEFAULT_POLICY, *, rated_and_timed: bool = False) -> pa.Table:
    """A table of later events, its columns `event` and `weight`, if any, in Belfry's own types; ids as they came.

    Args:
        policy: what to do with ratings.
        rated_and_timed: convert `rating` and `timestamp_s` too.

    Raises:
        TableError: one of the two cannot be used; the message is the whole report.
    """
    findings: list[Finding] = []
    cleaning = Cleaning("test", table, findings)
    _read_event_and_weight(cleaning, DEFAULT_POLICY)
    if rated_and_timed:
        _read_rating_and_time(cleaning, policy)
    if errors := CheckReport(tuple(findings)).errors:
        raise TableError("\n".join(map(str, errors)))
    for name, values in cleaning.columns.items():
        table = table.set_column(table.column_names.index(name), name, values)
    return table


def _read_event_and_weight(cleaning: Cleaning, policy: Policy) -> None:
    if cleaning.read_optional(columns.WEIGHT, coercion.as_numbers):
        _check_weights(cleaning, policy)
    cleaning.read_optional(columns.EVENT, coercion.as_text)


def _clean_interactions(table: pa.Table, labels: tuple[str, ...], policy: Policy, findings: list[Finding]) -> pa.Table:
    cleaning = Cleaning("interactions", table, findings)
    _note_unused(cleaning, (*labels, *([policy.order] if policy.order else [])))
    ids_read = [cleaning.read_ids(name, policy.bad_id) for name in (columns.USER_ID, columns.ITEM_ID)]
    _read_rating_and_time(cleaning, policy)
    _read_event_and_weight(cleaning, policy)
    for name in labels:
        if cleaning.require(name) and cleaning.read(name, coercion.as_labels):
            infinite = where(pc.is_inf(cleaning.columns[name]))
            cleaning.report("infinite_rating", name, infinite, "has {count} infinite labels", "error", "mend them")
    if not len(table):
        cleaning.note("no_rows", "has no rows; hand in at least a few users' watches", action="error")
        return cleaning.finish()
    read_order(cleaning, policy.order, policy.bad_order)
    if all(ids_read):
        _check_events(cleaning, policy)
        check_order(cleaning, policy.order)
    _leave_out_equal_weights(cleaning)
    return in_order(cleaning.finish())


def _read_rating_and_time(cleaning: Cleaning, policy: Policy) -> None:
    if cleaning.read_optional(columns.RATING, coercion.as_numbers):
        _check_ratings(cleaning, policy)
    elif policy.liked_from is not None and columns.RATING not in cleaning.table.column_names:
        found = "is missing, and data.liked_from reads it: add it, or leave data.liked_from out"
        cleaning.note("missing_column", found, columns.RATING, action="error")
    if cleaning.read_optional(columns.TIMESTAMP_S, coercion.as_seconds):
        _check_times(cleaning, policy)


def _note_unused(cleaning: Cleaning, labels: tuple[str, ...]) -> None:
    names = cleaning.table.column_names
    unused = [name for name in names if name not in (*KNOWN, *labels)]
    if not unused:
        return
    missing = (name for name in KNOWN[2:] if name not in names)
    pairs = ((near, name) for name in missing if (near := nearest(name, unused)))
    hints = "".join(f"; rename {near!r} to {name!r} if that is what it is" for near, name in pairs)
    names_of_some = ", ".join(map(repr, unused[:12]))
    cleaning.note("unused_column", f"left out {len(unused)} columns that are not used: {names_of_some}{hints}")


def _check_ratings(cleaning: Cleaning, policy: Policy) -> None:
    name, rating = columns.RATING, cleaning.columns[columns.RATING]
    infinite = where(pc.is_inf(rating))
    cleaning.report(
        "infinite_rating", name, infinite, "has {count} infinite ratings", policy.infinite_rating, "mend them"
    )
    if policy.rating_range is None:
        return
    low, high = policy.rating_range
    outside = where(pc.or_(pc.less(rating, low), pc.greater(rating, high))) & ~infinite
    found = f"has {{count}} ratings outside of {low:g} to {high:g}"
    cleaning.report("rating_out_of_range", name, outside, found, policy.rating_out_of_range, "mend them")
    if policy.rating_out_of_range == "clip":
        clipped = pc.min_element_wise(pc.max_element_wise(rating, low, skip_nulls=False), high, skip_nulls=False)
        cleaning.columns[name] = clipped.cast(pa.float32())
    if policy.rating_out_of_range == "null":
        cleaning.columns[name] = pc.if_else(pa.array(outside), pa.scalar(None, pa.float32()), rating)


def _check_times(cleaning: Cleaning, policy: Policy) -> None:
    name, seconds = columns.TIMESTAMP_S, cleaning.columns[columns.TIMESTAMP_S]
    action = policy.bad_time
    cleaning.report("bad_time", name, where(pc.is_null(seconds)), "has {count} nulls", action, "drop or fill them")
    early = where(pc.less(seconds, 0))
    cleaning.report("bad_time", name, early, "has {count} times before 1970", action, "drop or mend them")
    late = where(pc.greater_equal(seconds, YEAR_2200_S))
    remedy = "mend them; if they are milliseconds, divide by 1000"
    cleaning.report("bad_time", name, late, "has {count} times after the year 2199", action, remedy)


def _check_weights(cleaning: Cleaning, policy: Policy) -> None:
    name, weight = columns.WEIGHT, cleaning.columns[columns.WEIGHT]
    no_number = where(pc.or_kleene(pc.is_null(weight), pc.is_inf(weight)))
    found = "has {count} weights that are null or infinite"
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
    keys = [codes_of(cleaning.columns[name]) for name in names]
    found = f"{{count}} rows repeat {', '.join(map(repr, names))} of an earlier row"
    cleaning.report(
        "repeated_event", None, repeats(keys, cleaning.kept), found, policy.repeated_event, "remove the later ones"
    )
    n_kept = int(cleaning.kept.sum())
    if not n_kept:
        cleaning.note("no_rows", "has no row left after dropping; mend the rows named above", action="error")
    for column, codes, one in zip(names, keys[:2], ("user", "item"), strict=False):
        if n_kept and len(np.unique(codes[cleaning.kept])) == 1:
            text = f"names one {one} in all {n_kept} rows; there is nothing to learn from one {one}: hand in more"
            cleaning.note(f"one_{one}", text, column, action="error")


def _clean_features(
    table_name: str,
    table: pa.Table | None,
    id_column: str,
    policy: Policy,
    text_columns: tuple[str, ...],
    findings: list[Finding],
) -> pa.Table | None:
    if table is None:
        return None
    cleaning = Cleaning(table_name, table, findings)
    if cleaning.read_ids(id_column, policy.bad_id):
        ids = cleaning.columns[id_column]
        repeated = repeats([codes_of(ids)], cleaning.kept & where(pc.is_valid(ids)))
        found = "repeats an earlier id {count} times"
        cleaning.report("repeated_id", id_column, repeated, found, policy.repeated_id, "keep one row per id")
    read_features(cleaning, id_column, policy, text_columns, policy.unusable_column)
    if not cleaning.kept.any():
        cleaning.note("no_rows", "has no rows; fill it or leave the table out", action="error")
    return cleaning.finish()


def _compare_ids(
    interactions: pa.Table, others: pa.Table | None, name: str, table_name: str, findings: list[Finding]
) -> None:
    if others is None or name not in others.column_names or name not in interactions.column_names:
        return
    ids, known = interactions[name], others[name]
    if ids.type != known.type:
        text = f"is {known.type}, but {ids.type} in interactions; 1 and '1' are never merged: cast one of the two"
        findings.append(Finding(table_name, "id_type", "error", text, name))
        return
    absent = np.flatnonzero(~where(pc.is_in(ids, value_set=known.combine_chunks())))
    if len(absent):
        text = f"has {len(absent)} rows whose id the table {table_name} lacks; kept, without features"
        findings.append(Finding("interactions", "no_features", "note", text, name, len(absent)))
