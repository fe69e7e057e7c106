"""The metrics of lists. A new one is an entry here, with its formula in `metrics`, `beyond` or below, and its test."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from belfry.dataset.arrays import Mask
from belfry.evaluation import beyond, metrics
from belfry.evaluation.context import DIVERSITY_USERS, Need
from belfry.evaluation.lists import JudgedLists
from belfry.evaluation.metrics import Counts, Lists, PerUser

# Which way is better; None where neither is as such, and the value is told and not judged.
Direction: TypeAlias = Literal["higher", "lower"]
Report: TypeAlias = Literal["evaluation", "comparison"]
BOTH: tuple[Report, ...] = ("evaluation", "comparison")

_MAX_PAIRS = 4_000_000  # of items of one list, twice over


@dataclass(frozen=True)
class Metric:
    """A value of each user's list: means, intervals and tests are taken over users."""

    name: str  # before the "@"
    better: Direction | None
    of: Callable[[JudgedLists], PerUser]  # [n_users], NaN for a user without a value
    needs: frozenset[Need] = frozenset()  # of the context; without it, nothing is measured
    reports: tuple[Report, ...] = ("comparison",)
    is_accuracy: bool = False  # by hits alone, measured at several lengths
    label: str = ""  # for people, where it is not the name


@dataclass(frozen=True)
class MetricOfAll:
    """A value of all lists together, which has no interval."""

    name: str
    better: Direction | None
    of: Callable[[Lists, int], float]  # lists [n_judged, n], items of the catalogue
    label: str = ""


def _accuracy(name: str, of: Callable[[Mask, Counts], PerUser], label: str = "") -> Metric:
    """A metric of hits [n_users, n] and test items [n_users]."""
    return Metric(
        name, "higher", lambda judged: of(judged.hits, judged.n_relevant), reports=BOTH, is_accuracy=True, label=label
    )


def _graded_ndcg(judged: JudgedLists, gain: PerUser) -> PerUser:
    row, pair = judged.relevant
    ideal = metrics.ideal_gain(row, gain[pair], len(judged), judged.n)
    return metrics.weighted_ndcg(judged.of_hits(gain), ideal)


def _graded_recall(judged: JudgedLists, gain: PerUser) -> PerUser:
    row, pair = judged.relevant
    total = np.bincount(row, weights=gain[pair], minlength=len(judged))
    return metrics.weighted_recall(judged.of_hits(gain), np.asarray(total, np.float64))


def _rating_of_hits(judged: JudgedLists) -> PerUser:
    assert judged.context.rating is not None
    is_rated = np.asarray(~np.isnan(judged.context.rating), np.float64)
    return metrics.weighted_recall(
        judged.of_hits(np.nan_to_num(judged.context.rating)), judged.of_hits(is_rated).sum(axis=1)
    )


def _popularity_lift(judged: JudgedLists) -> PerUser:
    return beyond.popularity_lift(judged.lists, judged.context.history, judged.context.mean_history_popularity)


def _diversity(judged: JudgedLists) -> PerUser:
    """Of `DIVERSITY_USERS` of all judged users, drawn evenly, fewer for long lists; NaN for the others."""
    n_judged = len(judged.context.users)
    n_drawn = min(n_judged, DIVERSITY_USERS, max(1, _MAX_PAIRS // judged.n**2))
    is_drawn = np.zeros(n_judged, np.bool_)
    is_drawn[np.linspace(0, n_judged - 1, n_drawn).astype(np.int64)] = True
    rows = np.flatnonzero(is_drawn[judged.position])
    values = np.full(len(judged), np.nan)
    values[rows] = beyond.intra_list_diversity(judged.lists[rows], judged.context.similarity_history)
    return values


def _miscalibration(judged: JudgedLists) -> PerUser:
    assert judged.context.categories is not None
    shares = judged.context.categories.shares
    return beyond.miscalibration(judged.lists, judged.users, judged.context.history, shares)


_RATINGS: frozenset[Need] = frozenset(["ratings"])
_LIKED: frozenset[Need] = frozenset(["ratings", "liked_from"])
_CATEGORIES: frozenset[Need] = frozenset(["categories"])

METRICS = (
    _accuracy("ndcg", metrics.ndcg, "NDCG"),
    _accuracy("recall", metrics.recall),
    _accuracy("precision", lambda hits, _: metrics.precision(hits)),
    _accuracy("hit_rate", lambda hits, _: metrics.hit_rate(hits)),
    _accuracy("mrr", lambda hits, _: metrics.mrr(hits), "MRR"),
    _accuracy("map", metrics.average_precision, "MAP"),
    Metric("ndcg_debiased", "higher", lambda judged: _graded_ndcg(judged, judged.context.debiased_gain)),
    Metric("recall_debiased", "higher", lambda judged: _graded_recall(judged, judged.context.debiased_gain)),
    Metric("ndcg_rated", "higher", lambda judged: _graded_ndcg(judged, judged.context.rating_gain), _RATINGS),
    Metric("rating_of_hits", "higher", _rating_of_hits, _RATINGS),
    Metric("ndcg_liked", "higher", lambda judged: _graded_ndcg(judged, judged.context.liked_gain), _LIKED),
    Metric("recall_liked", "higher", lambda judged: _graded_recall(judged, judged.context.liked_gain), _LIKED),
    Metric("novelty", None, lambda judged: beyond.novelty(judged.lists, judged.context.history), reports=BOTH),
    Metric(
        "mean_popularity",
        None,
        lambda judged: beyond.mean_popularity(judged.lists, judged.context.history),
        reports=("evaluation",),  # a comparison tells popularity by its lift alone
    ),
    Metric("popularity_lift", None, _popularity_lift, reports=BOTH),
    Metric(
        "serendipity",
        "higher",
        lambda judged: beyond.serendipity(judged.lists, judged.hits, judged.users, judged.context.history),
    ),
    Metric("intra_list_diversity", "higher", _diversity, reports=BOTH),
    Metric("miscalibration", "lower", _miscalibration, _CATEGORIES, reports=BOTH),
    Metric(
        "has_list",
        "higher",
        lambda judged: np.asarray(judged.lists[:, 0] > 0, np.float64),
        label="share of users with a list",
    ),
)
METRICS_OF_ALL = (MetricOfAll("coverage", "higher", beyond.coverage), MetricOfAll("gini", "lower", beyond.gini))
ACCURACY = {metric.name: metric for metric in METRICS if metric.is_accuracy}
_BY_NAME: dict[str, Metric | MetricOfAll] = {metric.name: metric for metric in (*METRICS, *METRICS_OF_ALL)}


def better(measured: str) -> Direction | None:
    """Which way is better for "ndcg@10" and the like."""
    return _BY_NAME[measured.partition("@")[0]].better


def label_of(measured: str) -> str:
    """For people: ndcg@10 -> NDCG@10, hit_rate@10 -> hit rate@10, has_list@10 -> share of users with a list."""
    name, _, n = measured.partition("@")
    label = _BY_NAME[name].label or name.replace("_", " ")
    return label if name == "has_list" else f"{label}@{n}"
