"""Fit a system and judge its lists; the epochs of training are chosen before, without the test part."""

import gc
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isnan
from time import perf_counter, process_time
from typing import Any

import numpy as np

from belfry.dataset.candidates import Candidates
from belfry.dataset.features import FeatureTables
from belfry.dataset.interactions import Interactions
from belfry.dataset.prepare import Data
from belfry.dataset.split import Split
from belfry.evaluation.engine import SystemScores
from belfry.evaluation.intervals import Interval
from belfry.evaluation.metrics import hits, lists_of, recall
from belfry.layers.backend import keras
from belfry.layers.config import ModelConfig
from belfry.pipeline.runs.versions import installed_versions
from belfry.retrieval.base import Retriever, Towers
from belfry.retrieval.index.exact import ExactIndex
from belfry.retrieval.indexed import IndexedRetriever
from belfry.retrieval.registry import KINDS
from benchmarks.judging import context_of, judged_users, scores_of
from benchmarks.leaderboard.results import Chosen, Estimate, Result, code_state
from benchmarks.leaderboard.splits import Case
from benchmarks.leaderboard.systems import Entry, System

TOP_K = 200
CUTOFFS = (10, 100, 200)
VALIDATION_DEPTH = 100
MAX_VALIDATION_USERS = 2_000
SHOWN = ("ndcg@10", "recall@10", "recall@100", "recall@200", "coverage@10")


@dataclass(frozen=True)
class Fitted:
    """A system that can make lists."""

    retriever: Retriever
    epochs: int  # trained; 0 where training knows none
    fit_s: float  # of CPU, filling the index included


def fit(
    config: ModelConfig,
    history: Interactions,
    features: FeatureTables,
    *,
    seed: int,
    epochs: int | None = None,
    validate: Callable[[Towers], float] | None = None,
) -> Fitted:
    """`epochs` and `validate` mean what they do for `TowerModel.fit`; systems without vectors have neither."""
    keras.backend.clear_session()  # the graphs of the system before would stay in memory
    gc.collect()
    started = process_time()
    kind = KINDS[config.kind]
    if not kind.has_vectors:
        retriever: Retriever = kind.make_retriever(config).fit(history, features, seed=seed)
        return Fitted(retriever, 0, process_time() - started)
    towers = kind.make_towers(config).fit(history, features, seed=seed, epochs=epochs, validate=validate)
    return Fitted(_searched(towers, features), towers.epochs_trained, process_time() - started)


def choose(system: System, case: Case, data: Data) -> tuple[Chosen, Candidates]:
    """Stop early by recall@100 on the validation part of seed 0's train part; and the lists for all users there."""
    inner = case.validation(case.split(data.interactions, 0).train)
    features = data.features(inner.train)
    users = judged_users(inner, min_history=case.min_history)
    some = np.sort(np.random.default_rng(0).permutation(users)[:MAX_VALIDATION_USERS])

    def validate(towers: Towers) -> float:
        lists = _searched(towers, features).retrieve(
            some, features, top_k=VALIDATION_DEPTH, exclude=inner.train.seen_items
        )
        return mean_recall(lists, inner)

    fitted = fit(system.config(case.name), inner.train, features, seed=0, validate=validate)
    lists = fitted.retriever.retrieve(users, features, top_k=TOP_K, exclude=inner.train.seen_items)
    return Chosen(key=system.key(case.name), recall=mean_recall(lists, inner), epochs=fitted.epochs), lists


def measure(system: System, chosen: Chosen, case: Case, data: Data, seed: int) -> tuple[Result, Candidates]:
    """Train on the whole train part, list for all judged users, compare with the test part."""
    split = case.split(data.interactions, seed)
    features = data.features(split.train)
    config = system.config(case.name)
    fitted = fit(config, split.train, features, seed=seed, epochs=chosen.epochs)
    users = judged_users(split, min_history=case.min_history)
    seen = split.train.seen_items
    lists = fitted.retriever.retrieve(users, features, top_k=TOP_K, exclude=seen)
    started = perf_counter()  # the second time: the first one traces graphs
    fitted.retriever.retrieve(users, features, top_k=TOP_K, exclude=seen)
    return result_of(
        scored(lists, split, case),
        case,
        system,
        seed,
        settings=config.model_dump(mode="json", exclude_defaults=True, exclude={"kind"}),
        epochs=fitted.epochs,
        fit_s=fitted.fit_s,
        users_per_s=len(users) / (perf_counter() - started),
    ), lists


def scored(lists: Candidates, split: Split, case: Case) -> SystemScores:
    """Lists of `TOP_K` against the test part."""
    return scores_of(lists, context_of(split, min_history=case.min_history), depth=TOP_K, cutoffs=CUTOFFS)


def result_of(
    scores: SystemScores,
    case: Case,
    entry: Entry,
    seed: int,
    *,
    settings: dict[str, Any],
    epochs: int,
    fit_s: float,
    users_per_s: float,
) -> Result:
    """What is kept of a system that has been judged."""
    metrics = scores.intervals(seed=0)
    return Result(
        key=entry.key(case.name),
        split=case.name,
        system=entry.name,
        seed=seed,
        settings=settings,
        epochs=epochs,
        n_users=len(scores.lists),
        metrics={name: _estimate(metrics[name]) for name in SHOWN},
        fit_s=fit_s,
        users_per_s=users_per_s,
        versions=installed_versions(),
        code=code_state(),
        measured_on=f"{datetime.now(UTC):%Y-%m-%d}",
    )


def mean_recall(lists: Candidates, split: Split) -> float:
    """recall@100 over the users of the lists."""
    later = split.test.seen_items
    right = hits(lists_of(lists, VALIDATION_DEPTH), lists.users, later)
    return float(recall(right, later.count(lists.users)).mean())


def _searched(towers: Towers, features: FeatureTables) -> Retriever:
    """The whole catalogue, searched exactly."""
    items = np.arange(1, len(features.history.items) + 1, dtype=np.int32)
    return IndexedRetriever(towers, ExactIndex.build(towers.encode_candidates(items, features), items))


def _estimate(interval: Interval) -> Estimate:
    low, high = (None if isnan(bound) else bound for bound in (interval.low, interval.high))
    return Estimate(mean=interval.mean, low=low, high=high)
