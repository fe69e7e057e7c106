"""Event weights: how much each kind of event counts as a watch; 0 makes it an impression, below 0 a dislike."""

import logging
from collections.abc import Callable
from itertools import pairwise
from typing import Annotated, Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import AfterValidator, Field

from belfry.dataset import columns
from belfry.dataset.arrays import Mask, differs_from_row_before
from belfry.dataset.encoding.dictionary import codes_and_values, codes_as_numpy, encoded
from belfry.dataset.errors import TableError
from belfry.dataset.validation.cleaning import codes_of, likely_equal

_PLAIN_WEIGHT = 1.0  # of a row without an event name, or with one that is not listed
_DISLIKE_RANK = -1.0  # before every watch
_MAX_NAMED = 8  # event names in a message

log = logging.getLogger(__name__)


def _best_first(event_weights: tuple[tuple[str, float], ...]) -> tuple[tuple[str, float], ...]:
    names = [_folded(name) for name, _ in event_weights]
    if "" in names or len(set(names)) < len(names):
        raise ValueError(f"names are {names}; each event is named once, whatever its case, and none is empty")
    for (better, more), (worse, less) in pairwise(event_weights):
        if less > more:
            raise ValueError(f"{better!r} counts {more:g} and {worse!r} below it {less:g}; put the best first")
    return event_weights


Weight: TypeAlias = Annotated[float, Field(allow_inf_nan=False)]
# Pairs of an event's name and its weight, the best event first.
EventWeights: TypeAlias = Annotated[tuple[tuple[str, Weight], ...], AfterValidator(_best_first)]

DEFAULT_EVENT_WEIGHTS: EventWeights = (("rated", 1.0), ("watched", 1.0), ("shown", 0.0))


class EventParts(NamedTuple):
    """One table of events in three."""

    watches: pa.Table  # without the column `event`, and with `weight` (float32, above 0) unless all are 1
    impressions: pa.Table  # ids, and times and places where there are any
    dislikes: pa.Table  # likewise


def part_events(
    events: pa.Table,
    event_weights: EventWeights = DEFAULT_EVENT_WEIGHTS,
    *,
    liked_from: float | None = None,
    name: str = "interactions",
    tell: Callable[[str], object] = log.warning,
) -> EventParts:
    """Part watches, each with its weight, from impressions and from dislikes.

    The weight of a row is `event_weights[event]`, times the column `weight` where there is one. A row without an event
    name counts 1; so does one whose name is not listed, which is told. Case and outer blanks of a name do not matter.
    An event of weight 0 in `event_weights` is an impression, one below 0 a dislike, and so is what would be a watch but
    has a rating below `liked_from`. A row whose own `weight` is 0 is left out.

    A user may have several events of one item at the same time (or, without times, at all): of watches only those of
    the best event stay, and none beside a dislike. Of an item that was watched and rated, that is the rating.

    Args:
        events: checked; columns as in `belfry.dataset.columns`.
        event_weights: best event first.
        liked_from: the lowest rating that is no dislike; None where ratings say nothing of that.
        name: what messages call the table.
        tell: is handed what was found in words, a note at a time.

    Raises:
        TableError: no row is a watch.
    """
    if liked_from is None and not {columns.EVENT, columns.WEIGHT} & {*events.column_names}:
        nothing = events.select(_keys_of(events)).slice(0, 0)
        return EventParts(events, nothing, nothing)
    weight, rank = _weigh(events, event_weights, name, tell)
    is_impression, is_dislike = weight == 0, weight < 0
    if liked_from is not None and columns.RATING in events.column_names:
        rating = events[columns.RATING].to_numpy(zero_copy_only=False).astype(np.float32)
        is_dislike |= (weight > 0) & (rating < np.float32(liked_from))  # NaN compares false
    if columns.WEIGHT in events.column_names:
        given = events[columns.WEIGHT].to_numpy(zero_copy_only=False).astype(np.float32)
        is_impression &= given > 0
        is_dislike &= given > 0
        weight *= given
    is_watch = (weight > 0) & ~is_dislike
    n_left_out = int((~is_watch & ~is_impression & ~is_dislike).sum())
    is_watch &= ~_is_superseded(events, is_watch | is_dislike, np.where(is_dislike, _DISLIKE_RANK, rank))
    if not is_watch.any():
        raise TableError(
            f"{name}: none of {len(events):,} rows is a watch: {is_impression.sum():,} are events that count 0 in the "
            f"setting 'event_weights', {is_dislike.sum():,} are dislikes (events below 0, ratings below "
            "'data.liked_from'), the rest have weight 0; hand in watches, or correct settings or weights"
        )
    if n_left_out:
        tell(f"{name}: {n_left_out:,} rows of weight 0 are left out")
    watches = events.drop_columns([other for other in (columns.EVENT, columns.WEIGHT) if other in events.column_names])
    watches, weight = watches.filter(pa.array(is_watch)), weight[is_watch]
    if (weight != 1).any():
        watches = watches.append_column(columns.WEIGHT, pa.array(weight))
    keys = events.select(_keys_of(events))
    return EventParts(watches, keys.filter(pa.array(is_impression)), keys.filter(pa.array(is_dislike)))


