"""Lists under rules: candidates that may be listed, put in the order of the rules, until each list is full."""

from dataclasses import replace

import numpy as np

from belfry.dataset.arrays import Mask, blocks
from belfry.dataset.candidates import Candidates, order_by
from belfry.dataset.history.seen_items import SeenItems
from belfry.dataset.vocabulary import ItemNums, UserNums
from belfry.pipeline.serving.rules.bound import BoundRules
from belfry.pipeline.serving.rules.config import MAX_PLACES
from belfry.pipeline.serving.rules.floors import above_floors
from belfry.pipeline.serving.rules.retrieve import replace_lists
from belfry.pipeline.serving.two_stage import Limits, Stage, Trace, TwoStage
from belfry.retrieval.dense import stack

_DEEPER = 4  # times as many candidates for lists that are not full


def limits_under_rules(limits: Limits, rules: BoundRules) -> Limits:
    """The same with what may be listed now in `allowed`, in the place of `blocked` and `only`.

    Raises:
        InputError: the list is longer than what the rules can put in order.
    """
    rules.check_length(limits.n)
    allowed = rules.allowed()
    if limits.only is not None or len(limits.blocked):
        chosen = np.full(len(allowed), limits.only is None)
        if limits.only is not None:
            chosen[limits.only] = True
        chosen[limits.blocked] = False
        allowed = allowed & chosen
    return replace(limits, allowed=allowed)


def not_allowed(lists: Candidates, limits: Limits) -> ItemNums:
    """Items of the lists that these should not hold: none, or there is a defect."""
    allowed = limits.allowed
    assert allowed is not None  # rules say what may be listed
    return lists.item_num[~allowed[lists.item_num]]


def trace_under_rules(two_stage: TwoStage, users: UserNums, stage: Stage, limits: Limits, rules: BoundRules) -> Trace:
    """`TwoStage.trace` with its lists under `rules`; of one user, the trace is that of the candidates it came from.

    Args:
        limits: with what may be listed in `allowed`.
    """
    allowed, n = limits.allowed, limits.n
    assert allowed is not None  # rules say what may be listed
    n_items = int(allowed.sum())
    depth = min(rules.depth(n), max(n_items, 1))
    trace = two_stage.trace(users, stage, replace(limits, n=depth))
    if not rules.chooses:
        return trace
    deepest = min(n_items, MAX_PLACES) if rules.floors else n_items
    lists, n_full = _chosen(trace.lists, two_stage, limits, rules, allowed), min(n, rules.most(allowed))
    may_go_on = np.diff(trace.lists.starts) >= depth
    while depth < deepest:
        short = np.flatnonzero(may_go_on & (np.diff(lists.starts) < n_full))
        if not len(short):
            break
        depth = min(_DEEPER * depth, deepest)
        parts = []
        for block in blocks(len(short), depth):
            of_some = replace(limits.of_users(short[block]), n=depth)
            trace_of_some = two_stage.trace(users[short[block]], stage, of_some)
            may_go_on[short[block]] = np.diff(trace_of_some.lists.starts) >= depth
            parts.append(_chosen(trace_of_some.lists, two_stage, limits, rules, allowed))
            trace = trace_of_some if len(users) == 1 else trace
        lists = _with_others(lists, short, parts)
    return replace(trace, lists=lists)


def lists_under_rules(
    two_stage: TwoStage, users: UserNums, n: int, exclude: SeenItems, rules: BoundRules
) -> Candidates:
    """Final lists of at most `n` items under rules."""
    limits = limits_under_rules(Limits(n=n, exclude=exclude, blocked=np.zeros(0, np.int32)), rules)
    return trace_under_rules(two_stage, users, "final", limits, rules).lists


def _chosen(lists: Candidates, two_stage: TwoStage, limits: Limits, rules: BoundRules, allowed: Mask) -> Candidates:
    if rules.floors:
        ratings = two_stage.expected_ratings(lists)
        assert ratings is not None  # `BoundRules.of` saw to it
        lists = above_floors(lists, ratings, rules.floors)
    if not rules.rules.reorders:
        return order_by(lists, lists.score, top_k=limits.n)
    history = two_stage.features.history
    return rules.reordered(lists, limits.n, allowed=allowed, exclude=limits.exclude, history=history)


def _with_others(lists: Candidates, places: np.ndarray, parts: list[Candidates]) -> Candidates:
    """`replace_lists`, where parts may name other origins."""
    origins = tuple(dict.fromkeys(origin for part in (lists, *parts) for origin in part.origins))

    def named(part: Candidates) -> Candidates:
        number = np.array([origins.index(origin) for origin in part.origins], np.int8)
        return replace(part, origin=number[part.origin], origins=origins)

    return replace_lists(named(lists), places, stack([named(part) for part in parts]))
