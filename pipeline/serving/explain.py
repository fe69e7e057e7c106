"""Reasons: what carried each place of lists, in numbers."""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from belfry.dataset.vocabulary import ItemNums, Vocabulary, as_arrow, texts_as_arrow
from belfry.pipeline.serving.neighbours import Neighbourhoods
from belfry.pipeline.serving.results import UNRANKED
from belfry.pipeline.serving.two_stage import ColdTrace, Described, KnownTrace, Trace, TwoStage
from belfry.ranking.explain import Effects, contributions, occlude
from belfry.ranking.features.groups.segments import segment_words

N_NAMED = 3  # watched items, and groups of features, that a reason names at most
MIN_EFFECT = 0.01  # smaller effects are not named
CONTEXT = "the context"  # what moves a list that is asked for in one

Weights = npt.NDArray[np.floating]
Named = TypeVar("Named", int, str)


@dataclass(frozen=True)
class Reason:
    """What carried one item, strongest first."""

    watched: list[tuple[int, float]]  # item number, share of all that counts in favour of the item
    features: list[tuple[str, float]]  # group, change


def reasons_for(two_stage: TwoStage, trace: Trace, neighbourhoods: Neighbourhoods) -> list[Reason]:
    """One for each row of the lists that `trace` is of; empty for rows that the ranker never saw.

    Watched items count by the statistics that the ranker reads. Where no ranker reads them, they count by the
    similarity of the items' vectors.

    Args:
        trace: by `two_stage`.
        neighbourhoods: of the items, by the vectors of the towers; made only where it is needed.
    """
    lists, history = trace.lists, two_stage.features.history
    effects = _effects_of_known(two_stage, trace.known)
    is_cold = history.seen_items.count(lists.users) == 0
    place_among_alike = np.where(is_cold, np.cumsum(is_cold), np.cumsum(~is_cold)) - 1
    reasons: list[Reason] = []
    for user, cold, place, first, stop in zip(
        lists.users.tolist(), is_cold.tolist(), place_among_alike.tolist(), lists.starts, lists.starts[1:], strict=False
    ):
        items = lists.item_num[first:stop]
        if not len(items):
            continue
        if cold:
            assert trace.cold is not None  # as this user is
            found = [
                Reason([], features) for features in _strongest(_cold_effects(two_stage, trace.cold, place, items))
            ]
        elif effects is None:
            watched = np.unique(history.item_num[history.by_user.of(user)])
            shares = _shares(neighbourhoods.of_items.cosines(items, watched), watched, items)
            found = [Reason(largest, []) for largest in _largest_shares(shares, watched)]
        else:
            described, of_all = effects
            events = history.item_num[history.by_user.of(user)]
            found = _reasons_by_features(described, of_all, place, items, events, neighbourhoods)
        reasons += found
    unranked = np.array(lists.origins)[lists.origin] == UNRANKED
    return [Reason([], []) if without else reason for reason, without in zip(reasons, unranked, strict=True)]


def _effects_of_known(two_stage: TwoStage, known: KnownTrace | None) -> tuple[Described, Effects] | None:
    """What the ranker read of all users with a history, and what moved each of its rows; None where it read nothing."""
    if known is None or known.described is None:
        return None
    ranker, lists = known.described.ranker, known.described.lists
    columns = ranker.pair_features.columns(two_stage.features, known.candidates.sources)
    effects = occlude(ranker, lists, columns)
    if known.context is not None:
        mean = np.bincount(lists.row_list, known.context, len(lists)) / np.maximum(lists.lengths, 1)
        changes = np.vstack([effects.changes, known.context - mean[lists.row_list]])
        effects = Effects((*effects.groups, CONTEXT), changes)
    return known.described, effects


def _reasons_by_features(
    described: Described,
    effects: Effects,
    place: int,
    items: ItemNums,
    events: ItemNums,
    neighbourhoods: Neighbourhoods,
) -> list[Reason]:
    """Of the list at `place`; `events`: the items of the user's history, oldest first. New items go by vectors."""
    lists, pair_features = described.lists, described.ranker.pair_features
    watched = np.unique(events[-pair_features.config.max_history :])
    weights = contributions(pair_features, watched, items)
    is_unknown = ~(weights > 0).any(axis=1)
    if is_unknown.any():
        weights[is_unknown] = neighbourhoods.of_items.cosines(items[is_unknown], watched)
    shares = _shares(weights, watched, items)
    own = slice(lists.starts[place], lists.starts[place + 1])
    moved = _rows_of(Effects(effects.groups, effects.changes[:, own]), lists.items[own], items)
    return [Reason(*found) for found in zip(_largest_shares(shares, watched), _strongest(moved), strict=True)]


