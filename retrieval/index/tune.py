"""How hard an approximate index must look to find what it should, by measurement."""

import logging

from belfry.retrieval.index.base import Vectors
from belfry.retrieval.index.config import Effort
from belfry.retrieval.index.exact import ExactIndex
from belfry.retrieval.index.measure import recall_of
from belfry.retrieval.index.scann import ScannIndex

TOP_K = 200

log = logging.getLogger(__name__)


def least_effort(index: ScannIndex, exact: ExactIndex, queries: Vectors, target: float) -> Effort:
    """The fewest leaves, and with them the fewest candidates scored again, that find `target` of the true best.

    Leaves are tried with many candidates scored again, and must miss at most half of what may be missed; where not even
    all leaves do, all are opened.

    Args:
        index: approximate.
        exact: of the same vectors.
        queries: [n_queries, dim], at least one.
        target: share of the `TOP_K` true best of a query, in the mean.
    """
    top_k = min(TOP_K, len(exact))
    true = exact.search(queries, top_k)[1]

    def recall(effort: Effort) -> float:
        return recall_of(index.with_effort(effort).search(queries, top_k)[1], true)

    leaves, most = index.n_leaves, 64
    while leaves > 1:
        fewer = leaves * 3 // 4
        if recall(Effort(leaves=fewer, rescored_per_result=most)) < (1 + target) / 2:
            break
        leaves = fewer
    rescored = most
    while rescored > 1 and recall(Effort(leaves=leaves, rescored_per_result=rescored // 2)) >= target:
        rescored //= 2
    effort = Effort(leaves=leaves, rescored_per_result=rescored)
    log.info(
        "ScaNN index: opens %d of %d leaves and scores %d candidates again for each result",
        leaves,
        index.n_leaves,
        rescored,
    )
    return effort
