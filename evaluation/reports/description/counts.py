"""How much there is, and how it is spread over users and items."""

import numpy as np
import numpy.typing as npt

from belfry.dataset.interactions import Interactions
from belfry.dataset.prepare import Data
from belfry.dataset.vocabulary import ItemNums
from belfry.evaluation.reports.description.result import Bar, Point, Popular, Shape, Spread

N_POPULAR = 10
_N_POINTS = 100  # of a curve

Counts = npt.NDArray[np.int64]


def shape_of(history: Interactions, n_rows: int, n_doubles: int) -> Shape:
    """Args: `n_rows` of interactions that were handed in, and those dropped as doubles."""
    users, items = watches_of_users(history), history.item_counts[1:]
    return Shape(
        n_rows=n_rows,
        n_watches=len(history),
        n_doubles=n_doubles,
        n_pairs=len(history.seen_items.item_num),
        n_impressions=0 if history.impressions is None else len(history.impressions.distinct.item_num),
        n_dislikes=0 if history.dislikes is None else len(history.dislikes.item_num),
        n_users=len(users),
        n_items=len(items),
        n_users_without=int((users == 0).sum()),
        n_items_without=int((items == 0).sum()),
    )


def watches_of_users(history: Interactions) -> Counts:
    """[n_users] how many items each has watched."""
    return np.diff(history.seen_items.starts)[1:]


def spread_of(counts: Counts) -> Spread:
    """Of counts, of which one at least is above 0."""
    falling = np.sort(counts[counts > 0])[::-1]
    n, total = len(falling), int(falling.sum())
    tenth, median, ninetieth = np.quantile(falling, (0.1, 0.5, 0.9)).tolist()
    return Spread(
        n=n,
        mean=total / n,
        smallest=int(falling[-1]),
        tenth=tenth,
        median=median,
        ninetieth=ninetieth,
        largest=int(falling[0]),
        n_few=int((falling < Spread.FEW).sum()),
        histogram=_histogram(falling),
        curve=_curve(falling),
        top_share=float(falling[: max(1, n // 100)].sum() / total),
    )


def popular(data: Data) -> tuple[Popular, ...]:
    """The items of most users."""
    counts = data.interactions.item_counts[1:]
    first: ItemNums = np.argsort(-counts, kind="stable")[:N_POPULAR].astype(np.int32) + np.int32(1)
    ids, titles = data.interactions.items.take(first).to_pylist(), data.titles.take(first - 1).to_pylist()
    rows = zip(ids, titles, counts[first - 1].tolist(), strict=True)
    return tuple(Popular(*row) for row in rows if row[2])


def _histogram(counts: Counts) -> tuple[Bar, ...]:
    """Over ranges that grow by 1, 2, 5, 10, ..."""
    top = int(counts.max())
    grown = [step * 10**power + 1 for power in range(1, len(str(top)) + 1) for step in (2, 5, 10)]
    edges = [edge for edge in (1, 2, 3, 6, 11, *grown) if edge <= top]
    found = np.diff(np.append(np.searchsorted(np.sort(counts), edges), len(counts)))
    ends = [edge - 1 for edge in edges[1:]] + [top]
    names = [f"{low:,}" if low == high else f"{low:,}-{high:,}" for low, high in zip(edges, ends, strict=True)]
    return tuple(zip(names, found.tolist(), strict=True))


def _curve(falling: Counts) -> tuple[Point, ...]:
    """Share of the users or items, those with most first, and the share of the watches that they have."""
    places = np.unique(np.linspace(0, len(falling), _N_POINTS + 1).astype(np.int64))
    parts = np.append(0, np.cumsum(falling))[places] / falling.sum()
    return tuple(zip((places / len(falling)).round(4).tolist(), parts.round(4).tolist(), strict=True))
