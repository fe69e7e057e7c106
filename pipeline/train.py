"""Train both stages: folds -> retrievers -> candidates -> examples -> ranker -> gate -> retriever on everything."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dataset.features import FeatureTables
from dataset.vocabulary import Numbers
from evaluation.intervals import Interval, paired_intervals
from evaluation.metrics import hits, lists_of, recall
from pipeline.config import Holdout, PipelineConfig
from pipeline.data import Data
from pipeline.holdout import Fold, make_folds
from pipeline.progress import Progress, silent
from pipeline.stages import Stages, first_stage
from ranking.deep import DeepRanker
from ranking.examples import Examples, concatenate, make_examples, split_by_user
from ranking.featured import FeaturedRanker
from ranking.pair_features import PairFeatures
from retrieval.base import Retriever, Towers
from retrieval.index.base import CandidateIndex
from retrieval.index.choose import build_index
from retrieval.index.exact import ExactIndex
from retrieval.index.measure import IndexMeasurement, measure_index
from retrieval.indexed import IndexedRetriever
from retrieval.popularity import Popularity
from retrieval.two_tower import TwoTower

MOST_LISTS = 10_000  # lists that the ranker learns from; more would not fit the memory that design promises
MOST_VALIDATION_USERS = 2_000
RECALL_DEPTH = 100

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Gate:
    """Whether the ranker may order the lists: only where it beats retrieval's order on validation users."""

    is_open: bool
    n_lists: int
    retrieval_ndcg: float  # NDCG@10 over the validation lists
    ranker_ndcg: float
    difference: Interval
    reason: str


@dataclass(frozen=True)
class Trained:
    """Both stages in training form, with what was decided and measured on the way."""

    stages: Stages
    towers: TwoTower
    index: CandidateIndex
    measurement: IndexMeasurement
    popularity: Popularity
    pair_features: PairFeatures | None
    ranker: DeepRanker | None
    gate: Gate


def train(
    data: Data,
    config: PipelineConfig,
    *,
    holdout: Holdout,
    seed: int,
    progress: Progress = silent,
) -> Trained:
    """Both stages, from nothing.

    Args:
        data: all that may be learned from; the test part of an evaluation is not in it.
        holdout: which part of the history stands in for the future.
        progress: told of every step.

    Raises:
        InputError: the data do not allow this holdout, or hold too little to learn from.
        DivergenceError: a loss or a feature is not finite.
    """
    made = make_folds(data.interactions, holdout, n_folds=config.folds, seed=seed)
    epochs: int | None = None
    parts = []
    for number, fold in enumerate(made if config.ranker else made[:1], start=1):
        what = f"retrieval {number}/{len(made)}"
        features = data.features(fold.history)
        towers = TwoTower(config.retrieval).fit(
            fold.history,
            features,
            seed=seed,
            validate=None if epochs else _recall_on(fold, features),
            epochs=epochs,
            progress=lambda done, total, what=what: progress(what, done, total),
        )
        epochs = towers.epochs_trained
        if config.ranker:
            parts.append(_examples(fold, features, towers, config, seed=seed + number))
    pair_features, ranker, gate = None, None, _no_ranker("the preset has no second stage")
    if config.ranker:
        ranker, gate = _train_ranker(parts, config, seed, progress)
    features = data.features(data.interactions)
    towers = TwoTower(config.retrieval).fit(
        data.interactions,
        features,
        seed=seed,
        epochs=epochs,
        progress=lambda done, total: progress("retrieval on everything", done, total),
    )
    retriever, index, popularity = _retriever(towers, features, config)
    if ranker is not None:
        pair_features = PairFeatures.fit(features, config.pair_features)
    vectors = towers.encode_candidates(_all_items(features), features)
    stages = Stages(
        features=features,
        towers=towers,
        vectors=vectors,
        retriever=retriever,
        popularity=popularity,
        ranker=FeaturedRanker(pair_features, ranker) if ranker and pair_features and gate.is_open else None,
        n_candidates=config.n_candidates,
    )
    return Trained(
        stages, towers, index, _measure(towers, index, features, config), popularity, pair_features, ranker, gate
    )


