"""What changed: how alike two systems' lists are, which items moved, whom it hit most, and where items come from."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from belfry.evaluation.context import EvaluationContext
from belfry.evaluation.engine import SystemScores
from belfry.evaluation.metrics import Counts, Lists, PerUser
from belfry.evaluation.reports.comparison.result import Bin, Changes, Example, ListedItem, Moved, Origin

PERSISTENCE = 0.9  # of the reader whom rank-biased overlap imagines: looks at the next place with this chance
N_MOVED = 15
N_EXAMPLES = 5
N_BINS = 20


def changes(baseline: SystemScores, challenger: SystemScores, context: EvaluationContext) -> Changes:
    """The lists of both, over users who have one in both."""
    both = baseline.has_list & challenger.has_list
    first, second = baseline.lists[both], challenger.lists[both]
    n = first.shape[1]
    shared = shared_by_depth(first, second)
    overlap = shared[:, -1] / n
    demoted, promoted = _furthest(challenger.exposure - baseline.exposure, N_MOVED)
    names = dict.fromkeys([*baseline.origins, *challenger.origins])
    return Changes(
        overlap=_mean(overlap),
        rbo=_mean(rank_biased_overlap(first, second)),
        rbo_persistence=PERSISTENCE,
        n_same=int((first == second).all(axis=1).sum()),
        n_users=int(both.sum()),
        overlap_histogram=_overlap_histogram(shared[:, -1], n),
        promoted=_moved(promoted, baseline, challenger, context),
        demoted=_moved(demoted, baseline, challenger, context),
        origins=tuple(
            Origin(name, baseline.origins.get(name, 0.0), challenger.origins.get(name, 0.0)) for name in names
        ),
    )


def shared_by_depth(first: Lists, second: Lists) -> npt.NDArray[np.int64]:
    """[n_users, n] how many items the first d places of both lists share; padding is shared by none."""
    n_users, n = first.shape
    shared = np.zeros((n_users, n), np.int64)
    for place in range(n):  # one column against all: n^2 in all, and no [n_users, n, n]
        row, other = np.nonzero((first[:, place, None] == second) & (second > 0))
        np.add.at(shared, (row, np.maximum(place, other)), 1)
    return shared.cumsum(axis=1)


def rank_biased_overlap(first: Lists, second: Lists, persistence: float = PERSISTENCE) -> PerUser:
    """[n_users] in 0..1: agreement of two lists, earlier places weighing more; beyond the lists it is extrapolated.

    Both lists are read to the width of the arrays; where one is shorter, its missing places agree with nothing.
    Source: Webber, Moffat and Zobel, A similarity measure for indefinite rankings, TOIS 2010, equation 23.
    """
    n = first.shape[1]
    agreement = shared_by_depth(first, second) / np.arange(1, n + 1)
    weights = (1 - persistence) * persistence ** np.arange(n)
    return np.asarray(agreement @ weights + agreement[:, -1] * persistence**n)


def examples(
    gain: PerUser,
    values: tuple[PerUser, PerUser],
    systems: tuple[SystemScores, SystemScores],
    context: EvaluationContext,
) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """The users who lost most and who gained most, the furthest first; none who did neither.

    Args:
        gain: [n_judged] change of the primary metric, the better the higher.
        values: the same metric of baseline and challenger.
    """
    losers, winners = (
        tuple(_example(int(place), values, systems, context) for place in places)
        for places in _furthest(np.nan_to_num(gain), N_EXAMPLES)
    )
    return losers, winners


def _furthest(change: npt.NDArray[np.number], n: int) -> tuple[Counts, Counts]:
    """Positions of the `n` largest falls and of the `n` largest rises, the furthest first."""
    rising = np.argsort(change, kind="stable")
    down, up = rising[:n], rising[::-1][:n]
    return down[change[down] < 0], up[change[up] > 0]


def histogram(values: PerUser) -> tuple[Bin, ...]:
    """Bars of equal width from the lowest to the highest value, with 0 on an edge; values of 0 and NaN are in none."""
    values = values[np.isfinite(values) & (values != 0)]
    if not len(values):
        return ()
    low, high = float(values.min()), float(values.max())
    width = max(high - low, 1e-9) / N_BINS
    first, last = int(np.floor(low / width)), int(np.floor(high / width)) + 1
    edges = np.arange(first, last + 1) * width
    counts = np.bincount(
        np.clip(np.floor(values / width).astype(np.int64) - first, 0, len(edges) - 2), minlength=len(edges) - 1
    )
    return _bins(edges, counts)


def _overlap_histogram(shared: Counts, n: int) -> tuple[Bin, ...]:
    """Bars of how many of `n` items both lists share: one for each number, or twenty where lists are longer."""
    if n <= N_BINS:
        return _bins(np.arange(n + 2) / n, np.bincount(shared, minlength=n + 1))
    bars = np.minimum((shared / n * N_BINS).astype(np.int64), N_BINS - 1)
    return _bins(np.arange(N_BINS + 1) / N_BINS, np.bincount(bars, minlength=N_BINS))


def _bins(edges: npt.NDArray[np.floating], counts: Counts) -> tuple[Bin, ...]:
    return tuple(Bin(*bar) for bar in zip(edges[:-1].tolist(), edges[1:].tolist(), counts.tolist(), strict=True))


def _moved(
    items: Counts, baseline: SystemScores, challenger: SystemScores, context: EvaluationContext
) -> tuple[Moved, ...]:
    ids, titles = _named(items, context)
    rows = zip(items, ids, titles, strict=True)
    return tuple(
        Moved(
            item_id,
            title,
            int(context.history.item_counts[item]),
            int(baseline.exposure[item]),
            int(challenger.exposure[item]),
        )
        for item, item_id, title in rows
    )


def _example(
    place: int, values: tuple[PerUser, PerUser], systems: tuple[SystemScores, SystemScores], context: EvaluationContext
) -> Example:
    user = context.users[place : place + 1]
    baseline, challenger = (_listed(system, place, context) for system in systems)
    return Example(
        user_id=context.history.users.take(user)[0].as_py(),
        baseline=float(values[0][place]),
        challenger=float(values[1][place]),
        n_history=int(context.history.seen_items.count(user)[0]),
        n_test=int(context.test.count(user)[0]),
        baseline_list=baseline,
        challenger_list=challenger,
    )


def _listed(system: SystemScores, place: int, context: EvaluationContext) -> tuple[ListedItem, ...]:
    items = system.lists[place][system.lists[place] > 0]
    ids, titles = _named(items, context)
    return tuple(
        ListedItem(item_id, title, bool(is_hit))
        for item_id, title, is_hit in zip(ids, titles, system.hits[place], strict=False)
    )


def _named(items: npt.NDArray[np.integer], context: EvaluationContext) -> tuple[list[str | int], list[str | None]]:
    """Ids and titles of items by number."""
    return context.history.items.take(items).to_pylist(), context.titles.take(
        pa.array(items - 1, pa.int64())
    ).to_pylist()


def _mean(values: PerUser) -> float:
    return float(values.mean()) if len(values) else float("nan")
