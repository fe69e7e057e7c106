"""Whether the ids of two tables are of one type and meet; where they do not, why that may be."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from belfry.dataset.encoding.dictionary import codes_and_values, codes_as_numpy, distinct_in, value_type, with_values
from belfry.dataset.errors import shown
from belfry.dataset.validation import spelling
from belfry.dataset.validation.cleaning import Cleaning, where

_FEW = 0.05  # of the ids of the table that has fewer of them
_N_EXAMPLES = 3


def _without_prefix(text: pa.Array) -> pa.Array:
    """The numbers behind the letters that all of them begin with, if there are such."""
    first, last = (limit.as_py() for limit in pc.min_max(text).values())
    length = next((i for i, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), len(first))
    length = next((i for i in range(length) if first[i].isdigit()), length)
    numbers = pc.utf8_slice_codeunits(text, start=length)
    return numbers if pc.all(spelling.fits(numbers, r"^\d+$")).as_py() else text


# What two spellings may differ in -> how to write ids so that they do not.
_FORMS: dict[str, Callable[[pa.Array], pa.Array]] = {
    "blanks or Unicode form": spelling.mended,
    "zeros in front, signs or decimals": spelling.plain_numbers,
    "capital letters": pc.utf8_lower,
    "quotes": lambda text: pc.utf8_trim(text, characters="\"'`"),
    "what stands before each": lambda text: spelling.plain_numbers(_without_prefix(text)),
}


def compare_ids(events: Cleaning, others: Cleaning | None, name: str) -> None:
    """Bring the ids of both to one type, or note an error; then tell how they meet."""
    if others is None or name not in events.columns or name not in others.columns:
        return
    if not _align(events, others, name):
        return
    codes, values = codes_and_values(events.columns[name])
    known = distinct_in(others.columns[name].filter(pa.array(others.kept))).drop_null()
    is_known = where(pc.is_in(values, value_set=known))
    is_absent = ~np.append(is_known, False)[events.of_kept(codes_as_numpy(codes, null=-1))]
    if not is_absent.any() or not len(known):
        return
    distinct = distinct_in(events.columns[name].filter(pa.array(events.kept))).drop_null()
    absent = distinct.filter(pc.invert(pc.is_in(distinct, value_set=known)))
    n_met = len(distinct) - len(absent)
    cause = likely_cause(absent, known)
    if len(distinct) and not n_met:
        found = f"meets no other: of its {len(known)} ids ({_examples(known)}) none is among the {len(distinct)} of "
        text = f"{found}interactions ({_examples(distinct)}){cause}; write both alike, or leave the table out"
        others.note("no_id_meets", text, name, action="error")
        return
    text = f"has {is_absent.sum()} rows whose id the table {others.name} lacks{cause}; kept, without features"
    if n_met < _FEW * min(len(distinct), len(known)):
        text = f"only {n_met} of {len(distinct)} ids are among the {len(known)} of {others.name}; it {text}"
    events.note("no_features", text, name, count=int(is_absent.sum()))


def note_meeting(cleaning: Cleaning, name: str, ids: pa.Array, known: pa.Array) -> None:
    """Say so where hardly any of the distinct `ids` are ids that were learned from."""
    absent = ids.filter(pc.invert(pc.is_in(ids, value_set=known)))
    n_met = len(ids) - len(absent)
    if len(ids) and n_met < _FEW * min(len(ids), len(known)):
        found = f"has {len(ids)} ids ({_examples(ids)}), of which {n_met} are among the {len(known)} learned from "
        cleaning.note("few_ids_meet", f"{found}({_examples(known)}){likely_cause(absent, known)}", name)


def likely_cause(absent: pa.Array, known: pa.Array) -> str:
    """What most of the `absent` ids differ in from `known` ones, as a part of a message; else empty."""
    if not pa.types.is_string(absent.type) or not len(absent):
        return ""
    met = {}
    for difference, form in _FORMS.items():
        forms, known_forms = form(absent), form(known)
        if forms.equals(absent) and known_forms.equals(known):
            continue
        found = np.flatnonzero(where(pc.is_in(forms, value_set=known_forms)))
        if len(found):
            twin = known[pc.index(known_forms, forms[found[0]]).as_py()]
            example = f"{shown(absent[found[0]].as_py())} here, {shown(twin.as_py())} there"
            met[difference] = (len(found), example)
    if not met:
        return ""
    difference = max(met, key=lambda one: met[one][0])
    count, example = met[difference]
    return f"; {count} differ by {difference} alone ({example})"


def numbers_among(text: pa.ChunkedArray, numbers: pa.ChunkedArray) -> str:
    """How many ids of text are one of `numbers` in another spelling, as a part of a message; empty for none."""
    ids = distinct_in(text).drop_null()
    is_number = pc.is_in(spelling.plain_numbers(ids), value_set=distinct_in(numbers).cast(pa.string()))
    found = ids.filter(is_number)
    return f"; {len(found)} of its ids ({_examples(found)}) are such numbers, but for their spelling" if found else ""


def _align(events: Cleaning, others: Cleaning, name: str) -> bool:
    """Make text of whole numbers whose file did not say that they are some, where the other table has text."""
    of_events, of_others = (value_type(cleaning.columns[name].type) for cleaning in (events, others))
    if of_events == of_others:
        return True
    of_numbers, of_text = (events, others) if pa.types.is_integer(of_events) else (others, events)
    if name in of_numbers.guessed:
        ids = of_numbers.columns[name]
        of_numbers.columns[name] = with_values(ids, codes_and_values(ids)[1].cast(pa.string()))
        return True
    text = f"is {of_others}, but {of_events} in {events.name}; 1 and '1' are never merged: "
    if strays := of_text.strays.get(name):
        text += f"in {of_text.name}, {strays}: mend or remove it"
    else:
        text += f"cast one of the two{numbers_among(of_text.columns[name], of_numbers.columns[name])}"
    others.note("id_type", text, name, action="error")
    return False


def _examples(ids: pa.Array) -> str:
    more = ", ..." if len(ids) > _N_EXAMPLES else ""
    return ", ".join(shown(one) for one in ids[:_N_EXAMPLES].to_pylist()) + more
