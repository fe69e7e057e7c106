"""New, rare and other items: what lists are worth by how often a test item had been watched before."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from belfry.evaluation.by_items import as_if_alone, by_watches
from belfry.evaluation.context import EvaluationContext
from belfry.evaluation.engine import SystemScores
from belfry.evaluation.intervals import Interval, mean_intervals
from belfry.evaluation.registry import ACCURACY


@dataclass(frozen=True)
class SystemSlice:
    """The lists of one system and one kind of item."""

    name: str
    ndcg: Interval  # as if all other test items were none
    share: float  # of all places filled


@dataclass(frozen=True)
class WatchesSlice:
    """Items that equally many users had watched before."""

    watches: str
    n_items: int  # of the catalogue
    n_test: int  # test rows
    systems: tuple[SystemSlice, ...]


def slices_by_watches(
    systems: Mapping[str, SystemScores], context: EvaluationContext, *, seed: int
) -> tuple[WatchesSlice, ...]:
    """A slice of each group that has test rows; `seed` of the resamples."""
    groups, metric, found = by_watches(context), ACCURACY["ndcg"], []
    for code, label in enumerate(groups.labels):
        member = groups.code == code
        n_test = int(np.count_nonzero(member[context.test.item_num]))
        if n_test:
            alone = context.on_items(member)
            values = np.column_stack([as_if_alone(alone, context, one, metric) for one in systems.values()])
            shares = [
                member[one.lists[one.lists > 0]].sum() / max((one.lists > 0).sum(), 1) for one in systems.values()
            ]
            parts = zip(systems, mean_intervals(values, seed=seed), map(float, shares), strict=True)
            of_systems = tuple(SystemSlice(*part) for part in parts)
            found.append(WatchesSlice(label, int(np.count_nonzero(member)), n_test, of_systems))
    return tuple(found)
