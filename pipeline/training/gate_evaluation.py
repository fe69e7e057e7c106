"""Gate evaluation: does a ranker order the lists of validation users better than retrieval does?"""

import logging

import numpy as np

from belfry.evaluation.intervals import paired_intervals
from belfry.pipeline.runs.gate import Difference, Gate
from belfry.ranking.base import Scores
from belfry.ranking.examples import Examples
from belfry.ranking.listwise.score_blend import RETRIEVAL

MAX_VALIDATION_USERS = 2_000  # more would tell little and cost much
LABEL_TOLERANCE = 1.0  # standard errors of NDCG@10 that expected labels in the order may cost

log = logging.getLogger(__name__)


def evaluate_gate(validation: Examples, scores: Scores, *, seed: int, tolerance: float = 0) -> Gate:
    """By NDCG@10 of validation lists in retrieval's order and by `scores` [n_rows].

    Args:
        validation: at least one list.
        tolerance: standard errors of the difference that `scores` may cost, for what else they are worth.
    """
    before, after = validation.ndcg(validation.lists.column(RETRIEVAL)), validation.ndcg(scores)
    difference = paired_intervals(before[:, None], after[:, None], seed=seed)[0]
    allowed = tolerance * (after - before).std() / np.sqrt(len(validation))
    is_open = bool(difference.mean > -allowed)
    verdict = "better" if difference.mean > 0 else "not clearly worse" if is_open else "no better"
    reason = f"the ranker is {verdict} than retrieval's order on validation users"
    log.info("gate: %s, NDCG@10 %.4f, was %.4f (%d lists)", reason, after.mean(), before.mean(), len(validation))
    return Gate(
        is_open=is_open,
        reason=reason,
        n_lists=len(validation),
        retrieval_ndcg=float(before.mean()),
        ranker_ndcg=float(after.mean()),
        difference=Difference(mean=difference.mean, low=difference.low, high=difference.high),
    )
