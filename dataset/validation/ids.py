"""Ids: one column of a table becomes whole numbers or text in one spelling; what was met on the way is told."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from belfry.dataset import columns
from belfry.dataset.encoding.dictionary import codes_and_values, codes_as_numpy, encoded, value_type, with_values
from belfry.dataset.encoding.text import is_text
from belfry.dataset.errors import shown
from belfry.dataset.sources.id_types import is_guessed
from belfry.dataset.validation import coercion, spelling
from belfry.dataset.validation.cleaning import Cleaning, Codes, where
from belfry.dataset.validation.id_matches import note_meeting
from belfry.dataset.validation.policy import NULL_WORDS, Policy
from belfry.dataset.vocabulary import Vocabulary

MAX_ID_BYTES = 1000
_FEW = 0.05  # of the distinct ids, that spoil a column of whole numbers
_MIN_USERS = 20  # below, one may well have most of the events
_MANY, _MANY_TIMES = 0.05, 5  # of the events, and of those of the next user: more look like those of everybody
_SHORT = 40
_SAID = 5  # words in a message
_MIN_DISTINCT = 10  # below, one of them is not few


@dataclass(frozen=True)
class _Text:
    """An id column of text: its rows, each distinct value, and how that is spelled."""

    codes: pa.Array  # [n_rows] places in `distinct`
    distinct: pa.Array  # [n_distinct] as they came
    spelled: pa.Array  # [n_distinct] null where they name nobody

    def first_row(self, position: int) -> int:
        return int(pc.index(self.codes, pa.scalar(position, pa.int32())).as_py())

    def n_rows(self, positions: np.ndarray) -> int:
        return int(pc.sum(pc.is_in(self.codes, value_set=pa.array(positions, pa.int32()))).as_py())


def read_ids(cleaning: Cleaning, name: str, policy: Policy) -> bool:
    """Take the id column over as int64 or string, encoded; False where there is none that can be used."""
    if not (cleaning.require(name) and spell_ids(cleaning, name, policy)):
        return False
    ids = cleaning.columns[name]
    written = cleaning.null_words.get(name, "")
    found = f"has {{count}} null or empty ids{written}"
    cleaning.report("bad_id", name, where(pc.is_null(ids)), found, policy.bad_id, "fill them")
    codes, values = codes_and_values(ids)
    if pa.types.is_string(values.type):
        is_long = where(pc.greater(pc.binary_length(values), MAX_ID_BYTES))
        long = np.append(is_long, False)[codes_as_numpy(codes, null=-1)]
        found = f"has {{count}} ids longer than {MAX_ID_BYTES} bytes"
        cleaning.report("bad_id", name, long, found, policy.bad_id, "shorten them")
    return True


def spell_ids(cleaning: Cleaning, name: str, policy: Policy) -> bool:
    """Likewise, nulls left as they are."""
    given = cleaning.table[name]
    if not cleaning.read(name, coercion.as_ids):
        return False
    if pa.types.is_floating(value_type(given.type)):
        cleaning.note("coerced", f"is {given.type}; every id is whole, and read as a whole number", name)
    if is_guessed(cleaning.table, name):
        cleaning.guessed.add(name)
    ids = cleaning.columns[name]
    if pa.types.is_string(value_type(ids.type)):
        try:
            cleaning.columns[name] = _spelled(cleaning, name, ids, policy)
        except pa.ArrowException:  # of a table in memory, which nobody has validated
            del cleaning.columns[name]
            cleaning.note("unusable_column", "holds text that is not UTF-8; decode it", name, action="error")
    elif numbers := spelling.numbers_in(policy.null_words):
        _leave_out_numbers(cleaning, name, ids, numbers)
    return name in cleaning.columns


def note_everybody(cleaning: Cleaning, codes: Codes) -> None:
    """Say so where one user, of `codes` [n_rows], has so many events that the id may stand for all who have none."""
    is_one = cleaning.kept & where(pc.is_valid(cleaning.columns[columns.USER_ID]))
    n_rows, counts = int(is_one.sum()), np.bincount(codes if is_one.all() else codes[is_one])
    n_users = np.count_nonzero(counts)
    if n_users < _MIN_USERS:
        return
    second, most = np.partition(counts, -2)[-2:]
    if most > max(_MANY * n_rows, _MANY_TIMES * second):
        first = int(np.argmax((codes == counts.argmax()) & cleaning.kept))
        id_ = cleaning.columns[columns.USER_ID][first].as_py()
        found = f"is {shown(id_)} in {most} of {n_rows} rows, and any other of {n_users} users in {second} at most"
        remedy = f": if it stands for nobody, --set 'data.null_words=[\"{id_}\"]'" if len(str(id_)) < _SHORT else ""
        cleaning.note("everybody", f"{found}{remedy}", columns.USER_ID)


def ids_like(
    table: pa.Table, known: dict[str, Vocabulary], policy: Policy, *, label: str
) -> tuple[pa.Table, list[str]]:
    """A table about known users or items, its ids spelled as by `check`, and notes; nulls and other types stay.

    Raises:
        TableError: from a column that holds no ids.
    """
    cleaning = Cleaning(label, table, [], can_set=False)
    find_header_rows(cleaning, *known)
    for name, vocabulary in known.items():
        spell_ids(cleaning, name, policy)
        cleaning.raise_errors()
        ids = coercion.decoded(cleaning.columns[name])
        if name in cleaning.guessed and pa.types.is_string(vocabulary.ids.type):
            ids = ids.cast(pa.string())
        table = table.set_column(table.schema.get_field_index(name), name, ids)
        if ids.null_count:
            cleaning.note("bad_id", f"has {ids.null_count} null or empty ids{cleaning.null_words.get(name, '')}", name)
        if ids.type == vocabulary.ids.type:
            note_meeting(cleaning, name, pc.unique(ids).drop_null(), vocabulary.ids)
    return table, [str(finding) for finding in cleaning.findings]


def find_header_rows(cleaning: Cleaning, *names: str) -> bool:
    """Note an error where the line of names comes again as a row, as in files put one behind the other."""
    is_header = np.zeros(len(cleaning.table), np.bool_)
    for name in names:
        if cleaning.table.column_names.count(name) == 1:
            ids, words = cleaning.table[name], pa.array((name, f"\ufeff{name}"), pa.string())
            if pa.types.is_dictionary(ids.type) and is_text(ids.type.value_type):
                codes, values = codes_and_values(encoded(ids))
                is_word = where(pc.is_in(values.cast(pa.string()), value_set=words))
                is_header |= np.append(is_word, False)[codes_as_numpy(codes, null=-1)]
            elif (text := coercion.text_of(ids)) is not None:
                is_header |= where(pc.is_in(text, value_set=words))
    rows = np.flatnonzero(is_header)
    if len(rows):
        first = ", ".join(map(str, rows[:5]))
        some = f"row {first} is" if len(rows) == 1 else f"{len(rows)} rows (first in rows {first}) are"
        found = f"{some} the header line again, as in files put one behind the other; remove what repeats it"
        cleaning.note("header_row", found, action="error", count=len(rows))
    return bool(len(rows))


def _leave_out_numbers(cleaning: Cleaning, name: str, ids: pa.ChunkedArray, numbers: list[int]) -> None:
    """Make nulls of the ids that are said to be none."""
    values = codes_and_values(ids)[1]
    is_null = pc.is_in(values, value_set=pa.array(numbers, pa.int64()))
    if pc.any(is_null).as_py():
        cleaning.columns[name] = with_values(ids, pc.if_else(is_null, pa.scalar(None, pa.int64()), values))
        n_rows = cleaning.columns[name].null_count - ids.null_count
        cleaning.null_words[name] = f", written {', '.join(map(str, numbers))} in {n_rows} rows"


def _spelled(cleaning: Cleaning, name: str, ids: pa.ChunkedArray, policy: Policy) -> pa.ChunkedArray:
    codes, distinct = codes_and_values(ids)
    if not len(distinct):
        return ids
    mended = spelling.mended(distinct)
    words = pa.array(("", *policy.null_words), pa.string())
    is_null = pc.is_in(mended, value_set=words)
    spelled = pc.if_else(is_null, pa.scalar(None, pa.string()), mended if policy.id_spelling == "mend" else distinct)
    text = _Text(codes, distinct, spelled)
    _tell_words(cleaning, name, text, is_null, policy)
    _tell_mended(cleaning, name, text, mended, policy)
    _tell_rounded(cleaning, name, text, policy)
    _tell_quoted(cleaning, name, text)
    _tell_case(cleaning, name, text)
    if name in cleaning.guessed and (whole := spelling.as_integers(spelled)) is not None:
        _tell_floats(cleaning, name, text, whole)
        spelled = whole
    else:
        _tell_numbers(cleaning, name, text)
    return ids if spelled.equals(distinct) else with_values(ids, spelled)


def _tell_words(cleaning: Cleaning, name: str, text: _Text, is_null: pa.Array, policy: Policy) -> None:
    """Which words are nulls, for the message that counts those; and a note on what might be one and is an id."""
    places = np.flatnonzero(where(is_null))
    words = {shown(text.distinct[i].as_py()): text.n_rows(np.array([i])) for i in places[:_SAID].tolist()}
    written = ", ".join(f"{word} in {count} rows" for word, count in words.items() if word != "''")
    if written:
        more = f" and {len(places) - _SAID} other words" if len(places) > _SAID else ""
        cleaning.null_words[name] = f", written {written}{more}"
    kept = pa.array(sorted({*NULL_WORDS} - {*policy.null_words}), pa.string())
    for i in np.flatnonzero(where(pc.is_in(text.spelled, value_set=kept)))[:_SAID].tolist():
        found = f"holds the id {shown(text.spelled[i].as_py())} in {text.n_rows(np.array([i]))} rows (first in row "
        cleaning.note("null_word", f"{found}{text.first_row(i)}), as data.null_words says", name)


def _tell_mended(cleaning: Cleaning, name: str, ids: _Text, mended: pa.Array, policy: Policy) -> None:
    places = np.flatnonzero(where(pc.and_(pc.is_valid(ids.spelled), pc.not_equal(mended, ids.distinct))))
    if not len(places):
        return
    valid = mended.filter(pc.is_valid(ids.spelled))
    n_others = len(valid) - len(pc.unique(valid))
    first = min((ids.first_row(i), i) for i in places[:5].tolist())
    given, better = ids.distinct[first[1]].as_py(), mended[first[1]].as_py()
    # Letters that are composed in two ways look alike unless they are spelled out.
    quoted = shown if given.strip(spelling.BLANKS) == better else ascii
    found = f"has {len(places)} ids with blanks around them, or with letters that are not composed "
    found += f"({quoted(given)} for {quoted(better)})"
    if n_others:
        found += f"; by that alone {n_others} of them differ from another id"
    done = {"mend": "mended, and so one with it", "keep": "kept as they are", "error": "mend them"}[policy.id_spelling]
    if policy.id_spelling == "mend" and not n_others:
        done = "mended"
    if policy.id_spelling == "error" and cleaning.can_set:
        done += ", or --set data.id_spelling=mend"
    text = f"{found} (first in row {first[0]}); {done}"
    cleaning.note("id_spelling", text, name, action="error" if policy.id_spelling == "error" else "note")


def _tell_rounded(cleaning: Cleaning, name: str, text: _Text, policy: Policy) -> None:
    """Long numbers that another program has cut to a few digits, for several of them may have become one."""
    if not pc.any(pc.match_substring(text.spelled, "+")).as_py():  # which costs less
        return
    places = np.flatnonzero(where(spelling.fits(text.spelled, spelling.SCIENTIFIC)))
    if not len(places):
        return
    first = min((text.first_row(i), i) for i in places[:5].tolist())
    found = f"has {len(places)} ids in scientific notation ({shown(text.distinct[first[1]].as_py())}, first in row "
    found += f"{first[0]}), as spreadsheets and pandas cut long numbers, so that several may have become one; "
    if policy.id_spelling == "keep":
        cleaning.note("id_spelling", f"{found}kept as they are", name)
    else:
        found += "write them with all their digits" + (", or --set data.id_spelling=keep" if cleaning.can_set else "")
        cleaning.note("id_spelling", found, name, action="error")


def _tell_quoted(cleaning: Cleaning, name: str, text: _Text) -> None:
    """Ids with quotes around them, which are a part of them."""
    if not any(pc.any(pc.ends_with(text.spelled, sign)).as_py() for sign in "\"'"):  # which costs less
        return
    places = np.flatnonzero(where(spelling.fits(text.spelled, spelling.QUOTED)))
    if len(places):
        found = f"has {len(places)} ids in quotes ({shown(text.distinct[places[0]].as_py())}, first in row "
        cleaning.note("id_spelling", f"{found}{text.first_row(places[0])}), which are taken for a part of them", name)


def _tell_case(cleaning: Cleaning, name: str, text: _Text) -> None:
    """Where more ids than chance makes differ from others by capital letters alone."""
    lower = pc.utf8_lower(text.spelled)
    if lower.equals(text.spelled):
        return
    ids = pc.unique(text.spelled).drop_null()
    lower = pc.utf8_lower(ids)
    n_others = len(ids) - len(pc.unique(lower))
    if n_others <= _FEW * len(ids):
        return
    counts = pc.value_counts(lower)
    first = counts.field("values").filter(pc.greater(counts.field("counts"), 1))[0]
    example = " and ".join(shown(one) for one in ids.filter(pc.equal(lower, first))[:2].to_pylist())
    found = f"has {n_others} ids that differ from another one by capital letters alone ({example}); they stay"
    cleaning.note("id_spelling", f"{found} different ids: write each in one way, if it is one", name)


def _tell_floats(cleaning: Cleaning, name: str, text: _Text, whole: pa.Array) -> None:
    """Where 1.0 was read as 1."""
    places = np.flatnonzero(where(spelling.fits(text.spelled, spelling.WHOLE_FLOAT)))
    if not len(places):
        return
    found = f"has {len(places)} ids that are written as {shown(text.distinct[places[0]].as_py())} is (first in row "
    found += f"{text.first_row(places[0])}); read as whole numbers"
    valid = whole.drop_null()
    if n_others := len(valid) - len(pc.unique(valid)):
        found += f", and so {n_others} of them are one with an id that is written otherwise"
    cleaning.note("id_spelling", found, name)


def _tell_numbers(cleaning: Cleaning, name: str, text: _Text) -> None:
    """Ids that are one number in two spellings; and the few that are none, where nearly all are whole numbers."""
    ids = pc.unique(text.spelled).drop_null()
    plain = spelling.plain_numbers(ids)
    counts = pc.value_counts(plain)
    twice = counts.field("values").filter(pc.greater(counts.field("counts"), 1))
    if len(twice):
        same = ids.filter(pc.equal(plain, twice[0]))
        example = " and ".join(shown(one) for one in same[:2].to_pylist())
        found = f"has {len(twice)} numbers that are written in more than one way ({example}); they stay different ids"
        cleaning.note("id_spelling", f"{found}: write each in one way, if it is one", name)
    is_whole = where(spelling.fits(text.spelled, spelling.INTEGER))
    strays = np.flatnonzero(where(pc.is_valid(text.spelled)) & ~is_whole)
    n_ids = int(is_whole.sum()) + len(strays)
    if not 0 < len(strays) < n_ids / 2:
        return
    first = min((text.first_row(i), i) for i in strays[:5].tolist())
    is_not = "is not" if len(strays) == 1 else f"and {len(strays) - 1} others are not"
    value = shown(text.distinct[first[1]].as_py())
    cleaning.strays[name] = f"{int(is_whole.sum())} of {n_ids} ids are whole numbers; row {first[0]}, {value}, {is_not}"
    if n_ids >= _MIN_DISTINCT and len(strays) <= max(1, _FEW * n_ids):
        done = "so all are read as text" if name in cleaning.guessed else "mend it if it is no id"
        cleaning.note("stray_id", f"is a mix: {cleaning.strays[name]}: {done}", name)
