"""Where a difference comes from: the primary metric by kind of user, by kind of test item, and by time."""

from collections.abc import Iterator

import numpy as np

from belfry.dataset.arrays import Mask
from belfry.evaluation.by_items import WATCHES, as_if_alone, by_watches
from belfry.evaluation.context import EvaluationContext
from belfry.evaluation.engine import SystemScores
from belfry.evaluation.groups import Groups, quarters
from belfry.evaluation.metrics import PerUser
from belfry.evaluation.registry import ACCURACY
from belfry.evaluation.reports.comparison.inference import compare_columns, correct
from belfry.evaluation.reports.comparison.result import Slice

MAX_CATEGORY_SLICES = 20
_DAY_S = 86_400


def slices(
    context: EvaluationContext,
    baseline: SystemScores,
    challenger: SystemScores,
    primary: str,
    *,
    judged: Mask,
    seed: int,
) -> tuple[Slice, ...]:
    """The primary metric in every group with anybody in it, with corrections over all groups.

    Args:
        judged: [n_judged] bool, who counts.
        seed: of the resamples and flips.
    """
    found: list[tuple[str, str, int, float, float]] = []  # the first fields of each slice

    def differences() -> Iterator[PerUser]:
        for dimension, group, first, second in _values(context, baseline, challenger, primary):
            first, second = first[judged], second[judged]
            defined = ~np.isnan(first) & ~np.isnan(second)
            if defined.any():
                means = float(first[defined].mean()), float(second[defined].mean())
                found.append((dimension, group, int(defined.sum()), *means))
                yield second - first

    tested = compare_columns(differences(), n_users=int(judged.sum()), seed=seed)
    corrected = correct([one.p_randomisation for one in tested])
    return tuple(
        Slice(*one, test.difference, test.low, test.high, test.p_randomisation, float(holm), float(bh))
        for one, test, holm, bh in zip(found, tested, corrected.holm, corrected.benjamini_hochberg, strict=True)
    )


def _values(
    context: EvaluationContext, baseline: SystemScores, challenger: SystemScores, primary: str
) -> Iterator[tuple[str, str, PerUser, PerUser]]:
    """(dimension, group, both systems' values [n_judged], NaN for who is not in the group)."""
    first, second = baseline.per_user[primary], challenger.per_user[primary]
    for dimension, groups in _dimensions(context):
        for code, label in enumerate(groups.labels):
            inside = groups.code == code
            yield dimension, label, np.where(inside, first, np.nan), np.where(inside, second, np.nan)
    metric = ACCURACY.get(primary.partition("@")[0])
    if metric is None:
        return
    items = by_watches(context)
    for code, label in enumerate(items.labels):
        alone = context.on_items(items.code == code)
        one, other = (as_if_alone(alone, context, system, metric) for system in (baseline, challenger))
        yield WATCHES, label, one, other
    if context.categories is not None:
        for category, label in enumerate(context.categories.labels[:MAX_CATEGORY_SLICES]):
            alone = context.on_items(context.categories.shares[:, category] > 0)
            one, other = (as_if_alone(alone, context, system, metric) for system in (baseline, challenger))
            yield f"{context.categories.column} of test items", label, one, other


def _dimensions(context: EvaluationContext) -> Iterator[tuple[str, Groups]]:
    users = context.users
    n_seen = context.history.seen_items.count(users)
    yield "known or cold", Groups(("known", "cold"), np.where(n_seen > 0, 0, 1))
    yield "watches before", quarters(np.where(n_seen > 0, n_seen, np.nan).astype(np.float64))
    yield "popularity of history", quarters(context.history_popularity)
    for name, groups in context.user_columns.items():
        yield name, Groups(groups.labels, groups.code[users])
    if context.time is not None:
        first_s = np.full(len(users), np.iinfo(np.int64).max)
        np.minimum.at(first_s, context.test_row, context.time)
        edges = np.unique(np.quantile(first_s, [1 / 3, 2 / 3]).astype(np.int64))
        starts = np.append(first_s.min(), edges + 1)
        unit = "D" if (np.diff(starts) >= _DAY_S).all() else "s"
        labels = tuple(f"from {np.datetime64(int(start), 's').astype(f'M8[{unit}]')}" for start in starts)
        yield "first test event", Groups(labels, np.searchsorted(edges, first_s, side="left"))
