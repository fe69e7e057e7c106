"""Train and put together the first stage: the sources, the weights of their opinions, and the cold answer."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import cast

import numpy as np

from belfry.dataset.features import FeatureTables
from belfry.dataset.folds import Fold
from belfry.dataset.interactions import Interactions
from belfry.dataset.prepare import Data
from belfry.dataset.vocabulary import Numbers, UserNums
from belfry.evaluation.metrics import hits, lists_of, recall
from belfry.pipeline.config import PipelineConfig
from belfry.pipeline.progress import Progress
from belfry.pipeline.training.source_weights import learn_weights
from belfry.pipeline.training.sources import SearchedTowers, TrainedSource, all_items, fit_source, retriever_of
from belfry.retrieval.base import Retriever, Towers
from belfry.retrieval.blend import CombinedRetriever, Source, combine
from belfry.retrieval.index.exact import ExactIndex
from belfry.retrieval.index.measure import IndexMeasurement, measure_index
from belfry.retrieval.indexed import IndexedRetriever
from belfry.retrieval.popularity import Popularity

MAX_VALIDATION_USERS = 2_000
RECALL_DEPTH = 100

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Tuning:
    """What the first fold decides for all later first stages, by name of the source."""

    epochs: dict[str, int]  # of towers; 0 where training knows none
    weights: dict[str, float]


@dataclass(frozen=True)
class FirstStage:
    """Trained sources and everything that retrieval needs beside them."""

    features: FeatureTables
    sources: dict[str, TrainedSource]  # by name; the first has towers
    tuning: Tuning
    popularity: Popularity  # the cold answer
    retriever: Retriever

    @property
    def towers(self) -> SearchedTowers:
        """Of the first source."""
        return cast(SearchedTowers, next(iter(self.sources.values())))


def fit_first_stage(
    data: Data,
    history: Interactions,
    config: PipelineConfig,
    *,
    seed: int,
    tuning: Tuning | None = None,
    validate_on: Fold | None = None,
    progress: Progress,
    part: str,
) -> FirstStage:
    """Every source trained on `history`, which is all of `data` or a part of it.

    Args:
        tuning: of an earlier first stage. Without it towers train to their end, or stop early by `validate_on`, and
            weights that the config leaves open are learned there, or are 1.
        validate_on: judges towers by recall@100, and weights, on what it holds back.
        progress: told of every source.
        part: which first stage of a whole training this is, for whoever looks on.
    """
    features = data.features(history)
    users = some(users_to_ask(validate_on), MAX_VALIDATION_USERS, seed) if validate_on else np.zeros(0, np.int32)
    validate = _recall_on(validate_on, features, users) if validate_on and len(users) else None
    named = config.named_sources
    fitted: dict[str, TrainedSource] = {}
    for place, (name, source) in enumerate(named.items()):
        what = f"{name if place else 'retrieval'}, {part}"
        fitted[name] = fit_source(
            source.model,
            history,
            features,
            config.index,
            seed=seed,
            epochs=tuning.epochs.get(name) if tuning else None,
            validate=validate,
            progress=partial(progress, what),
        )
    weights = (
        tuning.weights
        if tuning
        else {name: 1.0 if (w := source.weight) is None else w for name, source in named.items()}
    )
    retriever = combine(
        [Source(name, retriever_of(fitted[name], name), source.quota, weights[name]) for name, source in named.items()]
    )
    if not tuning and validate_on and len(users) and isinstance(retriever, CombinedRetriever):
        free = [source.weight is None for source in named.values()]
        weights = learn_weights(retriever, free, users, features, validate_on)
        retriever = CombinedRetriever([replace(source, weight=weights[source.name]) for source in retriever.sources])
    epochs = {
        name: source.model.epochs_trained for name, source in fitted.items() if isinstance(source, SearchedTowers)
    }
    popularity = Popularity(config.popularity).fit(history, features, seed=seed)
    return FirstStage(features, fitted, Tuning(epochs, weights), popularity, retriever)


def measure(stage: FirstStage, *, top_k: int, seed: int) -> IndexMeasurement:
    """Recall and latency of the first source's index on queries of real users; logged, and noted in the run."""
    with_history = np.flatnonzero(np.diff(stage.features.history.by_user.starts)).astype(np.int32)
    users = some(with_history, MAX_VALIDATION_USERS, seed)
    towers = stage.towers
    exact = ExactIndex.build(towers.vectors[1:], all_items(stage.features)[1:])
    measurement = measure_index(towers.index, exact, towers.model.encode_queries(users, stage.features), top_k)
    log.info("index: %s", measurement)
    return measurement


def users_to_ask(fold: Fold) -> Numbers:
    """Users with a history and with something later than it."""
    has_history = np.diff(fold.history.by_user.starts) > 0
    users = np.unique(fold.later.user_num)
    return users[has_history[users]]


def some(users: UserNums, most: int, seed: int) -> Numbers:
    """All users, or `most` of them drawn at random; rising."""
    return np.sort(np.random.default_rng(seed).permutation(users)[:most])


def _recall_on(fold: Fold, features: FeatureTables, users: UserNums) -> Callable[[Towers], float]:
    """recall@100 of towers on what a fold holds back, seen items removed, over the whole catalogue."""
    later = fold.later.seen_items
    items = all_items(features)[1:]

    def validate(towers: Towers) -> float:
        retriever = IndexedRetriever(towers, ExactIndex.build(towers.encode_candidates(items, features), items))
        found = retriever.retrieve(users, features, top_k=RECALL_DEPTH, exclude=fold.history.seen_items)
        return float(recall(hits(lists_of(found, RECALL_DEPTH), users, later), later.count(users)).mean())

    return validate
