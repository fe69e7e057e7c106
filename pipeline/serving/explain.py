"""Reasons: what carried each place of one user's list, in numbers."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from belfry.dataset.candidates import Candidates
from belfry.dataset.vocabulary import ItemNums
from belfry.pipeline.serving.neighbours import Neighbourhood
from belfry.pipeline.serving.two_stage import Limits, Stages
from belfry.ranking.explain import Effects, contributions, occlude
from belfry.ranking.features.groups.segments import segment_words
from belfry.ranking.listwise.feature_ranker import FeaturedRanker

N_SHOWN = 3
MIN_EFFECT = 0.01  # less is nothing

Parts = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Reason:
    """What carried one item, strongest first."""

    watched: list[tuple[int, float]]  # item number, share of all that speaks for the item
    features: list[tuple[str, float]]  # group, change


def reasons_for(
    stages: Stages, answer: Candidates, limits: Limits, neighbourhood: Callable[[], Neighbourhood]
) -> list[Reason]:
    """One for each row of a list that `stages` gave, the user's only one.

    Watched items are weighed by the statistics that the ranker reads; where no ranker reads them, by how like the
    items' vectors are.

    Args:
        answer: the list of one user.
        limits: what it was asked for with.
        neighbourhood: of the items, by the vectors of the towers; made where it is needed.
    """
    if not len(answer):
        return []
    user, items = int(answer.users[0]), answer.item_num
    history = stages.features.history
    events = history.item_num[history.by_user.of(user)] if user else np.zeros(0, np.int32)
    if not len(events):
        return [Reason([], features) for features in _strongest(_cold_effects(stages, answer, limits))]
    ranker = stages.ranker
    if not isinstance(ranker, FeaturedRanker):
        watched = np.unique(events)
        shares = _shares(neighbourhood().cosines(items, watched), watched, items)
        return [Reason(found, []) for found in _speaking(shares, watched)]
    watched = np.unique(events[-ranker.pair_features.config.max_history :])
    shares = _shares(contributions(ranker.pair_features, watched, items), watched, items)
    candidates = stages.candidates(answer.users, **limits)
    ranked = candidates.select(stages.is_ranked(candidates, **limits))
    columns = ranker.pair_features.columns(stages.features, ranked.sources)
    effects = occlude(ranker, ranker.describe(ranked, stages.features), columns)
    features = _strongest(_rows_of(effects, ranked.item_num, items))
    return [Reason(*found) for found in zip(_speaking(shares, watched), features, strict=True)]


def _cold_effects(stages: Stages, answer: Candidates, limits: Limits) -> Effects:
    """Parts of the score of a cold list, each against its mean over what is popular."""
    popular = stages.popular(answer.users, **limits)
    by_group = stages.popularity.parts(int(answer.users[0]), popular.item_num, stages.features)
    parts = {segment_words(name) if name else "popularity": values for name, values in by_group.items()}
    if (word := stages.tower_scores(popular)) is not None:
        parts["the towers"] = word
    effects = np.stack([values - values.mean() for values in parts.values()])
    return _rows_of(Effects(tuple(parts), effects), popular.item_num, answer.item_num)


def _rows_of(effects: Effects, candidates: ItemNums, items: ItemNums) -> Effects:
    """The effects on `items`, none on those that are not among the `candidates` of one list."""
    order = np.argsort(candidates)
    places = np.minimum(np.searchsorted(candidates, items, sorter=order), len(candidates) - 1)
    changes = effects.changes[:, order[places]]
    return Effects(effects.groups, np.where(candidates[order[places]] == items, changes, 0))


def _strongest(effects: Effects) -> list[list[tuple[str, float]]]:
    """Of each row."""
    order = np.argsort(-np.abs(effects.changes), axis=0, kind="stable")[:N_SHOWN]
    return [
        [
            (effects.groups[group], float(effects.changes[group, row]))
            for group in places
            if abs(effects.changes[group, row]) >= MIN_EFFECT
        ]
        for row, places in enumerate(order.T)
    ]


def _shares(parts: Parts, watched: ItemNums, items: ItemNums) -> Parts:
    """[n_items, n_watched] of what speaks for an item; nothing speaks for itself."""
    speaking = np.where(items[:, None] == watched, 0, np.maximum(parts, 0))
    shares: Parts = speaking / np.maximum(speaking.sum(axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return shares


def _speaking(shares: Parts, watched: ItemNums) -> list[list[tuple[int, float]]]:
    """Of each row of `shares`."""
    order = np.argsort(-shares, axis=1, kind="stable")[:, :N_SHOWN]
    return [
        [(int(watched[place]), float(shares[row, place])) for place in places if shares[row, place] > 0]
        for row, places in enumerate(order)
    ]
