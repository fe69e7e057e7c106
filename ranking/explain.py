"""Which features and which watched items carried a candidate: by occlusion, and by the item-to-item statistics."""

import re
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.special import logit

from belfry.dataset.vocabulary import ItemNums
from belfry.ranking.base import ListScorer, Matrix
from belfry.ranking.features.user_history import Arrays
from belfry.ranking.lists import Lists

_ABOUT_ANOTHER = re.compile(
    r"^(?:standard|log_rank)_(?!in_)|_bucket(?=$|\.uniform$|\.recency$)"
)  # said of another column
_CLOSE_TO_ONE = 1 - 1e-7  # float32 probabilities have no finite log-odds beyond

# Pattern of a column -> what its group is called; the first that fits counts.
_GROUPS = tuple(
    (re.compile(pattern), words)
    for pattern, words in (
        (r"score|log_rank", "retrieval's order"),
        (r"(?:score|log_rank_in)_(.+)", r"source \1"),
        (r"(?:cosine|ease|svd)_.+", "similarity to what was watched"),
        (r"cooccurrence_.+", "watched in one sitting"),
        (r"(?:near|lift)_\d+d", "watches in those days"),
        (r"item_age", "time since its first watch"),
        (r"item_rating|user_rating", "ratings"),
        (r"segment\.(.+)", r"users of the same \1"),
        (r"(?:item|distance)\.(.+)", r"\1"),
        (r"category\.(.+)\.(?:uniform|recency)", r"\1"),
        (r"user\.(.+)", r"user \1"),
    )
)


@dataclass(frozen=True)
class Effects:
    """How each group of features moved each row of lists."""

    groups: tuple[str, ...]
    changes: npt.NDArray[np.float64]  # [n_groups, n_rows], above 0 where the row stands higher for it


def occlude(ranker: ListScorer, lists: Lists) -> Effects:
    """What each row's log-odds lose when a group of features takes its mean over the list, for all rows at once.

    Any ranker can be asked: it is scored once for each group. Features that say the same stand in for one another, and
    others count only together, so the effects need not add up to anything.

    Args:
        ranker: gives probabilities.

    Source: Robnik-Šikonja and Kononenko, Explaining classifications for individual instances, TKDE 2008 (the difference
    of log-odds; there the feature is averaged out over its values).
    """
    groups = group_columns(lists.names)
    before = _log_odds(ranker, lists, lists.pairs)
    effects = np.zeros((len(groups), len(lists.pairs)))
    for place, columns in enumerate(groups.values()):
        pairs = lists.pairs.copy()
        for start, stop in zip(lists.starts[:-1], lists.starts[1:], strict=True):
            if start < stop:
                pairs[start:stop, columns] = lists.pairs[start:stop, columns].mean(axis=0, dtype=np.float64)
        effects[place] = before - _log_odds(ranker, lists, pairs)
    return Effects(tuple(groups), effects)


def group_columns(names: tuple[str, ...]) -> dict[str, list[int]]:
    """Groups of features that belong together, in words -> their columns."""
    groups: dict[str, list[int]] = {}
    for column, name in enumerate(names):
        groups.setdefault(_words_for(name), []).append(column)
    return groups


def words_for_group(column: str) -> str:
    """What the group is called that a user belongs to by a column of users."""
    return _words_for(f"segment.{column}")


def contributions(arrays: Arrays, watched: ItemNums, items: ItemNums) -> Matrix:
    """[n_items, n_watched] what each watched item adds to each item: EASE's weight, else the cosine of co-watching.

    Args:
        arrays: of `PairFeatures`.
        watched: rising, each item once.
        items: [n_items].
    """
    if "ease" in arrays:
        weights: Matrix = arrays["ease"][np.ix_(watched, items)].T
        return weights
    neighbours = arrays["neighbour"][items]  # [n_items, n_neighbours]
    rows, slots = np.nonzero(np.isin(neighbours, watched))
    cosines = np.zeros((len(items), len(watched)), np.float32)
    cosines[rows, np.searchsorted(watched, neighbours[rows, slots])] = arrays["cosine"][items[rows], slots]
    return cosines


def _words_for(name: str) -> str:
    base = _ABOUT_ANOTHER.sub("", name)
    for pattern, words in _GROUPS:
        if match := pattern.fullmatch(base):
            return match.expand(words)
    return base.replace("_", " ")


def _log_odds(ranker: ListScorer, lists: Lists, pairs: Matrix) -> npt.NDArray[np.float64]:
    probability = ranker.score_lists(replace(lists, pairs=pairs)).astype(np.float64)
    log_odds: npt.NDArray[np.float64] = logit(np.clip(probability, 1 - _CLOSE_TO_ONE, _CLOSE_TO_ONE))
    return log_odds
