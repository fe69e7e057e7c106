"""The events of a run as arrays, by user and in order: what is large is mapped when the run is opened, and not read.

history/      user_num, item_num and, where there are any, timestamp_s, rating, weight, label/<name>, context/<name>;
              seen/starts, seen/item_num: the items that each user has seen, each once
history.json  whether the rows were in order without times; what the numbers of each context stand for
dislikes/     starts, item_num of what users did not like, where there is any
impressions/  the same of what users were shown, each time, and when, where it is known
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from belfry.dataset import columns
from belfry.dataset.arrays import blocks
from belfry.dataset.encoding.context import ContextColumn
from belfry.dataset.errors import ArtifactError
from belfry.dataset.history.seen_items import SeenItems
from belfry.dataset.interactions import Interactions
from belfry.dataset.vocabulary import ItemNums, Vocabulary
from belfry.layers.saved.files import ReadablePath, load_arrays, read_settings, save_arrays
from belfry.pipeline.runs.manifest import REMEDY

_HISTORY, _DISLIKES, _IMPRESSIONS, _ABOUT = "history", "dislikes", "impressions", "history.json"
_USER_NUM, _ITEM_NUM, _STARTS = "user_num", "item_num", "starts"
_SEEN, _LABEL, _CONTEXT = "seen/", "label/", "context/"  # before the names of arrays
_FINITE, _SMALLEST = float(np.finfo(np.float32).max), float(np.finfo(np.float32).smallest_subnormal)
_TYPES: Mapping[str, type[np.generic]] = {  # by name, or by what stands before it
    _USER_NUM: np.int32,
    _ITEM_NUM: np.int32,
    columns.TIMESTAMP_S: np.int64,
    columns.RATING: np.float32,
    columns.WEIGHT: np.float32,
    _LABEL: np.float32,
    _CONTEXT: np.int32,
    _STARTS: np.int64,
}

_BOUNDS: Mapping[str, tuple[float, float]] = {  # likewise; what is missing is NaN
    columns.TIMESTAMP_S: (0, 1 << 33),  # behind the year 2199
    columns.RATING: (-_FINITE, _FINITE),
    columns.WEIGHT: (_SMALLEST, _FINITE),
    _LABEL: (-_FINITE, _FINITE),
}

Arrays: TypeAlias = dict[str, npt.NDArray[Any]]


class _About(BaseModel):
    """What `history.json` holds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows_in_order: bool
    context: dict[str, tuple[str, ...]]


def save_events(history: Interactions, folder: Path) -> None:
    """Sorted once, and not whenever a run is opened; likewise what users have seen."""
    if history.by_user.moved is not None:
        history = history.select(history.by_user.moved)
    optional = {
        columns.TIMESTAMP_S: history.timestamp_s,
        columns.RATING: history.rating,
        columns.WEIGHT: history.weight,
    }
    seen = history.seen_items
    events: Arrays = {
        _USER_NUM: history.user_num,
        _ITEM_NUM: history.item_num,
        **{name: values for name, values in optional.items() if values is not None},
        **{_LABEL + name: values for name, values in history.labels.items()},
        **{_CONTEXT + name: column.numbers for name, column in history.context.items()},
        **{_SEEN + name: values for name, values in _arrays_of(seen).items()},
    }
    save_arrays(folder / _HISTORY, events)
    values = {name: column.values for name, column in history.context.items()}
    about = _About(rows_in_order=history.rows_in_order, context=values)
    (folder / _ABOUT).write_text(about.model_dump_json(indent=2), encoding="utf-8")
    if history.dislikes is not None:
        save_arrays(folder / _DISLIKES, _arrays_of(replace(history.dislikes, time_s=None)))
    if history.impressions is not None:
        save_arrays(folder / _IMPRESSIONS, _arrays_of(history.impressions))


def load_events(folder: ReadablePath, users: Vocabulary, items: Vocabulary) -> Interactions:
    """What `save_events` wrote.

    Raises:
        ArtifactError: arrays are of another form, or do not fit one another; names the folder.
    """
    place, about = folder / _HISTORY, read_settings(folder / _ABOUT, _About)
    arrays = load_arrays(place)
    seen = _pairs_in(place, _named(arrays, _SEEN), users, items, once=True)
    events = {name: values for name, values in arrays.items() if not name.startswith(_SEEN)}
    _check_events(place, events, users, items)
    numbers = _named(events, _CONTEXT)
    for name in about.context.keys() | numbers.keys():
        own, known = numbers.get(name), about.context.get(name, ())
        if own is None or len(set(known)) < len(known) or (len(own) and not 0 <= own.min() <= own.max() <= len(known)):
            raise ArtifactError(f"{place}: context {name[:100]!r} has other values than {_ABOUT} says; {REMEDY}")
    history = Interactions(
        users,
        items,
        events[_USER_NUM],
        events[_ITEM_NUM],
        events.get(columns.TIMESTAMP_S),
        events.get(columns.RATING),
        events.get(columns.WEIGHT),
        labels=_named(events, _LABEL),
        rows_in_order=about.rows_in_order,
        impressions=_load_pairs(folder / _IMPRESSIONS, users, items, once=False),
        dislikes=_load_pairs(folder / _DISLIKES, users, items, once=True),
        context={name: ContextColumn(values, numbers[name]) for name, values in about.context.items()},
    ).knowing(seen)
    n_events, n_seen = np.diff(history.by_user.starts), np.diff(seen.starts)
    if (n_seen > n_events).any() or ((n_seen == 0) & (n_events > 0)).any():
        raise ArtifactError(f"{place}: what users have seen is not what happened; {REMEDY}")
    return history