def _recall_on(fold: Fold, features: FeatureTables) -> Callable[[TwoTower], float]:
    """recall@100 of towers on what a fold holds back, seen items removed, over the whole catalogue."""
    later = fold.later.seen_items
    users = _users_to_ask(fold)[:MOST_VALIDATION_USERS]

    def validate(towers: TwoTower) -> float:
        index = ExactIndex.build(towers.encode_candidates(_all_items(features)[1:], features), _all_items(features)[1:])
        found = IndexedRetriever(towers, index).retrieve(
            users, features, top_k=RECALL_DEPTH, exclude=fold.history.seen_items
        )
        return float(recall(hits(lists_of(found, RECALL_DEPTH), users, later), later.count(users)).mean())

    return validate


def _examples(fold: Fold, features: FeatureTables, towers: TwoTower, config: PipelineConfig, *, seed: int) -> Examples:
    """The lists of one fold, a random part of them where there are too many."""
    users = np.random.default_rng(seed).permutation(_users_to_ask(fold))[: MOST_LISTS // config.folds]
    retriever, _, _ = _retriever(towers, features, config)
    candidates = retriever.retrieve(
        np.sort(users), features, top_k=config.n_candidates, exclude=fold.history.seen_items
    )
    pair_features = PairFeatures.fit(features, config.pair_features)
    return make_examples(
        candidates, pair_features.matrix(candidates, features), pair_features.names(features), fold.later.seen_items
    )


def _train_ranker(
    parts: list[Examples], config: PipelineConfig, seed: int, progress: Progress
) -> tuple[DeepRanker | None, Gate]:
    """A ranker fitted on most users' lists, and whether it is better than retrieval's order on the others'."""
    assert config.ranker
    learned, validation = split_by_user(concatenate(parts), share=config.ranker.validation_share, seed=seed)
    if not len(learned) or not len(validation):
        return None, _no_ranker("retrieval brought too few later events to learn from")
    ranker = DeepRanker(config.ranker).fit(
        learned, seed=seed, validation=validation, progress=lambda done, total: progress("ranking", done, total)
    )
    before = validation.ndcg(validation.pairs[:, validation.names.index("score")])
    after = validation.ndcg(ranker.score_pairs(validation.pairs))
    difference = paired_intervals(before[:, None], after[:, None], seed=seed)[0]
    is_open = bool(difference.mean > 0)
    reason = "the ranker is better on validation users" if is_open else "the ranker is no better on validation users"
    gate = Gate(is_open, len(validation), float(before.mean()), float(after.mean()), difference, reason)
    log.info(
        "gate %s: %s, NDCG@10 %.4f by retrieval, %.4f by the ranker (%d lists)",
        "open" if is_open else "closed",
        reason,
        gate.retrieval_ndcg,
        gate.ranker_ndcg,
        gate.n_lists,
    )
    return ranker, gate


def _no_ranker(reason: str) -> Gate:
    nothing = float("nan")
    return Gate(False, 0, nothing, nothing, Interval(nothing, nothing, nothing, 0), reason)


def _retriever(
    towers: TwoTower, features: FeatureTables, config: PipelineConfig
) -> tuple[Retriever, CandidateIndex, Popularity]:
    vectors = towers.encode_candidates(_all_items(features), features)
    index = build_index(vectors[1:], _all_items(features)[1:], config.index)
    popularity = Popularity(config.popularity).fit(features.history, features, seed=0)
    return first_stage(towers, index, vectors, popularity, features, n_popular=config.n_popular), index, popularity


def _measure(
    towers: Towers, index: CandidateIndex, features: FeatureTables, config: PipelineConfig
) -> IndexMeasurement:
    """Recall and latency of the index on queries of real users; logged, and noted in the run."""
    users = np.flatnonzero(np.diff(features.history.by_user.starts)).astype(np.int32)[:MOST_VALIDATION_USERS]
    items = _all_items(features)[1:]
    exact = ExactIndex.build(towers.encode_candidates(items, features), items)
    measurement = measure_index(index, exact, towers.encode_queries(users, features), config.n_candidates)
    log.info("index: %s", measurement)
    return measurement


def _users_to_ask(fold: Fold) -> Numbers:
    """Users with a history and with something later than it."""
    has_history = np.diff(fold.history.by_user.starts) > 0
    users = np.unique(fold.later.user_num)
    return users[has_history[users]]


def _all_items(features: FeatureTables) -> Numbers:
    return np.arange(len(features.history.items) + 1, dtype=np.int32)
