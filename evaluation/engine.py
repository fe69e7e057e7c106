"""The one way from lists to figures: every metric of a plan for each judged user, and of all lists together."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from belfry.dataset.arrays import Mask
from belfry.evaluation.context import EvaluationContext
from belfry.evaluation.intervals import Interval, mean_intervals, paired_intervals
from belfry.evaluation.lists import BlockOfLists, JudgedLists, ListSource
from belfry.evaluation.metrics import Counts, Lists, PerUser
from belfry.evaluation.plan import Plan

USERS_PER_CHUNK = 50_000


@dataclass(frozen=True)
class SystemScores:
    """What the lists of one system are worth; rows as in `EvaluationContext.users`."""

    per_user: dict[str, PerUser] = field(repr=False)  # metric -> [n_judged], NaN where not defined
    of_all: dict[str, float]  # metric of all lists together
    lists: Lists = field(repr=False)  # [n_judged, n]
    hits: Mask = field(repr=False)  # [n_judged, n]
    exposure: Counts = field(repr=False)  # [n_items + 1] lists that hold the item
    origins: dict[str, float] = field(default_factory=dict)  # origin -> its share of all places filled

    @property
    def has_list(self) -> Mask:
        return self.lists[:, 0] > 0

    def intervals(self, *, seed: int) -> dict[str, Interval]:
        """The mean over users of each metric with its interval, then the metrics of all lists together."""
        found = mean_intervals(np.column_stack(list(self.per_user.values())), seed=seed)
        of_all = {name: Interval.of_all_lists(value, len(self.lists)) for name, value in self.of_all.items()}
        return dict(zip(self.per_user, found, strict=True)) | of_all

    def differences(self, baseline: "SystemScores", *, seed: int) -> dict[str, Interval]:
        """The mean over users of each metric that both have, less that of the baseline, user by user."""
        shared = [metric for metric in self.per_user if metric in baseline.per_user]
        sides = (np.column_stack([one.per_user[metric] for metric in shared]) for one in (baseline, self))
        return dict(zip(shared, paired_intervals(*sides, seed=seed), strict=True))


def evaluate(source: ListSource, context: EvaluationContext, plan: Plan) -> SystemScores:
    """Go through the lists once; a judged user who is in no block has an empty list, which counts with zeros.

    Raises:
        TableError: the source is a table with rows at fault.
    """
    n_judged, n_items = len(context.users), len(context.history.items)
    wanted = plan.possible(context)
    per_user = {name: np.full(n_judged, np.nan) for name, _, _ in wanted}
    lists = np.zeros((n_judged, plan.n), np.int32)
    hits = np.zeros(lists.shape, np.bool_)
    has_come = np.zeros(n_judged, np.bool_)
    places: Counter[str] = Counter()

    def judge(block: BlockOfLists) -> None:
        for rows in _chunks(len(block.position)):
            judged = JudgedLists.of(context, block.position[rows], block.lists[rows])
            by_length = {length: judged.top(length) for _, _, length in wanted}
            for name, metric, length in wanted:
                per_user[name][judged.position] = metric.of(by_length[length])
            lists[judged.position], hits[judged.position] = judged.lists[:, : plan.n], judged.hits[:, : plan.n]
        has_come[block.position] = True

    for block in source.blocks(plan.depth):
        judge(block)
        counts = np.bincount(block.origin[block.origin >= 0], minlength=len(block.origins))
        places.update(dict(zip(block.origins, counts.tolist(), strict=True)))
    missing = np.flatnonzero(~has_come)
    for rows in _chunks(len(missing)):
        empty = np.zeros((len(missing[rows]), plan.depth), np.int32)
        judge(BlockOfLists(missing[rows], empty, np.zeros((len(empty), 0), np.int8)))
    return SystemScores(
        per_user,
        of_all={f"{metric.name}@{plan.n}": metric.of(lists, n_items) for metric in plan.of_all},
        lists=lists,
        hits=hits,
        exposure=np.bincount(lists[lists > 0], minlength=n_items + 1),
        origins={name: count / max(places.total(), 1) for name, count in places.items()},
    )


def _chunks(n: int) -> Iterator[slice]:
    """Users in slices, so that what lists become on the way stays small."""
    return (slice(start, start + USERS_PER_CHUNK) for start in range(0, n, USERS_PER_CHUNK))
