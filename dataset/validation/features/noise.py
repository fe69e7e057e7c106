"""Columns that look like features and are none, and columns that may hold something else than their type says."""

import json
import re
from collections.abc import Collection, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from belfry.dataset import columns
from belfry.dataset.encoding.columns import MIN_COUNT
from belfry.dataset.errors import shown
from belfry.dataset.validation.cleaning import Cleaning, nearest
from belfry.dataset.validation.features.lists import looks_like_list
from belfry.dataset.validation.features.rules import SETTING_OF, Kind
from belfry.dataset.validation.number_text import NUMBER_LITERAL, with_points
from belfry.dataset.validation.policy import NULL_WORDS

MIN_ROWS = 10  # fewer whole numbers may rise by one by chance

_N_NAMED = 12  # columns in a message
_SHOWN = 60  # signs of a value, or a name, in a message
_WORD = re.compile(r"[^\W\d_]+?(?=[A-Z][a-z]|[\W\d_]|$)")  # of a name as snake_case or camelCase
_CODES = frozenset(
    "id ids code codes zip zipcode postal postcode plz sku ean isbn no nr category cat class type cluster segment "  # noqa: SIM905
    "group region state country city brand store department dept genre".split()
)  # how names of columns of codes end
_EMPTY = "no row has a value there"
_CONSTANT = "every row that has a value has the same"
_DRESSED = r"^\s*[$€£¥]\s*[-+]?\d[\d.,]*\s*$|^\s*[-+]?\d[\d.,]*\s*[$€£¥%]\s*$|^\s*[-+]?\d{1,3}(,\d{3})+(\.\d*)?\s*$"
_LEADING_ZERO = r"^\s*[-+]?0\d"
_TITLES = (
    *("name", "movie_title", "item_name", "item_title", "product_name", "product_title", "prod_name"),
    *("book_title", "book-title", "track_name", "track_title", "song", "original_title", "movie_name"),
)


def note_noise_and_kinds(cleaning: Cleaning, id_column: str, kinds: Mapping[str, Kind]) -> None:
    """Take numbers of rows away; note them, what `FeatureEncoder` will leave out, and what may be of another kind.

    Who named a column knows its kind.
    """
    reasons: dict[str, list[str]] = {}
    codes: list[str] = []
    numbers: list[str] = []
    for name in _features(cleaning, id_column, kinds):
        values, is_named = _kept(cleaning, name), name in kinds
        if pa.types.is_string(values.type):
            counts = pc.value_counts(values.drop_null())
            distinct = counts.field("values")
            if not is_named and _are_numbers(distinct) and not _is_code(name):
                numbers.append(name)
            elif not is_named and (example := _dressed_number(distinct)):
                found = f"holds numbers with other signs, such as {shown(example)}, and is read as a category"
                cleaning.note("numbers_as_text", f"{found}; write plain numbers, if they are quantities", name)
            elif not is_named and looks_like_list(distinct):
                n_rare = int(pc.sum(pc.less(counts.field("counts"), MIN_COUNT)).as_py())
                _note_list(cleaning, name, distinct, n_rare)
            reason = _why_no_category(counts, n_valid=len(values) - values.null_count)
        elif not is_named and _counts_rows(values):
            del cleaning.columns[name]
            reason = f"it counts the rows; if it is a quantity all the same, name it in {SETTING_OF['number']}"
        else:
            reason = _why_noise(values)
            if not reason and not is_named and pa.types.is_integer(values.type) and _is_code(name):
                codes.append(name)
        if reason and len(values):
            reasons.setdefault(reason, []).append(name)
    for reason, names in reasons.items():
        cleaning.note("left_out", f"left out {_listed(names)}: {reason}")
    if codes:
        found = f"whole numbers are read as quantities and may be codes: {_listed(codes)}"
        cleaning.note("codes", f"{found}; if they are codes, {_setting('category', codes)}")
    if numbers:
        found = f"numbers as text are read as categories: {_listed(numbers)}"
        cleaning.note("numbers_as_text", f"{found}; if they are quantities, {_setting('number', numbers)}")


def note_likely_title(cleaning: Cleaning) -> None:
    """Without a column of titles, name the one that looks like it."""
    names = cleaning.table.column_names
    if columns.TITLE in names:
        return
    folded = {name.strip().casefold(): name for name in names}
    likely = [folded[name] for name in (columns.TITLE, *_TITLES) if name in folded]
    near = likely[0] if likely else nearest(columns.TITLE, names)
    if near:
        found = f"there is no column {columns.TITLE!r}, so lists show ids alone"
        cleaning.note("title", f"{found}; {shown(near)} looks like one: call it {columns.TITLE!r} to see it in lists")


