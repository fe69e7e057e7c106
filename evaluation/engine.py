"""Every metric of one system's lists, per judged user, and what the lists do to the catalogue."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from belfry.dataset.errors import InputError
from belfry.dataset.interactions import Mask
from belfry.evaluation import beyond, metrics
from belfry.evaluation.context import DIVERSITY_USERS, EvaluationContext
from belfry.evaluation.metrics import Counts, Lists, PerUser
from belfry.evaluation.table_lists import BlockOfLists, TableLists

ACCURACY: dict[str, Callable[[Mask, Counts], PerUser]] = {
    "ndcg": metrics.ndcg,
    "recall": metrics.recall,
    "precision": lambda hits, n_relevant: metrics.precision(hits),
    "hit_rate": lambda hits, n_relevant: metrics.hit_rate(hits),
    "mrr": lambda hits, n_relevant: metrics.mrr(hits),
    "map": metrics.average_precision,
}
# Which way is better; None where it is a matter of taste, to be told and not judged.
Way: TypeAlias = Literal["higher", "lower"]
HIGHER: Way = "higher"
LOWER: Way = "lower"
_BETTER: dict[str, Way] = {
    **dict.fromkeys(
        (*ACCURACY, "ndcg_debiased", "recall_debiased", "ndcg_rated", "ndcg_liked", "recall_liked"), HIGHER
    ),
    **dict.fromkeys(("rating_of_hits", "serendipity", "intra_list_diversity", "coverage", "has_list"), HIGHER),
    **dict.fromkeys(("miscalibration", "gini"), LOWER),
}
USERS_PER_CHUNK = 50_000
_MAX_PAIRS = 4_000_000  # of items of one list, twice over


def better(metric: str) -> Way | None:
    """ "higher", "lower", or None where neither is better as such."""
    return _BETTER.get(metric.partition("@")[0])


@dataclass(frozen=True)
class Plan:
    """What is measured."""

    n: int  # length of the lists for all that is not accuracy, and for the primary metric
    cutoffs: tuple[int, ...]  # of the accuracy metrics, rising

    @property
    def depth(self) -> int:
        return max(self.n, *self.cutoffs)


@dataclass(frozen=True)
class SystemScores:
    """What one table is worth; rows as in `EvaluationContext.users`."""

    per_user: dict[str, PerUser] = field(repr=False)  # metric -> [n_judged], NaN where not defined
    of_all: dict[str, float]  # metric of all lists together
    lists: Lists = field(repr=False)  # [n_judged, n]
    hits: Mask = field(repr=False)  # [n_judged, n]
    exposure: Counts = field(repr=False)  # [n_items + 1] lists that hold the item
    origins: dict[str, float]  # origin -> its share of all places filled

    @property
    def has_list(self) -> Mask:
        return self.lists[:, 0] > 0


def score_table(table: TableLists, context: EvaluationContext, plan: Plan) -> SystemScores:
    """Go through the table once; a judged user without rows has an empty list, which counts with zeros.

    Raises:
        TableError: rows are at fault.
    """
    test = _TestPart(context, plan)
    n_judged = len(context.users)
    per_user = {name: np.zeros(n_judged) for name in test.names}
    lists = np.zeros((n_judged, plan.n), np.int32)
    origin_counts = np.zeros(100, np.int64)
    for name, value in test.of_nothing().items():
        per_user[name][:] = value
    for block in table.blocks(plan.depth):
        _fill(per_user, block, test)
        lists[block.position] = block.lists[:, : plan.n]
        origin_counts += np.bincount(block.origin[block.origin >= 0], minlength=100)
    hits = np.zeros(lists.shape, np.bool_)
    for rows in _chunks(n_judged):
        hits[rows] = metrics.hits(lists[rows], context.users[rows], context.test)
    per_user |= _beyond(lists, hits, context, plan.n)
    n_items = len(context.history.items)
    placed = origin_counts.sum()
    return SystemScores(
        per_user,
        of_all={
            f"coverage@{plan.n}": beyond.coverage(lists, n_items),
            f"gini@{plan.n}": beyond.gini(lists, n_items),
        },
        lists=lists,
        hits=hits,
        exposure=np.bincount(lists[lists > 0], minlength=n_items + 1),
        origins={name: int(count) / int(placed) for name, count in zip(table.origins, origin_counts, strict=False)},
    )


class _TestPart:
    """What is right for each judged user, plain, weighted and rated."""

    def __init__(self, context: EvaluationContext, plan: Plan) -> None:
        self.context, self.plan = context, plan
        self.n_relevant = context.test.count(context.users)
        n, row = plan.n, context.test_row
        n_judged = len(context.users)
        weight = context.item_weight[context.test.item_num]
        self.weight_total = np.asarray(np.bincount(row, weights=weight, minlength=n_judged), np.float64)
        self.weight_ideal = metrics.ideal_gain(row, weight, n_judged, n)
        self.names = [f"{metric}@{cutoff}" for cutoff in plan.cutoffs for metric in ACCURACY]
        self.names += [f"ndcg_debiased@{n}", f"recall_debiased@{n}"]
        if context.rating is not None:
            self.rating = np.maximum(np.nan_to_num(context.rating), 0)
            self.rating_ideal = metrics.ideal_gain(row, self.rating, n_judged, n)
            self.names += [f"ndcg_rated@{n}", f"rating_of_hits@{n}"]
        if context.rating is not None and context.liked_from is not None:
            self.liked = np.asarray(context.rating >= context.liked_from, np.float64)  # NaN compares false
            self.liked_total = np.asarray(np.bincount(row, weights=self.liked, minlength=n_judged), np.float64)
            self.liked_ideal = metrics.ideal_gain(row, self.liked, n_judged, n)
            self.names += [f"ndcg_liked@{n}", f"recall_liked@{n}"]

    def of_nothing(self) -> dict[str, PerUser]:
        """Every metric of empty lists."""
        everybody = np.arange(len(self.context.users))
        chunks = [everybody[rows] for rows in _chunks(len(everybody))]
        values = [self.of(chunk, np.zeros((len(chunk), self.plan.depth), np.int32)) for chunk in chunks]
        return {name: np.concatenate([value[name] for value in values]) for name in self.names}

    def of(self, position: npt.NDArray[np.int64], lists: Lists) -> dict[str, PerUser]:
        """[n] each, of the users at these positions."""
        found = self.context.test.positions(
            np.broadcast_to(self.context.users[position, None], lists.shape), lists
        )  # [n, depth] test pair, -1 for a miss
        hits, n_relevant = found >= 0, self.n_relevant[position]
        values: dict[str, PerUser] = {}
        for cutoff in self.plan.cutoffs:
            values |= {f"{name}@{cutoff}": of_hits(hits[:, :cutoff], n_relevant) for name, of_hits in ACCURACY.items()}
        n = self.plan.n
        top_hits, top_found = hits[:, :n], np.maximum(found[:, :n], 0)

        def gains(of_pair: PerUser) -> PerUser:
            return np.where(top_hits, of_pair[top_found], 0)

        weight = np.where(top_hits, self.context.item_weight[lists[:, :n]], 0)
        values[f"ndcg_debiased@{n}"] = metrics.weighted_ndcg(weight, self.weight_ideal[position])
        values[f"recall_debiased@{n}"] = metrics.weighted_recall(weight, self.weight_total[position])
        if self.context.rating is not None:
            values[f"ndcg_rated@{n}"] = metrics.weighted_ndcg(gains(self.rating), self.rating_ideal[position])
            rated = top_hits & ~np.isnan(self.context.rating[top_found])
            sums, counts = np.where(rated, self.context.rating[top_found], 0).sum(axis=1), rated.sum(axis=1)
            mean = np.divide(sums, counts, out=np.full(len(sums), np.nan), where=counts > 0)
            values[f"rating_of_hits@{n}"] = mean
        if f"ndcg_liked@{n}" in self.names:
            liked = gains(self.liked)
            values[f"ndcg_liked@{n}"] = metrics.weighted_ndcg(liked, self.liked_ideal[position])
            values[f"recall_liked@{n}"] = metrics.weighted_recall(liked, self.liked_total[position])
        return values


def _fill(per_user: dict[str, PerUser], block: BlockOfLists, test: _TestPart) -> None:
    for rows in _chunks(len(block.position)):
        position = block.position[rows]
        for name, values in test.of(position, block.lists[rows]).items():
            per_user[name][position] = values


def _beyond(lists: Lists, hits: Mask, context: EvaluationContext, n: int) -> dict[str, PerUser]:
    """Beyond accuracy; popularity lift as in `belfry.evaluation.beyond`, over the histories of all judged users."""
    own = (
        float(np.nanmean(context.history_popularity)) if np.isfinite(context.history_popularity).any() else float("nan")
    )
    history = context.history
    values = {
        f"novelty@{n}": _by_chunk(lambda rows: beyond.novelty(lists[rows], history), len(lists)),
        f"popularity_lift@{n}": _by_chunk(lambda rows: beyond.mean_popularity(lists[rows], history) / own, len(lists)),
        f"serendipity@{n}": _by_chunk(
            lambda rows: beyond.serendipity(lists[rows], hits[rows], context.users[rows], history), len(lists)
        ),
        f"intra_list_diversity@{n}": _diversity(lists, context),
    }
    if (categories := context.categories) is not None:
        values[f"miscalibration@{n}"] = _by_chunk(
            lambda rows: beyond.miscalibration(lists[rows], context.users[rows], history, categories.shares), len(lists)
        )
    return values | {f"has_list@{n}": np.asarray(lists[:, 0] > 0, np.float64)}


def _diversity(lists: Lists, context: EvaluationContext) -> PerUser:
    """[n_judged] of `DIVERSITY_USERS` of the judged, drawn evenly, fewer for long lists; NaN for the others."""
    most = min(len(lists), DIVERSITY_USERS, max(1, _MAX_PAIRS // lists.shape[1] ** 2))
    drawn = np.unique(np.linspace(0, len(lists) - 1, most).astype(np.int64))
    values = np.full(len(lists), np.nan)
    values[drawn] = beyond.intra_list_diversity(lists[drawn], context.similarity_history)
    return values


def _by_chunk(of: Callable[[slice], PerUser], n: int) -> PerUser:
    return np.concatenate([of(rows) for rows in _chunks(n)])


def _chunks(n: int) -> Iterable[slice]:
    """Users in slices, so that what lists become on the way stays small."""
    return [slice(start, start + USERS_PER_CHUNK) for start in range(0, max(n, 1), USERS_PER_CHUNK)]


def mean_of_runs(runs: list[SystemScores]) -> SystemScores:
    """Several runs of one system as one: per user the mean over runs; lists are those of the first.

    Raises:
        InputError: the runs do not have the same metrics.
    """
    first = runs[0]
    if any(run.per_user.keys() != first.per_user.keys() for run in runs[1:]):
        raise InputError("the runs of one system do not have the same metrics")
    return SystemScores(
        {name: np.mean([run.per_user[name] for run in runs], axis=0) for name in first.per_user},
        {name: float(np.mean([run.of_all[name] for run in runs])) for name in first.of_all},
        first.lists,
        first.hits,
        np.sum([run.exposure for run in runs], axis=0),
        first.origins,
    )
