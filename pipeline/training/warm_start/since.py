"""What came since a run was made: a fold that its weights know nothing of, so its ranker can be judged there again."""

import logging
from dataclasses import replace
from typing import cast

import numpy as np

from belfry.dataset.folds import Fold, sample_users
from belfry.dataset.interactions import Interactions
from belfry.pipeline.runs.gate import Gate
from belfry.pipeline.serving.load import load_serving
from belfry.pipeline.training.gate_evaluation import LABEL_TOLERANCE, MAX_VALIDATION_USERS, evaluate_gate
from belfry.pipeline.training.warm_start.parent import Parent
from belfry.ranking.examples import Examples, make_examples
from belfry.ranking.listwise.config import ListRankerConfig
from belfry.ranking.listwise.feature_ranker import FeaturedRanker

MIN_LISTS = 200  # with fewer, chance would open and close the gate from day to day

log = logging.getLogger(__name__)


def fold_since(parent: Parent, now: Interactions) -> Fold | None:
    """The history of a run, and the events of its users that are new since, all by its numbers; None where none are.

    An event is new where the run does not have its pair of user and item; where lists hold repeats, where it is later
    than all events of the run.
    """
    before, repeats = parent.features.history, parent.asked.repeats
    user_num = before.users.numbers_of(now.users)[now.user_num]
    item_num = before.items.numbers_of(now.items)[now.item_num]
    is_new = (user_num > 0) & (item_num > 0)
    if repeats == "exclude":
        is_new &= ~before.seen_items.contains(user_num, item_num)
    elif before.timestamp_s is None or now.timestamp_s is None:
        return None
    else:
        is_new &= now.timestamp_s > before.timestamp_s.max(initial=0)
    if not is_new.any():
        return None
    by_today = replace(now.select(is_new), impressions=None, dislikes=None)
    later = replace(
        by_today, users=before.users, items=before.items, user_num=user_num[is_new], item_num=item_num[is_new]
    )
    fold = Fold(before, later, repeats)
    return fold if len(fold.users) else None


def gate_of(parent: Parent, ranker: FeaturedRanker, now: Interactions, *, seed: int) -> Gate:
    """Whether the ranker may order lists: by what came since, or as the run has it where that is too little to say."""
    examples = _examples(parent, ranker, now, seed=seed)
    if examples is None or len(examples) < MIN_LISTS:
        log.info("gate: as in run %s; fewer than %d lists have come since to judge it by", parent.name, MIN_LISTS)
        return parent.run.manifest.gate
    tolerance = LABEL_TOLERANCE if ranker.score_blend.label_weights else 0
    return evaluate_gate(examples, ranker.score_lists(examples.lists), seed=seed, tolerance=tolerance)


def _examples(parent: Parent, ranker: FeaturedRanker, now: Interactions, *, seed: int) -> Examples | None:
    """Lists as the run answers them, labelled by what came since; None where that is little."""
    fold, config = fold_since(parent, now), parent.asked
    if fold is None or len(fold.users) < MIN_LISTS:
        return None
    of_ranker = cast(ListRankerConfig, config.ranker)  # what featured rankers have
    stages = load_serving(parent.run.path("serving"), parent.features, config, gate_is_open=False)
    users = sample_users(fold.users, MAX_VALIDATION_USERS, seed=seed).astype(np.int32)
    found = stages.retriever.retrieve(users, parent.features, top_k=config.n_candidates, exclude=fold.exclude)
    lists = ranker.describe(found, parent.features)
    return make_examples(lists, fold.later, of_ranker.label, liked_from=of_ranker.liked_from)
