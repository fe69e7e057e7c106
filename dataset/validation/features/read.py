"""Feature columns of items and users: each read as what it is named for, else as what its type says."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from belfry.dataset import columns
from belfry.dataset.encoding.columns import CategoryEncoder, Encoder, NumberEncoder, VectorEncoder
from belfry.dataset.encoding.text import empty_as_null, is_text
from belfry.dataset.errors import TableError
from belfry.dataset.tables import Tables
from belfry.dataset.validation import coercion
from belfry.dataset.validation.cleaning import Cleaning, Finding, nearest
from belfry.dataset.validation.features.lists import as_list, of_values
from belfry.dataset.validation.features.noise import note_likely_title, note_noise_and_kinds
from belfry.dataset.validation.features.rules import SETTING_OF, FeatureRules, Kind
from belfry.dataset.validation.features.vectors import as_vectors, is_list_of_floats
from belfry.dataset.validation.number_text import with_points
from belfry.dataset.validation.policy import Policy

_MAX_WHOLE = 2.0**53  # above, a float64 does not know whole numbers apart


def read_features(cleaning: Cleaning, id_column: str, policy: Policy, text_columns: Iterable[str]) -> None:
    """Take the columns beside the ids over; what tells no rows apart is left out, and what may be meant is noted.

    Args:
        cleaning: the ids have been read, so that rows that go are known.
        text_columns: those that the source of the table names, beside those of `policy`.
    """
    kinds: dict[str, Kind] = {**dict.fromkeys(text_columns, "text"), **policy.kinds}
    for name, count in Counter(cleaning.table.column_names).items():
        if name == id_column or kinds.get(name) == "ignored" or (count > 1 and not cleaning.require(name)):
            continue
        if cleaning.name == "items" and name == columns.TITLE:
            _read_named(cleaning, name, as_spelled)
        elif name in kinds:
            words = policy.null_words if kinds[name] == "number" else ()
            _read_named(cleaning, name, _rule_of(kinds[name], policy, name), words)
        else:
            remedy = ", or --set data.unusable_column=drop"
            cleaning.read(name, partial(as_type_says, rules=policy), policy.unusable_column, remedy=remedy)
    note_noise_and_kinds(cleaning, id_column, kinds)
    if cleaning.name == "items":
        note_likely_title(cleaning)


def read_as(cleaning: Cleaning, encoders: Mapping[str, Encoder], policy: Policy) -> None:
    """Take over those columns of a later table that training made encoders of, each read as training read it."""
    for name, encoder in encoders.items():
        if name in cleaning.table.column_names and cleaning.require(name):
            words = policy.null_words if isinstance(encoder, NumberEncoder) else ()
            rule = _rule_of(_kind_of(encoder), policy, name)
            if isinstance(encoder, VectorEncoder):
                rule = partial(as_vectors, on_bad=policy.bad_vector, length=encoder.length)
            _read_named(cleaning, name, rule, words)


def _kind_of(encoder: Encoder) -> Kind:
    if isinstance(encoder, NumberEncoder):
        return "number"
    if isinstance(encoder, VectorEncoder):
        return "vector"
    return "category" if isinstance(encoder, CategoryEncoder) else "text" if encoder.of_words else "list"


def check_names(tables: Tables, rules: FeatureRules) -> list[Finding]:
    """What is wrong with the names of columns in the settings and in what a source declares."""
    of_tables = {table: list(one.column_names) for table in ("items", "users") if (one := getattr(tables, table))}
    ids = {columns.ITEM_ID, columns.USER_ID}
    known = sorted({name for names in of_tables.values() for name in names} - ids)
    named = [(name, SETTING_OF[kind]) for name, kind in rules.kinds.items()]
    named += [(name, SETTING_OF["text"]) for name in tables.text_columns if name not in rules.kinds]
    named += [(name, "usage_columns") for name in sorted(set(tables.usage_columns))]
    findings = []
    for name, setting in named:
        if name not in known:
            near = nearest(name, known)
            hint = f"; did you mean {near!r}?" if near else ""
            wanted = f"is named in {setting}, but is no feature of items or users: correct {setting}{hint}"
            findings.append(Finding("items, users", "named_column", "error", wanted, name))
    if rules.kinds.get(columns.TITLE) not in (None, "text", "ignored") and columns.TITLE in of_tables.get("items", ()):
        wanted = f"is what lists show, and can be text or ignored: take it out of {SETTING_OF[rules.kinds['title']]}"
        findings.append(Finding("items", "named_column", "error", wanted, columns.TITLE))
    return findings


def as_spelled(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Single values as text, as a reader writes them: 1900 rather than 1900.0, a day rather than its midnight."""
    column = coercion.decoded(column)
    kind = column.type
    if pa.types.is_floating(kind):
        column = coercion.without_nan(column.cast(pa.float64()))
        is_whole = pc.and_(pc.equal(column, pc.floor(column)), pc.less(pc.abs(column), _MAX_WHOLE))
        column = column.cast(pa.int64()) if pc.all(is_whole).as_py() is not False else column
    elif (
        pa.types.is_timestamp(kind)
        and pc.all(pc.equal(column, pc.floor_temporal(column, unit="day"))).as_py() is not False
    ):
        column = column.cast(pa.timestamp("s")).cast(pa.date32())
    elif not (
        is_text(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_integer(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_temporal(kind)
        or pa.types.is_null(kind)
    ):
        raise TableError(f"is {str(kind)[:60]}; single values are wanted here: convert or ignore the column")
    try:
        return column.cast(pa.string())
    except pa.ArrowException as error:
        raise TableError(f"is {str(kind)[:60]}, which has no form as text; convert or ignore the column") from error


def as_type_says(column: pa.ChunkedArray, rules: FeatureRules) -> pa.ChunkedArray:
    if is_list_of_floats(column.type):
        return as_vectors(column, on_bad=rules.bad_vector, is_named=False)
    try:
        return of_values(column)
    except TableError:
        return coercion.as_feature(column)


def _as_number(column: pa.ChunkedArray) -> pa.ChunkedArray:
    column = coercion.decoded(column)
    if is_text(column.type):
        coercion.as_numbers(column)  # refuses what is no number, with its row
        text = pc.replace_substring_regex(pc.utf8_trim_whitespace(with_points(column.cast(pa.string()))), r"^\+", "")
        return empty_as_null(text).cast(pa.float64())
    if pa.types.is_boolean(column.type):
        return column.cast(pa.int64())
    feature = coercion.as_feature(column)
    if pa.types.is_list(feature.type):
        raise TableError(f"is {str(column.type)[:60]}; numbers are wanted here")
    return feature


def _rule_of(kind: Kind, rules: FeatureRules, name: str) -> Callable[[pa.ChunkedArray], pa.ChunkedArray]:
    if kind == "list":
        return lambda column: as_list(column, rules.delimiters.get(name))
    if kind == "vector":
        return partial(as_vectors, on_bad=rules.bad_vector)
    return _as_number if kind == "number" else as_spelled


def _read_named(
    cleaning: Cleaning,
    name: str,
    rule: Callable[[pa.ChunkedArray], pa.ChunkedArray],
    null_words: tuple[str, ...] = (),
) -> None:
    """As `Cleaning.read`, of a column whose kind is known: no note says what it has become."""
    try:
        cleaning.columns[name] = rule(cleaning.without_words(name, null_words))
    except (TableError, pa.ArrowException) as error:
        cleaning.note("unusable_column", str(error), name, action="error")
