"""Where a difference comes from: the primary metric by kind of user, by kind of test item, and by time."""

from collections.abc import Iterator

import numpy as np

from dataset.columns import TIMESTAMP_S
from dataset.interactions import Mask
from evaluation.compare.inference import MIN_USERS, Matrix, compare_columns, correct
from evaluation.compare.metrics import ACCURACY, SystemScores
from evaluation.compare.result import Slice
from evaluation.compare.world import Groups, World, quarters
from evaluation.metrics import PerUser

MAX_CATEGORY_SLICES = 20


def slices(
    world: World, baseline: SystemScores, challenger: SystemScores, primary: str, *, judged: Mask, seed: int
) -> tuple[Slice, ...]:
    """The primary metric in every group of at least `MIN_USERS` users, with corrections over all of them.

    Args:
        judged: [n_judged] bool, who counts.
        seed: of the resamples and flips.
    """
    first, second = baseline.per_user[primary], challenger.per_user[primary]
    found: list[Slice] = []
    for dimension, groups in _dimensions(world):
        table = np.full((len(first), len(groups.labels)), np.nan)
        kept = np.flatnonzero((groups.code >= 0) & judged)
        table[kept, groups.code[kept]] = (second - first)[kept]
        values = [np.where((groups.code == code) & judged, side, np.nan) for code in range(table.shape[1])
                  for side in (first, second)]  # fmt: skip
        found += _tested(dimension, groups.labels, table, values, seed)
    if world.categories is not None and primary.partition("@")[0] in ACCURACY:
        values = [
            np.where(judged, _of_category(world, category, system, primary), np.nan)
            for category in range(min(len(world.categories.labels), MAX_CATEGORY_SLICES))
            for system in (baseline, challenger)
        ]
        table = np.column_stack([b - a for a, b in zip(values[::2], values[1::2], strict=True)])
        labels = world.categories.labels[:MAX_CATEGORY_SLICES]
        found += _tested(f"test items by {world.categories.column}", labels, table, values, seed)
    corrected = correct([one.p for one in found])
    return tuple(
        Slice(**(vars(one) | {"p_holm": float(holm), "p_benjamini_hochberg": float(bh)}))
        for one, holm, bh in zip(found, corrected.holm, corrected.benjamini_hochberg, strict=True)
    )


def _dimensions(world: World) -> Iterator[tuple[str, Groups]]:
    users = world.users
    n_seen = world.history.seen_items.count(users)
    yield "known or cold", Groups(("known", "cold"), np.where(n_seen > 0, 0, 1))
    yield "watches in the history", quarters(np.where(n_seen > 0, n_seen, np.nan).astype(np.float64))
    yield "popularity of taste", quarters(world.taste)
    for name, groups in world.user_columns.items():
        yield name, Groups(groups.labels, groups.code[users])
    if world.time is not None:
        first_s = np.full(len(users), np.iinfo(np.int64).max)
        np.minimum.at(first_s, world.test_row, world.time)
        edges = np.unique(np.quantile(first_s, [1 / 3, 2 / 3]).astype(np.int64))
        starts = np.append(first_s.min(), edges + 1)
        labels = tuple(f"from {np.datetime64(int(start), 's')}" for start in starts)
        yield f"first test event ({TIMESTAMP_S})", Groups(labels, np.searchsorted(edges, first_s, side="left"))


def _of_category(world: World, category: int, system: SystemScores, primary: str) -> PerUser:
    """[n_judged] the primary metric as if test items outside of the category were none; NaN without one."""
    assert world.categories
    member = world.categories.shares[:, category] > 0
    in_test = member[world.test.item_num]
    n_relevant = np.bincount(world.test_row[in_test], minlength=len(world.users))
    values = np.full(len(n_relevant), np.nan)
    rows = np.flatnonzero(n_relevant)
    hits = system.hits[rows] & member[system.lists[rows]]
    values[rows] = ACCURACY[primary.partition("@")[0]](hits, n_relevant[rows])
    return values


def _tested(dimension: str, labels: tuple[str, ...], table: Matrix, values: list[PerUser], seed: int) -> list[Slice]:
    """A row for each label with anybody in it; fewer than `MIN_USERS` users get no interval."""
    tested = compare_columns(table, seed=seed)
    rows = []
    for place, (label, one) in enumerate(zip(labels, tested, strict=True)):
        if one.n_users and (one.n_users >= MIN_USERS or len(labels) <= 12):
            means = [float(np.nanmean(side)) for side in values[2 * place : 2 * place + 2]]
            rows.append(
                Slice(
                    dimension, label, one.n_users, *means, one.difference, one.low, one.high, one.p_randomisation,
                    float("nan"), float("nan"),
                )  # fmt: skip
            )
    return rows