def _cold_effects(two_stage: TwoStage, trace: ColdTrace, place: int, items: ItemNums) -> Effects:
    """Parts of the score of the cold list at `place`, each against its mean over what is popular."""
    popular = trace.popular
    own = slice(popular.starts[place], popular.starts[place + 1])
    candidates, label = popular.item_num[own], two_stage.features.users.label
    by_group = two_stage.popularity.parts(int(popular.users[place]), candidates, two_stage.features)
    parts = {"popularity" if name is None else segment_words(label(name)): part for name, part in by_group.items()}
    if trace.tower_scores is not None:
        parts["the towers"] = trace.tower_scores[own]
    if trace.context is not None:
        parts[CONTEXT] = trace.context[own]
    if not len(candidates):
        return Effects(tuple(parts), np.zeros((len(parts), len(items))))
    effects = np.stack([values - values.mean() for values in parts.values()])
    return _rows_of(Effects(tuple(parts), effects), candidates, items)


def _rows_of(effects: Effects, candidates: ItemNums, items: ItemNums) -> Effects:
    """The effects on `items`: those on `candidates`, of one list, and 0 on items that are not among them."""
    if not len(candidates):
        return Effects(effects.groups, np.zeros((len(effects.groups), len(items))))
    order = np.argsort(candidates)
    places = np.minimum(np.searchsorted(candidates, items, sorter=order), len(candidates) - 1)
    changes = effects.changes[:, order[places]]
    return Effects(effects.groups, np.where(candidates[order[places]] == items, changes, 0))


def _strongest(effects: Effects) -> list[list[tuple[str, float]]]:
    """Group and change of each row's largest effects."""
    order = np.argsort(-np.abs(effects.changes), axis=0, kind="stable")[:N_NAMED]
    return [
        [
            (effects.groups[group], float(effects.changes[group, row]))
            for group in places
            if abs(effects.changes[group, row]) >= MIN_EFFECT
        ]
        for row, places in enumerate(order.T)
    ]


def _shares(weights: Weights, watched: ItemNums, items: ItemNums) -> Weights:
    """[n_items, n_watched] each watched item's share of the positive weights for an item; its own weight is 0."""
    positive = np.where(items[:, None] == watched, 0, np.maximum(weights, 0))
    shares: Weights = positive / np.maximum(positive.sum(axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return shares


def _largest_shares(shares: Weights, watched: ItemNums) -> list[list[tuple[int, float]]]:
    """Item number and share of each row's largest shares."""
    order = np.argsort(-shares, axis=1, kind="stable")[:, :N_NAMED]
    return [
        [(int(watched[place]), float(shares[row, place])) for place in places if shares[row, place] > 0]
        for row, places in enumerate(order)
    ]


def reason_columns(reasons: list[Reason], items: Vocabulary) -> dict[str, pa.Array]:
    """Reasons as columns of lists, with the caller's ids."""
    watched, shares = _flat([reason.watched for reason in reasons])
    features, changes = _flat([reason.features for reason in reasons])
    ends_of_watched = np.cumsum([0, *(len(reason.watched) for reason in reasons)]).astype(np.int32)
    ends_of_features = np.cumsum([0, *(len(reason.features) for reason in reasons)]).astype(np.int32)
    return {
        "watched": _lists(ends_of_watched, items.take(np.array(watched, np.int32))),
        "watched_share": _lists(ends_of_watched, as_arrow(np.array(shares, np.float32))),
        "features": _lists(ends_of_features, texts_as_arrow(features)),
        "feature_change": _lists(ends_of_features, as_arrow(np.array(changes, np.float32))),
    }


def _flat(lists: list[list[tuple[Named, float]]]) -> tuple[list[Named], list[float]]:
    pairs = [pair for one in lists for pair in one]
    return [name for name, _ in pairs], [value for _, value in pairs]


def _lists(ends: npt.NDArray[np.int32], values: pa.Array) -> pa.Array:
    return pa.ListArray.from_arrays(as_arrow(ends), values)