def _features(cleaning: Cleaning, id_column: str, kinds: Mapping[str, Kind]) -> list[str]:
    """Columns that are read, without the ids, words and titles."""
    is_shown = {columns.TITLE} if cleaning.name == "items" else set()
    return [name for name in cleaning.columns if name not in {id_column, *is_shown} and kinds.get(name) != "text"]


def _kept(cleaning: Cleaning, name: str) -> pa.Array:
    """The values of rows that are kept."""
    values = cleaning.columns[name].combine_chunks()
    return values if cleaning.kept.all() else values.filter(pa.array(cleaning.kept))


def _why_no_category(counts: pa.StructArray, *, n_valid: int) -> str:
    """Why text tells no rows apart, by the counts of its values; empty where it does."""
    if len(counts) < 2:
        return _CONSTANT if len(counts) else _EMPTY
    n_shared = int(pc.sum(pc.greater_equal(counts.field("counts"), MIN_COUNT)).as_py())
    if n_shared >= 2:
        return ""
    if len(counts) == n_valid:
        return f"every row has a value of its own, as codes and names have; words are read by {SETTING_OF['text']}"
    return f"no two values there are shared by {MIN_COUNT} rows each"


def _why_noise(values: pa.Array) -> str:
    """The same of lists and numbers."""
    if values.null_count == len(values):
        return _EMPTY
    if pa.types.is_fixed_size_list(values.type):
        return ""
    if pa.types.is_list(values.type):
        counts = pc.value_counts(pc.list_flatten(values).drop_null())
        shared = pc.greater_equal(counts.field("counts"), MIN_COUNT)
        return "" if pc.any(shared).as_py() else f"no value there is shared by {MIN_COUNT} rows"
    span = pc.min_max(values.filter(pc.is_finite(values)) if pa.types.is_floating(values.type) else values)
    return _CONSTANT if span["min"].as_py() == span["max"].as_py() else ""


def _counts_rows(values: pa.Array) -> bool:
    """Whether whole numbers are the places of their rows, from 0 or 1."""
    if not pa.types.is_integer(values.type) or values.null_count or len(values) < MIN_ROWS:
        return False
    numbers = values.to_numpy()
    return bool(numbers[0] in (0, 1) and (np.diff(numbers) == 1).all())


def _note_list(cleaning: Cleaning, name: str, distinct: pa.Array, n_rare: int) -> None:
    example = shown(max(distinct[:100].to_pylist(), key=lambda text: len(text) <= _SHOWN and len(text)))
    found = f"looks like a list ({example}) and is read as one category of {len(distinct):,} values"
    rare = f", {n_rare:,} of them rare and so unknown" if n_rare else ""
    cleaning.note("list", f"{found}{rare}; for several categories in a cell, {_setting('list', [name])}", name)


def _is_code(name: str) -> bool:
    words = _WORD.findall(name[-_SHOWN:])
    return bool(words) and words[-1].casefold() in _CODES


def _are_numbers(distinct: pa.Array) -> bool:
    distinct = with_points(distinct.filter(pc.invert(pc.is_in(distinct, value_set=pa.array(NULL_WORDS)))))
    if len(distinct) < 2 or not pc.match_substring_regex(distinct[:1], NUMBER_LITERAL)[0].as_py():
        return False
    is_number = pc.match_substring_regex(distinct, NUMBER_LITERAL)
    return bool(pc.all(is_number).as_py()) and not pc.any(pc.match_substring_regex(distinct, _LEADING_ZERO)).as_py()


def _dressed_number(distinct: pa.Array) -> str | None:
    """The first text, where all are numbers with thousands apart, a currency or a percent sign."""
    if len(distinct) < 2 or not pc.all(pc.match_substring_regex(distinct, _DRESSED)).as_py():
        return None
    return str(distinct[0].as_py())


def _setting(kind: Kind, names: Collection[str]) -> str:
    if any(len(name) > _SHOWN for name in names):
        return f"name them in {SETTING_OF[kind]}"
    return f"--set '{SETTING_OF[kind]}={json.dumps(list(names)[:_N_NAMED], ensure_ascii=False)}'"


def _listed(names: list[str]) -> str:
    """ "column 'a'", or "3 columns ('a', 'b', 'c')"."""
    if len(names) == 1:
        return f"column {shown(names[0])}"
    more = ", ..." if len(names) > _N_NAMED else ""
    return f"{len(names):,} columns ({', '.join(map(shown, names[:_N_NAMED]))}{more})"