def _arrays_of(pairs: SeenItems) -> Arrays:
    arrays: Arrays = {_STARTS: pairs.starts, _ITEM_NUM: pairs.item_num}
    return arrays if pairs.time_s is None else {**arrays, columns.TIMESTAMP_S: pairs.time_s}


def _named(arrays: Arrays, prefix: str) -> Arrays:
    """Those whose names start with `prefix`, without it."""
    return {name.removeprefix(prefix): values for name, values in arrays.items() if name.startswith(prefix)}


def _load_pairs(path: ReadablePath, users: Vocabulary, items: Vocabulary, *, once: bool) -> SeenItems | None:
    """None where there is no such folder."""
    is_there = (path / "arrays.npz").exists()
    return _pairs_in(path, load_arrays(path), users, items, once=once) if is_there else None


def _pairs_in(path: ReadablePath, arrays: Arrays, users: Vocabulary, items: Vocabulary, *, once: bool) -> SeenItems:
    """Pairs of these arrays, each once or as often as it is there."""
    wanted = {_STARTS, _ITEM_NUM}
    if not wanted <= arrays.keys() <= wanted | {columns.TIMESTAMP_S}:
        raise ArtifactError(f"{path}: holds pairs as {sorted(arrays)[:9]}, wanted {sorted(wanted)}; {REMEDY}")
    pairs = SeenItems(arrays[_STARTS], arrays[_ITEM_NUM], arrays.get(columns.TIMESTAMP_S))
    starts, n_pairs = pairs.starts, len(pairs.item_num)
    _check_types(path, arrays)
    if len(starts) != len(users) + 2 or starts[:2].any() or starts[-1] != n_pairs or (np.diff(starts) < 0).any():
        raise ArtifactError(f"{path}: its pairs are not those of {len(users):,} users; {REMEDY}")
    _check_numbers(path, _ITEM_NUM, pairs.item_num, items)
    if (pairs.time_s is not None and len(pairs.time_s) != n_pairs) or not _rise(pairs, once=once):
        raise ArtifactError(f"{path}: the items of a user are not in order; {REMEDY}")
    return pairs


def _rise(pairs: SeenItems, *, once: bool) -> bool:
    """Whether the item numbers of each user rise, or do not fall; block by block, without copies of them."""
    item_num, starts = pairs.item_num, pairs.starts
    for rows in blocks(len(item_num), 1):
        first = max(rows.start, 1)
        before, after = item_num[first - 1 : max(rows.stop - 1, 0)], item_num[first : rows.stop]
        breaks = first + np.flatnonzero(after <= before if once else after < before)
        if (starts[starts.searchsorted(breaks)] != breaks).any():
            return False
    return True


def _check_events(path: ReadablePath, events: Arrays, users: Vocabulary, items: Vocabulary) -> None:
    _check_types(path, events)
    if not {_USER_NUM, _ITEM_NUM} <= events.keys() or len(set(map(len, events.values()))) > 1:
        raise ArtifactError(f"{path}: wanted {_USER_NUM!r} and {_ITEM_NUM!r}, and as many of all else; {REMEDY}")
    _check_numbers(path, _USER_NUM, events[_USER_NUM], users)
    _check_numbers(path, _ITEM_NUM, events[_ITEM_NUM], items)


def _check_types(path: ReadablePath, arrays: Arrays) -> None:
    for name, values in arrays.items():
        kind, named, _ = name.partition("/")
        if values.ndim != 1 or values.dtype != _TYPES.get(kind + named):
            raise ArtifactError(
                f"{path}: {name[:100]!r} holds {values.dtype} of the shape {values.shape}, which no events of a run "
                f"do; {REMEDY}"
            )
        if len(values) and kind + named in _BOUNDS:
            least, most = _BOUNDS[kind + named]
            is_out = np.fmin.reduce(values) < least or np.fmax.reduce(values) > most  # both pass over what is missing
            if is_out or (kind == columns.WEIGHT and np.isnan(values.min())):
                raise ArtifactError(f"{path}: {name[:100]!r} holds values that no events of a run have; {REMEDY}")


def _check_numbers(path: ReadablePath, name: str, values: ItemNums, known: Vocabulary) -> None:
    if len(values) and not 1 <= values.min() <= values.max() <= len(known):
        raise ArtifactError(f"{path}: {name!r} is not within 1 and {len(known):,}; {REMEDY}")