def _weigh(
    events: pa.Table, event_weights: EventWeights, table_name: str, tell: Callable[[str], object]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
    """Both [n_events]: the weight of each row's event, and the rank of that event, lower for a better one."""
    weights = np.array([weight for _, weight in event_weights] + [_PLAIN_WEIGHT], np.float32)
    # A row without a listed event ranks right behind the last event of its weight or more.
    ranks = np.append(np.arange(len(event_weights)), np.count_nonzero(weights[:-1] >= _PLAIN_WEIGHT) - 0.5)
    if columns.EVENT not in events.column_names:
        return np.full(len(events), _PLAIN_WEIGHT, np.float32), np.full(len(events), ranks[-1])
    codes, distinct = codes_and_values(encoded(events[columns.EVENT]))
    names = pa.array([_folded(name) for name, _ in event_weights], pa.string())
    listed = pc.index_in(pc.utf8_lower(pc.utf8_trim_whitespace(distinct)), value_set=names)
    is_unlisted = pc.is_null(listed)
    if pc.any(is_unlisted).as_py():
        unlisted = events[columns.EVENT].filter(is_unlisted.take(codes))
        tell(_note_on_unlisted(unlisted, event_weights, table_name))
    nothing = len(event_weights)
    place = np.append(np.asarray(pc.fill_null(listed, nothing)), nothing)[codes_as_numpy(codes, null=-1)]
    return weights[place], ranks[place]


def _note_on_unlisted(unlisted: pa.ChunkedArray, event_weights: EventWeights, table_name: str) -> str:
    counts = sorted(unlisted.value_counts().to_pylist(), key=lambda entry: -entry["counts"])
    found = ", ".join(f"{entry['values']!r} ({entry['counts']:,} rows)" for entry in counts[:_MAX_NAMED])
    more = f" and {len(counts) - _MAX_NAMED} more" if len(counts) > _MAX_NAMED else ""
    listed = ", ".join(repr(name) for name, _ in event_weights) or "none"
    return (
        f"{table_name}: column {columns.EVENT!r} has names that the setting 'event_weights' does not list: "
        f"{found}{more}; each row counts as a watch. Listed are {listed}"
    )


def _is_superseded(events: pa.Table, counts: Mask, rank: npt.NDArray[np.float64]) -> Mask:
    """[n_events] rows in `counts` beside a better one of user, item and time; `rank` [n_events], lower is better."""
    superseded = np.zeros(len(events), np.bool_)
    names = _keys_of(events)
    codes = [codes_of(events[name]) for name in names[:2]]
    rows = likely_equal(codes, [events[name] for name in names[2:]], counts)
    if not len(rows):
        return superseded
    taken = pa.array(rows)
    keys = [*(key[rows] for key in codes), *(codes_of(events[name].take(taken)) for name in names[2:])]
    by: list[npt.NDArray[Any]] = [rank[rows], *keys]
    order = np.lexsort(by)
    is_first = differs_from_row_before(*(key[order] for key in keys))
    best = rank[rows][order[is_first]][np.cumsum(is_first) - 1]
    superseded[rows[order]] = rank[rows][order] > best
    return superseded


def _keys_of(events: pa.Table) -> list[str]:
    names = (columns.USER_ID, columns.ITEM_ID, columns.TIMESTAMP_S, columns.ORDER)
    return [name for name in names if name in events.column_names]


def _folded(name: str) -> str:
    return name.strip().lower()
