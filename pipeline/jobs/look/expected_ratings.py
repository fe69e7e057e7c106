"""Ratings as a run expects them, beside those that users gave."""

import numpy as np
import numpy.typing as npt

from belfry.dataset import columns
from belfry.dataset.candidates import Candidates, ranks_of
from belfry.dataset.interactions import Interactions
from belfry.evaluation.reports.exploration.result import ExpectedRatings, RatedGroup
from belfry.pipeline.kinds import load_labels
from belfry.pipeline.serving.load import SOURCES, SOURCES_FILE, config_of, read_sources
from belfry.pipeline.serving.recommender import Recommender
from belfry.ranking.base import LabelRanker

_MOST = 20_000  # ratings that are looked at
_N_GROUPS = 10  # where there are more different ratings

Floats = npt.NDArray[np.float64]


def expected_ratings(recommender: Recommender, test: Interactions | None, *, seed: int) -> ExpectedRatings | str:
    """Of the test part where it has ratings, else of the history; or why it cannot be told."""
    labels = _labels(recommender)
    if labels is None or columns.RATING not in labels.label_names:
        return "No model of this run expects ratings; a run of the preset multitask, or with a ranker by ratings, does."
    is_held_out = test is not None and len(test.rated_rows) > 0
    events = test if is_held_out and test is not None else recommender.features.history
    rows = events.rated_rows
    if not len(rows) or events.rating is None:
        return "The run has no ratings."
    if len(rows) > _MOST:
        rows = np.sort(np.random.default_rng(seed).choice(rows, _MOST, replace=False))
    rows = rows[np.argsort(events.user_num[rows], kind="stable")]
    true = events.rating[rows].astype(np.float64)
    expected = labels.expected(_pairs(events, rows), recommender.features)
    found = expected[:, labels.label_names.index(columns.RATING)].astype(np.float64)
    return ExpectedRatings(
        is_held_out=is_held_out,
        n=len(true),
        rmse=float(np.sqrt(((found - true) ** 2).mean())),
        rmse_of_mean=float(true.std()),
        groups=tuple(_groups(true, found)),
    )


def _labels(recommender: Recommender) -> LabelRanker | None:
    """What expects labels in the run: its ranker, or its first source."""
    labels: LabelRanker | None = getattr(recommender.two_stage.ranker, "labels", None)
    if labels is not None:
        return labels
    run = recommender.run
    config = config_of(run)
    name = next(iter(read_sources(run.path("serving") / SOURCES_FILE)))
    return load_labels(run.path("serving") / SOURCES / name, config.retrieval)


def _pairs(events: Interactions, rows: npt.NDArray[np.int64]) -> Candidates:
    users, row_user = np.unique(events.user_num[rows], return_inverse=True)
    n = len(rows)
    ranks = ranks_of(row_user.astype(np.int64), len(users))
    zeros = np.zeros(n, np.float32)
    return Candidates(
        users, row_user.astype(np.int64), events.item_num[rows], zeros, ranks, np.zeros(n, np.int8), ("ratings",)
    )


def _groups(true: Floats, found: Floats) -> list[RatedGroup]:
    """By the true rating; where there are many different ones, by tenths of them."""
    values = np.unique(true)
    if len(values) > _N_GROUPS:
        edges = np.unique(np.quantile(true, np.linspace(0, 1, _N_GROUPS + 1)[1:-1]))
        codes = np.searchsorted(edges, true, side="right")
    else:
        codes = np.searchsorted(values, true)
    groups = []
    for code in np.unique(codes).tolist():
        own = found[codes == code]
        tenth, median, ninetieth = np.quantile(own, (0.1, 0.5, 0.9)).tolist()
        groups.append(
            RatedGroup(float(true[codes == code].mean()), len(own), tenth, median, float(own.mean()), ninetieth)
        )
    return groups
