"""Which features and which watched items carried a candidate: by occlusion, and by the item-to-item statistics."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from belfry.dataset.vocabulary import ItemNums
from belfry.ranking.base import ListScorer, Matrix
from belfry.ranking.features.base import Column
from belfry.ranking.features.pair_features import PairFeatures
from belfry.ranking.lists import Lists

_CLOSE_TO_ONE = 1 - 1e-7  # float32 probabilities have no finite log-odds beyond


@dataclass(frozen=True)
class Effects:
    """How each group of features moved each row of lists."""

    groups: tuple[str, ...]
    changes: npt.NDArray[np.float64]  # [n_groups, n_rows], above 0 where the row stands higher for it


def occlude(ranker: ListScorer, lists: Lists, columns: Sequence[Column]) -> Effects:
    """What each row's log-odds lose when a group of features takes its mean over the list, for all rows at once.

    Any ranker can be asked: it is scored once for each group. Features that say the same stand in for one another, and
    others count only together, so the effects need not add up to anything.

    Args:
        ranker: gives probabilities.
        columns: of `lists.pairs`; those about the same make a group.

    Source: Robnik-Šikonja and Kononenko, Explaining classifications for individual instances, TKDE 2008 (the difference
    of log-odds; there the feature is averaged out over its values).
    """
    groups = group_columns(columns)
    before = _log_odds(ranker, lists, lists.pairs)
    effects = np.zeros((len(groups), len(lists.pairs)))
    for place, group in enumerate(groups.values()):
        pairs = lists.pairs.copy()
        for start, stop in zip(lists.starts[:-1], lists.starts[1:], strict=True):
            if start < stop:
                pairs[start:stop, group] = lists.pairs[start:stop, group].mean(axis=0, dtype=np.float64)
        effects[place] = before - _log_odds(ranker, lists, pairs)
    return Effects(tuple(groups), effects)


def group_columns(columns: Sequence[Column]) -> dict[str, list[int]]:
    """What columns are about, in words -> the places of those that are."""
    groups: dict[str, list[int]] = {}
    for place, column in enumerate(columns):
        groups.setdefault(column.about, []).append(place)
    return groups


def contributions(pair_features: PairFeatures, watched: ItemNums, items: ItemNums) -> Matrix:
    """[n_items, n_watched] what each watched item adds to each item: EASE's weight.

    Args:
        watched: rising, each item once.
        items: [n_items].
    """
    found = (group.item_weights(watched, items) for group in pair_features.groups)
    return next(weights for weights in found if weights is not None)  # EASE is always there


def _log_odds(ranker: ListScorer, lists: Lists, pairs: Matrix) -> npt.NDArray[np.float64]:
    probability = ranker.score_lists(replace(lists, pairs=pairs)).astype(np.float64)
    probability = np.clip(probability, 1 - _CLOSE_TO_ONE, _CLOSE_TO_ONE)
    return np.log(probability) - np.log1p(-probability)
