"""Event weights: what each kind of event says of a user and an item, from rated down to shown."""

import logging
from itertools import pairwise
from typing import Annotated, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import AfterValidator, Field

from belfry.dataset import columns
from belfry.dataset.errors import TableError
from belfry.dataset.interactions import Mask
from belfry.dataset.validation.cleaning import codes_of

_PLAIN = 1.0  # how much a watch counts of which nothing is said
_N_NAMED = 8  # in a message

log = logging.getLogger(__name__)


def _best_first(event_weights: tuple[tuple[str, float], ...]) -> tuple[tuple[str, float], ...]:
    names = [_folded(name) for name, _ in event_weights]
    if "" in names or len(set(names)) < len(names):
        raise ValueError(f"names are {names}; each event is named once, whatever its case, and none is empty")
    for (better, more), (worse, less) in pairwise(event_weights):
        if less > more:
            raise ValueError(f"{better!r} counts {more:g} and {worse!r} below it {less:g}; put the best first")
    return event_weights


Weight: TypeAlias = Annotated[float, Field(ge=0, allow_inf_nan=False)]
EventWeights: TypeAlias = Annotated[
    tuple[tuple[str, Weight], ...], AfterValidator(_best_first)
]  # event, how much it counts

DEFAULT_EVENT_WEIGHTS: EventWeights = (("rated", 1.0), ("watched", 1.0), ("shown", 0.0))


def watches_and_impressions(
    events: pa.Table, event_weights: EventWeights = DEFAULT_EVENT_WEIGHTS, *, name: str = "interactions"
) -> tuple[pa.Table, pa.Table]:
    """The watches among the events, each with its weight, and the events that only showed an item.

    An event counts as `event_weights` say; one without a name is a watch that counts 1, and so is one whose name is not
    listed, which is logged. Case and outer blanks of a name do not matter. A column `weight` multiplies; a row of
    weight 0 is left out. Where one user has several watches of one item at the same time, or in tables without times,
    only those of the best relation stay: of an item that was watched and rated, the rating.

    Args:
        events: checked; columns as in `belfry.dataset.columns`.
        name: what messages call the table.

    Returns:
        The watches, without the column `event`, and with `weight` (float32, above 0) unless all are 1; the ids of what
        was shown, and the times where there are any.

    Raises:
        TableError: no row is a watch.
    """
    weight, rank = _weigh(events, event_weights, name)
    is_impression = weight == 0
    if columns.WEIGHT in events.column_names:
        given = events[columns.WEIGHT].to_numpy(zero_copy_only=False).astype(np.float32)
        is_impression &= given > 0
        weight *= given
    is_watch = weight > 0
    if not is_watch.any():
        raise TableError(
            f"{name}: none of {len(events):,} rows is a watch: {is_impression.sum():,} are events that count 0 in the "
            f"setting 'event_weights', the rest have weight 0; hand in watches, or correct 'event_weights' or the weights"
        )
    if n_left_out := int((~is_watch & ~is_impression).sum()):
        log.warning("%s: %s rows of weight 0 are left out", name, f"{n_left_out:,}")
    is_watch &= ~_is_outdone(events, is_watch, rank)
    watches = events.drop_columns([other for other in (columns.EVENT, columns.WEIGHT) if other in events.column_names])
    watches = watches.filter(pa.array(is_watch))
    if (weight[is_watch] != 1).any():
        watches = watches.append_column(columns.WEIGHT, pa.array(weight[is_watch]))
    return watches, events.select(_keys_of(events)).filter(pa.array(is_impression))


def _weigh(
    events: pa.Table, event_weights: EventWeights, table_name: str
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
    """[n_events] how much each event's relation counts, and its rank, lower for a better one."""
    weights = np.array([weight for _, weight in event_weights] + [_PLAIN], np.float32)
    # A plain watch comes right behind the last relation that counts as much or more.
    ranks = np.append(np.arange(len(event_weights)), np.count_nonzero(weights[:-1] >= _PLAIN) - 0.5)
    if columns.EVENT not in events.column_names:
        return np.full(len(events), _PLAIN, np.float32), np.full(len(events), ranks[-1])
    event = events[columns.EVENT]
    names = pa.array([_folded(name) for name, _ in event_weights], pa.string())
    place = pc.index_in(pc.utf8_lower(pc.utf8_trim_whitespace(event)), value_set=names)
    _tell_unlisted(event.filter(pc.and_(pc.is_valid(event), pc.is_null(place))), event_weights, table_name)
    place = np.asarray(pc.fill_null(place, len(event_weights)), np.int64)
    return weights[place], ranks[place]


def _tell_unlisted(unlisted: pa.ChunkedArray, event_weights: EventWeights, table_name: str) -> None:
    if not len(unlisted):
        return
    counts = sorted(unlisted.value_counts().to_pylist(), key=lambda entry: -entry["counts"])
    found = ", ".join(f"{entry['values']!r} ({entry['counts']:,} rows)" for entry in counts[:_N_NAMED])
    more = f" and {len(counts) - _N_NAMED} more" if len(counts) > _N_NAMED else ""
    log.warning(
        "%s: column %r has names that the setting 'event_weights' does not list: %s%s; each row counts as a watch. "
        "Listed are %s",
        table_name,
        columns.EVENT,
        found,
        more,
        ", ".join(repr(name) for name, _ in event_weights) or "none",
    )


def _is_outdone(events: pa.Table, is_watch: Mask, rank: npt.NDArray[np.float64]) -> Mask:
    """[n_events] watches beside a better one of the same user, item and time."""
    outdone = np.zeros(len(events), np.bool_)
    if columns.EVENT not in events.column_names:
        return outdone
    rows = np.flatnonzero(is_watch)
    keys = [codes_of(events[name])[rows] for name in _keys_of(events)]
    order = np.lexsort([rank[rows], *keys])
    is_first = np.ones(len(order), np.bool_)
    is_first[1:] = np.any([key[order[1:]] != key[order[:-1]] for key in keys], axis=0)
    best = rank[rows][order[is_first]][np.cumsum(is_first) - 1]
    outdone[rows[order]] = rank[rows][order] > best
    return outdone


def _keys_of(events: pa.Table) -> list[str]:
    names = (columns.USER_ID, columns.ITEM_ID, columns.TIMESTAMP_S)
    return [name for name in names if name in events.column_names]


def _folded(name: str) -> str:
    return name.strip().lower()
