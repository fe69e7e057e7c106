"""How much the scores of each source count, learned from what a fold holds back."""

import logging

import numpy as np
import numpy.typing as npt

from belfry.dataset.candidates import order_by
from belfry.dataset.features import FeatureTables
from belfry.dataset.folds import Fold
from belfry.dataset.vocabulary import UserNums
from belfry.evaluation.metrics import hits, lists_of, ndcg, recall
from belfry.retrieval.blend import CombinedRetriever, fuse, normalised_scores

GRID = (0.0, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0)
DEPTH, HEAD = 100, 10  # lengths of the lists that recall and NDCG are taken of
_ROUNDS = 3

log = logging.getLogger(__name__)


def learn_weights(
    retriever: CombinedRetriever, free: list[bool], users: UserNums, features: FeatureTables, fold: Fold
) -> dict[str, float]:
    """The weights, by name, that order the lists of `users` best, by the mean of recall@100 and NDCG@10.

    Coordinate ascent over a small grid, from the weights that the sources have; a change must be a gain.

    Args:
        free: for each source, whether its weight may change.
        features: of the fold's history.
    """
    proposed = retriever.propose(users, features, top_k=DEPTH, exclude=fold.exclude)
    quotas = [source.quota for source in retriever.sources]
    values = normalised_scores(proposed, quotas)
    later = fold.later.seen_items
    n_relevant = later.count(users)

    def worth(weights: npt.NDArray[np.float64]) -> float:
        top = order_by(proposed, fuse(proposed, values, weights, quotas[0]), top_k=DEPTH)
        found = hits(lists_of(top, DEPTH), users, later)
        return float((recall(found, n_relevant) + ndcg(found[:, :HEAD], n_relevant)).mean() / 2)

    best = np.array([source.weight for source in retriever.sources])
    best_worth = worth(best)
    for _ in range(_ROUNDS):
        before = best_worth
        for column in np.flatnonzero(free):
            for weight in GRID:
                tried = best.copy()
                tried[column] = weight
                if (tried_worth := worth(tried)) > best_worth:
                    best, best_worth = tried, tried_worth
        if best_worth == before:
            break
    weights = {source.name: float(weight) for source, weight in zip(retriever.sources, best, strict=True)}
    log.info("sources: weights %s, mean of recall@100 and NDCG@10 %.4f", weights, best_worth)
    return weights
