"""A made-up exploration, with every part there, for the tests of its page."""

import math

from belfry.evaluation.reports.exploration.result import (
    Colouring,
    Curve,
    ExpectedRatings,
    Exploration,
    GateSeen,
    Importance,
    Importances,
    ItemMap,
    Listed,
    Projection,
    RatedGroup,
    ShownUser,
    Similarities,
    TriedSource,
)

N_ITEMS, N_SIMILAR = 60, 5


def make_exploration(title: str = "Film {}", label: str = "genre {}", name: str = "default-0") -> Exploration:
    """Item i lies on a circle, those before and behind it are most similar; `title` and `label` are formats."""
    angles = [2 * math.pi * item / N_ITEMS for item in range(N_ITEMS)]
    circle = [tuple(round(500 + 500 * part(angle)) for angle in angles) for part in (math.cos, math.sin)]
    near = [tuple((item + step) % N_ITEMS for step in (1, -1, 2, -2, 3)) for item in range(N_ITEMS)]
    titles = [title.format(item) for item in range(N_ITEMS)]
    listed = tuple(
        Listed(
            titles[item], 0.9 - item / 10, label.format(0), item == 1, item + 2, ((titles[9], 0.5),), (("age", 0.3),)
        )
        for item in range(5)
    )
    plain = tuple(Listed(one.title, one.score, one.origin, one.is_hit, None) for one in listed)
    curve = tuple((epoch, 1 / (epoch + 1)) for epoch in range(6))
    return Exploration(
        name=name,
        preset="default",
        holdout="time",
        created_at="2026-01-01T00:00:00+00:00",
        n_users=40,
        n_items=N_ITEMS + 7,
        n_watches=900,
        gate=GateSeen(True, "the ranker is better", 40, 0.2, 0.3, (0.1, math.nan, math.nan)),
        sources=(
            TriedSource("two_tower", 0.4, 0.4, 1.0, 5, None),
            TriedSource("popularity", 0.1, None, None, None, "adds nothing clear"),
        ),
        together=0.42,
        index_recall=1.0,
        seconds=(("ranker", 3.0), ("source two_tower", 2.0)),
        curves=(Curve("two_tower", "recall@100", curve[1:], curve),),
        item_map=ItemMap(
            ids=tuple(range(100, 100 + N_ITEMS)),
            titles=(None, *titles[1:]),
            n_users=tuple(range(N_ITEMS, 0, -1)),
            projections=(
                Projection("t-SNE", "Near stays near.", *circle),
                Projection("UMAP", "So too.", *circle[::-1]),
            ),
            colourings=(
                Colouring("users", "number", tuple(map(float, range(N_ITEMS, 0, -1)))),
                Colouring(
                    label.format("name"),
                    "category",
                    tuple(item % 3 if item % 3 < 2 else None for item in range(N_ITEMS)),
                    (label.format(0), label.format(1)),
                ),
                Colouring("year", "number", (None, *(1950.0 + item for item in range(N_ITEMS - 1)))),
            ),
            neighbours=tuple(near),
            cosines=((0.95, 0.9, 0.7, 0.6, -0.25),) * N_ITEMS,
            n_left_out=7,
        ),
        similarities=Similarities(((0.9, 1.0),), ((0.4, 1.0),), ((0.0, 0.5), (0.1, 0.5))),
        n_listed=5,
        users=tuple(ShownUser(user, 12, 3, tuple(titles[:8]), plain, listed) for user in range(3)),
        importances=Importances(20, 0.3, (Importance(label.format(1), 0.5, 0.02, 0.01), Importance("age", 0, 0, 0))),
        ratings=ExpectedRatings(
            True, 50, 0.9, 1.1, (RatedGroup(1, 20, 1.5, 2, 2.1, 3), RatedGroup(5, 30, 3.5, 4, 4.1, 4.6))
        ),
        missing={"columns": "Columns are numbers."},
    )
