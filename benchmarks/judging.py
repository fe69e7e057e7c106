"""Lists of a split, judged as `belfry evaluate` judges them."""

from collections.abc import Sequence

import numpy as np

from belfry.dataset.candidates import Candidates
from belfry.dataset.split import Split
from belfry.dataset.vocabulary import UserNums
from belfry.evaluation.context import EvaluationContext, make_context
from belfry.evaluation.engine import SystemScores, evaluate
from belfry.evaluation.lists import CandidateLists, ListSource
from belfry.evaluation.plan import Plan


def judged_users(split: Split, *, min_history: int = 1) -> UserNums:
    """Rising numbers of the users with events in test and at least `min_history` events in train."""
    n_train = np.bincount(split.train.user_num, minlength=len(split.train.users) + 1)
    users = np.unique(split.test.user_num)
    return users[(users > 0) & (n_train[users] >= min_history)]


def context_of(split: Split, *, min_history: int = 1) -> EvaluationContext:
    return make_context(split.train, split.test, seen=split.train.seen_items, min_history=min_history)[0]


def scores_of(
    lists: Candidates | ListSource, context: EvaluationContext, *, depth: int, cutoffs: Sequence[int] = ()
) -> SystemScores:
    """Everything at 10, and recall at `cutoffs` too, of lists that were asked for at `depth`."""
    source = CandidateLists([lists], context.users) if isinstance(lists, Candidates) else lists
    return evaluate(source, context, Plan.of_evaluation("lists", 10, depth=depth, cutoffs=cutoffs))
