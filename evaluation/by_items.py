"""Metrics of whole lists by kind of test item: as if the other test items were none."""

import numpy as np

from belfry.evaluation.context import EvaluationContext
from belfry.evaluation.engine import SystemScores
from belfry.evaluation.groups import Groups
from belfry.evaluation.lists import JudgedLists
from belfry.evaluation.metrics import PerUser
from belfry.evaluation.registry import Metric

WATCHES = "watches of test items"
FEW = 5


def by_watches(context: EvaluationContext) -> Groups:
    """Items by how many users had watched them before, [n_items + 1]; the unknown item in none."""
    code = np.searchsorted([0, FEW], context.history.item_counts, side="left")
    code[0] = -1
    return Groups(("0", f"1 to {FEW}", f"over {FEW}"), code)


def as_if_alone(alone: EvaluationContext, context: EvaluationContext, system: SystemScores, metric: Metric) -> PerUser:
    """[n_judged] the metric of whole lists as if the test items of `alone` were all; NaN for users without one."""
    rows = np.searchsorted(context.users, alone.users)
    values = np.full(len(context.users), np.nan)
    if len(rows):
        values[rows] = metric.of(JudgedLists.of(alone, np.arange(len(rows)), system.lists[rows]))
    return values
