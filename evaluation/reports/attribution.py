"""Attribution: how much of what a list is short of was lost by retrieval, and how much by ranking."""

from dataclasses import dataclass

import numpy as np

from belfry.dataset.candidates import Candidates
from belfry.dataset.history.seen_items import SeenItems
from belfry.dataset.vocabulary import UserNums
from belfry.evaluation.intervals import Interval, mean_intervals
from belfry.evaluation.metrics import PerUser, hits, lists_of, ndcg, ndcg_of_best_order, recall


@dataclass(frozen=True)
class Attribution:
    """Means over users of the three parts of 1, the NDCG@n of a perfect list."""

    n: int
    depth: int  # length of the longest list of candidates
    reached: Interval  # NDCG@n of the final lists
    lost_by_retrieval: Interval  # 1 - NDCG@n of the best order of the candidates: what was missed is in no order
    lost_by_ranking: Interval  # that NDCG@n - the one reached: among the candidates, but not far enough up
    candidate_recall: Interval  # share of a user's test items that are among the candidates


def attribute_loss(lists: Candidates, users: UserNums, test: SeenItems, *, n: int, seed: int) -> Attribution:
    """What became of each user's test items between retrieval and place `n` of the final list.

    Args:
        lists: all that the ranker was handed, in the final order; whoever has no list lost everything to retrieval.
        users: [n_users] the judged ones, each asked in `lists` and with at least one test item.
        test: the withheld items of each user.
        n: length of the lists that are given out.
        seed: of the resamples.
    """
    order = np.argsort(lists.users)
    rows = order[np.searchsorted(lists.users, users, sorter=order)]
    depth = int(lists.rank.max(initial=0))
    found = hits(lists_of(lists, max(n, depth))[rows], users, test)
    n_relevant = test.count(users)
    reached = ndcg(found[:, :n], n_relevant)
    best = ndcg_of_best_order(found.sum(axis=1), n_relevant, n)
    values: list[PerUser] = [reached, 1 - best, best - reached, recall(found, n_relevant)]
    return Attribution(n, depth, *mean_intervals(np.column_stack(values), seed=seed))


def attribution_lines(attribution: Attribution) -> list[str]:
    """Three sentences for people."""
    n = attribution.n
    parts = attribution.lost_by_retrieval.mean, attribution.lost_by_ranking.mean
    return [
        f"A list that shows first what the user went for has an NDCG@{n} of 1. These lists reach "
        f"{attribution.reached.mean:.3f} of it.",
        f"Retrieval loses {parts[0]:.3f}: what it did not put among its candidates, up to {attribution.depth} of them "
        f"for a user, nobody can rank. They hold {attribution.candidate_recall.mean:.0%} of a user's test items.",
        f"Ranking loses {parts[1]:.3f}: these items were among the candidates and ended up below others.",
    ]
