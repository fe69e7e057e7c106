"""One system's lists -> its metrics, per user and with intervals."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from belfry.dataset.candidates import Candidates
from belfry.dataset.errors import InputError
from belfry.dataset.interactions import Interactions, SeenItems
from belfry.dataset.vocabulary import UNKNOWN, UserNums
from belfry.evaluation import beyond, metrics
from belfry.evaluation.intervals import Interval, mean_intervals
from belfry.evaluation.metrics import PerUser

CUTOFFS = (10, 50, 100, 500)


@dataclass(frozen=True)
class LeftOut:
    """Users who are in no figure, and why."""

    reason: str
    n_users: int


@dataclass(frozen=True)
class SystemResult:
    """What one system's lists are worth to the evaluated users."""

    name: str
    metrics: dict[str, Interval]  # "ndcg@10" -> mean over users with interval
    users: UserNums = field(repr=False)  # [n_users] the evaluated ones, rising
    per_user: dict[str, PerUser] = field(repr=False)  # metric -> [n_users], rows as in `users`
    left_out: tuple[LeftOut, ...] = ()


def evaluate_lists(
    name: str,
    candidates: Candidates,
    test: SeenItems,
    history: Interactions,
    *,
    top_k: int,
    cutoffs: Sequence[int] = CUTOFFS,
    n: int = 10,
    seed: int,
) -> SystemResult:
    """Every metric at `n`, and recall at those `cutoffs` that lists of `top_k` can answer.

    Evaluated are the asked users with at least one test item; a user with a short or empty list counts with zeros.

    Args:
        name: what the report calls the system.
        candidates: the lists, as deep as they were asked for.
        test: the withheld items of each user, over the same vocabularies as `history`.
        history: what the system learned from: it says what is popular, and which items are alike.
        top_k: the length that the lists were asked for; a user may have got fewer.
        cutoffs: where recall is taken beside `n`; deeper ones than `top_k` are left out.
        seed: of the resamples; use one seed for all systems of a report.

    Raises:
        InputError: `top_k` is below `n`, or no asked user has a test item.
    """
    if top_k < n:
        raise InputError(f"{name}: lists of {top_k} cannot be judged at {n}; ask for at least {n} items per user")
    judged = np.flatnonzero(test.count(candidates.users))
    if not len(judged):
        raise InputError(
            f"{name}: none of the {len(candidates.users)} asked users has a known item in the test part; "
            "check that the test part and the lists come from the same data"
        )
    judged = judged[np.argsort(candidates.users[judged])]
    users = candidates.users[judged]
    depths = sorted({n, *(cutoff for cutoff in cutoffs if cutoff <= top_k)})
    lists = metrics.lists_of(candidates, depths[-1])[judged]
    hits = metrics.hits(lists, users, test)
    n_relevant = test.count(users)
    top, top_hits = lists[:, :n], hits[:, :n]

    per_user = {f"ndcg@{n}": metrics.ndcg(top_hits, n_relevant)}
    per_user |= {f"recall@{depth}": metrics.recall(hits[:, :depth], n_relevant) for depth in depths}
    per_user |= {
        f"precision@{n}": metrics.precision(top_hits),
        f"mrr@{n}": metrics.mrr(top_hits),
        f"map@{n}": metrics.average_precision(top_hits, n_relevant),
        f"hit_rate@{n}": metrics.hit_rate(top_hits),
        f"novelty@{n}": beyond.novelty(top, history),
        f"mean_popularity@{n}": beyond.mean_popularity(top, history),
        f"popularity_lift@{n}": beyond.popularity_lift(top, users, history),
        f"intra_list_diversity@{n}": beyond.intra_list_diversity(top, history),
    }
    intervals = mean_intervals(np.column_stack(list(per_user.values())), seed=seed)
    n_items = len(history.items)
    of_all_lists = {
        f"coverage@{n}": Interval.of_all_lists(beyond.coverage(top, n_items), len(users)),
        f"gini@{n}": Interval.of_all_lists(beyond.gini(top, n_items), len(users)),
    }
    return SystemResult(
        name,
        metrics=dict(zip(per_user, intervals, strict=True)) | of_all_lists,
        users=users,
        per_user=per_user,
        left_out=_left_out(candidates.users, test),
    )


def _left_out(asked: UserNums, test: SeenItems) -> tuple[LeftOut, ...]:
    n_without_test = int(np.count_nonzero(test.count(asked) == 0))
    with_test = np.flatnonzero(np.diff(test.starts))
    n_not_asked = len(np.setdiff1d(with_test, np.append(asked, UNKNOWN)))
    reasons = (
        LeftOut("asked for, but without a known item in the test part", n_without_test),
        LeftOut("in the test part, but not asked for", n_not_asked),
    )
    return tuple(reason for reason in reasons if reason.n_users)
