"""Reasons: what carried each place of one user's list, in numbers."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from belfry.dataset.vocabulary import ItemNums
from belfry.pipeline.serving.neighbours import Neighbourhood
from belfry.pipeline.serving.results import UNRANKED
from belfry.pipeline.serving.two_stage import ColdTrace, Described, KnownTrace, Trace, TwoStage
from belfry.ranking.explain import Effects, contributions, occlude
from belfry.ranking.features.groups.segments import segment_words

N_NAMED = 3  # watched items, and groups of features, that a reason names at most
MIN_EFFECT = 0.01  # smaller effects are not named

Weights = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Reason:
    """What carried one item, strongest first."""

    watched: list[tuple[int, float]]  # item number, share of all that counts in favour of the item
    features: list[tuple[str, float]]  # group, change


def reasons_for(two_stage: TwoStage, trace: Trace, neighbourhood: Callable[[], Neighbourhood]) -> list[Reason]:
    """One for each row of the list that `trace` is of; empty for rows that the ranker never saw.

    Watched items count by the statistics that the ranker reads. Where no ranker reads them, they count by the
    similarity of the items' vectors.

    Args:
        trace: of the list of one user, by `two_stage`.
        neighbourhood: of the items, by the vectors of the towers; made only where it is needed.
    """
    if not len(trace.lists):
        return []
    if trace.cold is not None:
        return [Reason([], features) for features in _strongest(_cold_effects(two_stage, trace.cold))]
    assert trace.known is not None  # a user is one or the other
    history = two_stage.features.history
    events = history.item_num[history.by_user.of(int(trace.lists.users[0]))]
    described = trace.known.described
    if described is None:
        reasons = _reasons_by_vectors(trace.known, np.unique(events), neighbourhood())
    else:
        reasons = _reasons_by_features(two_stage, trace.known, described, events, neighbourhood)
    unranked = np.array(trace.lists.origins)[trace.lists.origin] == UNRANKED
    return [Reason([], []) if without else reason for reason, without in zip(reasons, unranked, strict=True)]


def _reasons_by_vectors(trace: KnownTrace, watched: ItemNums, neighbourhood: Neighbourhood) -> list[Reason]:
    items = trace.lists.item_num
    shares = _shares(neighbourhood.cosines(items, watched), watched, items)
    return [Reason(found, []) for found in _largest_shares(shares, watched)]


def _reasons_by_features(
    two_stage: TwoStage,
    trace: KnownTrace,
    described: Described,
    events: ItemNums,
    neighbourhood: Callable[[], Neighbourhood],
) -> list[Reason]:
    """`events`: the items of the user's history, oldest first. New items go by vectors."""
    items, pair_features = trace.lists.item_num, described.ranker.pair_features
    watched = np.unique(events[-pair_features.config.max_history :])
    weights = contributions(pair_features, watched, items)
    is_unknown = ~(weights > 0).any(axis=1)
    if is_unknown.any():
        weights[is_unknown] = neighbourhood().cosines(items[is_unknown], watched)
    shares = _shares(weights, watched, items)
    columns = pair_features.columns(two_stage.features, trace.candidates.sources)
    effects = _rows_of(occlude(described.ranker, described.lists, columns), described.lists.items, items)
    return [Reason(*found) for found in zip(_largest_shares(shares, watched), _strongest(effects), strict=True)]


def _cold_effects(two_stage: TwoStage, trace: ColdTrace) -> Effects:
    """Parts of the score of a cold list, each against its mean over what is popular."""
    popular = trace.popular
    by_group = two_stage.popularity.parts(int(popular.users[0]), popular.item_num, two_stage.features)
    label = two_stage.features.users.label
    parts = {"popularity" if name is None else segment_words(label(name)): part for name, part in by_group.items()}
    if trace.tower_scores is not None:
        parts["the towers"] = trace.tower_scores
    effects = np.stack([values - values.mean() for values in parts.values()])
    return _rows_of(Effects(tuple(parts), effects), popular.item_num, trace.lists.item_num)


def _rows_of(effects: Effects, candidates: ItemNums, items: ItemNums) -> Effects:
    """The effects on `items`: those on `candidates`, of one list, and 0 on items that are not among them."""
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
