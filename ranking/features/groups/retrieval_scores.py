"""What retrieval and each of its sources say of a candidate."""

from collections.abc import Sequence

import numpy as np

from belfry.dataset.features import FeatureTables
from belfry.ranking.features.base import Column, FeatureGroup, PairRequest, Values


class RetrievalScores(FeatureGroup):
    """Score and log(1 + rank) of retrieval as a whole and, where several sources made the lists, of each of them.

    A row that a source did not bring comes behind all that it brought: it gets the source's lowest score in the list
    (0 where the source brought nothing) and the rank after its last.
    """

    name = "retrieval_scores"

    def columns(self, features: FeatureTables, sources: tuple[str, ...]) -> Sequence[Column]:
        """Two for retrieval, and two for each source."""
        whole = "retrieval's order"
        columns = [Column("score", whole, has_place=True), Column("log_rank", whole)]
        for source in sources:
            columns += [Column(f"{kind}_{source}", f"source {source}") for kind in ("score", "log_rank_in")]
        return columns

    def compute(self, request: PairRequest) -> Sequence[Values]:
        """See above."""
        candidates, row_user, starts = request.candidates, request.row_user, request.candidates.starts
        columns: list[Values] = [candidates.score, np.log1p(candidates.rank)]
        if candidates.source_score is None or candidates.source_rank is None or not len(row_user):
            return columns * (1 + len(candidates.sources))
        filled = candidates.lengths.nonzero()[0]
        lowest, last = np.zeros(len(starts) - 1, np.float32), np.zeros(len(starts) - 1, np.int32)
        for score, rank in zip(candidates.source_score.T, candidates.source_rank.T, strict=True):
            is_brought = rank > 0
            last[filled] = np.maximum.reduceat(rank, starts[filled])
            lowest[filled] = np.minimum.reduceat(np.where(is_brought, score, np.inf), starts[filled])
            lowest[last == 0] = 0  # the source brought nothing
            columns.append(np.where(is_brought, score, lowest[row_user]))
            columns.append(np.log1p(np.where(is_brought, rank, last[row_user] + 1)))
        return columns
