"""Train and put together the first stage: towers, their index, and popularity beside them."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dataset.features import FeatureTables
from dataset.interactions import Interactions
from dataset.vocabulary import Numbers
from evaluation.metrics import hits, lists_of, recall
from pipeline.config import PipelineConfig
from pipeline.data import Data
from pipeline.holdout import Fold
from pipeline.stages import first_stage
from retrieval.base import Embeddings, Retriever, TowerModel, Towers
from retrieval.index.base import CandidateIndex
from retrieval.index.choose import build_index
from retrieval.index.exact import ExactIndex
from retrieval.index.measure import IndexMeasurement, measure_index
from retrieval.indexed import IndexedRetriever
from retrieval.popularity import Popularity
from retrieval.systems import make_towers

MOST_VALIDATION_USERS = 2_000
RECALL_DEPTH = 100

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FirstStage:
    """Trained towers and everything that retrieval needs beside them."""

    features: FeatureTables
    towers: TowerModel
    vectors: Embeddings  # [n_items + 1, dim]
    index: CandidateIndex
    popularity: Popularity
    retriever: Retriever


def fit_first_stage(
    data: Data,
    history: Interactions,
    config: PipelineConfig,
    *,
    seed: int,
    epochs: int | None = None,
    validate_on: Fold | None = None,
    progress: Callable[[int, int], None],
) -> FirstStage:
    """Towers trained on `history`, which is all of `data` or a part of it, and their index.

    Args:
        epochs: stop after this many; `epochs_trained` of earlier towers; the towers of the report always train for all.
        validate_on: where given, training stops early by recall@100 on what it holds back.
    """
    features = data.features(history)
    validate = None
    if validate_on and len(users_to_ask(validate_on)):
        validate = _recall_on(validate_on, features, seed)
    towers = make_towers(config.retrieval).fit(
        history, features, seed=seed, epochs=epochs, validate=validate, progress=progress
    )
    items = _all_items(features)
    vectors = towers.encode_candidates(items, features)
    index = build_index(vectors[1:], items[1:], config.index)
    popularity = Popularity(config.popularity).fit(history, features, seed=seed)
    retriever = first_stage(towers, index, vectors, popularity, features, n_popular=config.n_popular)
    return FirstStage(features, towers, vectors, index, popularity, retriever)


def measure(stage: FirstStage, *, top_k: int, seed: int) -> IndexMeasurement:
    """Recall and latency of the index on queries of real users; logged, and noted in the run."""
    with_history = np.flatnonzero(np.diff(stage.features.history.by_user.starts)).astype(np.int32)
    users = some(with_history, MOST_VALIDATION_USERS, seed)
    exact = ExactIndex.build(stage.vectors[1:], _all_items(stage.features)[1:])
    measurement = measure_index(stage.index, exact, stage.towers.encode_queries(users, stage.features), top_k)
    log.info("index: %s", measurement)
    return measurement


def users_to_ask(fold: Fold) -> Numbers:
    """Users with a history and with something later than it."""
    has_history = np.diff(fold.history.by_user.starts) > 0
    users = np.unique(fold.later.user_num)
    return users[has_history[users]]


def some(users: Numbers, most: int, seed: int) -> Numbers:
    """All users, or `most` of them drawn at random; rising."""
    return np.sort(np.random.default_rng(seed).permutation(users)[:most])


def _recall_on(fold: Fold, features: FeatureTables, seed: int) -> Callable[[Towers], float]:
    """recall@100 of towers on what a fold holds back, seen items removed, over the whole catalogue."""
    later = fold.later.seen_items
    users = some(users_to_ask(fold), MOST_VALIDATION_USERS, seed)
    items = _all_items(features)[1:]

    def validate(towers: Towers) -> float:
        retriever = IndexedRetriever(towers, ExactIndex.build(towers.encode_candidates(items, features), items))
        found = retriever.retrieve(users, features, top_k=RECALL_DEPTH, exclude=fold.history.seen_items)
        return float(recall(hits(lists_of(found, RECALL_DEPTH), users, later), later.count(users)).mean())

    return validate


def _all_items(features: FeatureTables) -> Numbers:
    return np.arange(len(features.history.items) + 1, dtype=np.int32)
