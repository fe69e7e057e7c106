"""What groups of features do to the ranker's lists: by occlusion, as reasons are made, over many users."""

import numpy as np
import numpy.typing as npt

from belfry.dataset.candidates import Candidates, order_by
from belfry.dataset.history.repeats import kept_out
from belfry.dataset.history.seen_items import SeenItems, pair_keys
from belfry.dataset.vocabulary import UserNums
from belfry.evaluation.metrics import PerUser, hits, lists_of, ndcg
from belfry.evaluation.reports.exploration.result import Importance, Importances
from belfry.pipeline.serving.recommender import Recommender
from belfry.pipeline.serving.two_stage import Limits
from belfry.ranking.explain import occlude

N_USERS = 300
HEAD = 10  # places whose change counts, and depth of NDCG
_CLOSE_TO_ONE = 1 - 1e-7

Floats = npt.NDArray[np.float64]


def importances(recommender: Recommender, users: UserNums, later: SeenItems | None) -> Importances | str:
    """Of each group of features in the lists of `users`, who have a history; or why it cannot be told.

    Args:
        later: what they did after it, where it is known; every one of them has some.
    """
    two_stage = recommender.two_stage
    if two_stage.ranker is None:
        return "No ranker orders the lists of this run."
    seen = kept_out(two_stage.features.history, recommender.repeats)
    trace = two_stage.trace(users, "final", Limits(n=HEAD, exclude=seen, blocked=np.zeros(0, np.int32))).known
    if trace is None or trace.described is None:
        return "The ranker of this run reads no features of candidates."
    ranker, lists, candidates = trace.described.ranker, trace.described.lists, trace.candidates
    effects = occlude(ranker, lists, ranker.pair_features.columns(two_stage.features, candidates.sources))
    probability = np.clip(ranker.score_lists(lists).astype(np.float64), 1 - _CLOSE_TO_ONE, _CLOSE_TO_ONE)
    score = np.log(probability) - np.log1p(-probability)
    is_listed = _is_listed(candidates, score)
    before = None if later is None else _ndcg(candidates, score, later)
    groups = []
    for name, change in zip(effects.groups, effects.changes, strict=True):
        effect = float(np.abs(change[is_listed]).mean())
        loss = None if before is None or later is None else before - _ndcg(candidates, score - change, later)
        mean, error = (None, None) if loss is None else (float(loss.mean()), _error(loss))
        groups.append(Importance(name, effect, mean, error))
    groups.sort(key=lambda one: -one.effect)
    return Importances(len(users), None if before is None else float(before.mean()), tuple(groups))


def _is_listed(candidates: Candidates, score: Floats) -> npt.NDArray[np.bool_]:
    """[n_rows] whether each candidate is among the first of its list."""
    first = order_by(candidates, score.astype(np.float32), top_k=HEAD)
    pairs, listed = (pair_keys(one.user_num, one.item_num) for one in (candidates, first))
    return np.isin(pairs, listed)


def _ndcg(candidates: Candidates, score: Floats, later: SeenItems) -> PerUser:
    lists = lists_of(order_by(candidates, score.astype(np.float32), top_k=HEAD), HEAD)
    return ndcg(hits(lists, candidates.users, later), later.count(candidates.users))


def _error(values: PerUser) -> float:
    """Standard error of the mean."""
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0
