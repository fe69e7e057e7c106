"""Users without a history among those judged: what their lists are worth by themselves."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from belfry.evaluation.context import EvaluationContext
from belfry.evaluation.engine import SystemScores
from belfry.evaluation.intervals import Interval, mean_intervals
from belfry.evaluation.reports.escape import markdown_table


@dataclass(frozen=True)
class ColdSystem:
    """The lists of one system."""

    name: str
    metrics: dict[str, Interval]  # "ndcg@10" -> mean over the cold users with interval


@dataclass(frozen=True)
class ColdUsers:
    """All systems on the same cold users."""

    n_users: int
    systems: tuple[ColdSystem, ...]


def cold_users(systems: Mapping[str, SystemScores], context: EvaluationContext, *, seed: int) -> ColdUsers | None:
    """None where every judged user has a history; `seed` of the resamples."""
    is_cold = context.history.seen_items.count(context.users) == 0
    if not is_cold.any():
        return None
    found = []
    for name, scores in systems.items():
        values = np.column_stack(list(scores.per_user.values()))[is_cold]
        intervals = mean_intervals(values, seed=seed)
        found.append(ColdSystem(name, dict(zip(scores.per_user, intervals, strict=True))))
    return ColdUsers(int(is_cold.sum()), tuple(found))


def cold_section(cold: ColdUsers) -> list[str]:
    """In Markdown."""
    names = dict.fromkeys(name for system in cold.systems for name in system.metrics)
    rows = ([name, *(str(system.metrics.get(name, "-")) for system in cold.systems)] for name in names)
    return [
        "## Users without a history",
        "",
        f"{cold.n_users:,} of those judged, by themselves.",
        "",
        *markdown_table(["metric", *(system.name for system in cold.systems)], rows),
        "",
    ]
