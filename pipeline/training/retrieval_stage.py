"""Train and put together the first stage: the sources, the weights of their scores, and the cold answer."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import cast

import numpy as np

from belfry.dataset import columns
from belfry.dataset.arrays import Mask
from belfry.dataset.features import FeatureTables
from belfry.dataset.folds import Fold, Holdout, make_folds, sample_users, with_repeats
from belfry.dataset.interactions import Interactions
from belfry.dataset.prepare import Data
from belfry.dataset.vocabulary import UserNums
from belfry.evaluation.metrics import hits, lists_of, recall
from belfry.layers.model import Epoch
from belfry.pipeline.config import PipelineConfig
from belfry.pipeline.kinds import expects_labels
from belfry.pipeline.progress import Work
from belfry.pipeline.training.gate_evaluation import MAX_VALIDATION_USERS
from belfry.pipeline.training.source_choice import SourceChoice, choose_sources
from belfry.pipeline.training.sources import SearchedTowers, TrainedSource, fit_source
from belfry.ranking.base import LabelRanker
from belfry.ranking.error_variance import Values, learned_weights
from belfry.ranking.multitask.config import MultitaskConfig
from belfry.retrieval.base import EarlierWeights, NewItemTowers, Retriever, Towers
from belfry.retrieval.blend import CombinedRetriever, Source, combine
from belfry.retrieval.index.exact import ExactIndex
from belfry.retrieval.index.measure import IndexMeasurement, measure_index
from belfry.retrieval.indexed import IndexedRetriever
from belfry.retrieval.new_items import NewItems, are_new
from belfry.retrieval.popularity import Popularity

_MIN_VALIDATION_USERS = 500
_VALIDATION_SCORES = 200_000_000  # computed for each evaluation, beyond which users are fewer
RECALL_DEPTH = 100
CHOICE = "choice of the sources"  # a stage of the work
DEPTH_OF_REPEATS = 10  # where lists hold repeats alone: few users have so many own items that 100 would tell

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Tuning:
    """What the first fold decides for all later first stages, by name of the source."""

    config: PipelineConfig  # with the sources that stay
    epochs: dict[str, int]  # of towers; 0 where training knows none
    weights: dict[str, float]
    new_item_offsets: dict[str, float] = field(default_factory=dict)  # of towers that place new items
    choice: SourceChoice | None = None  # by the names of all sources that were tried; None where there was none to make
    curves: dict[str, Sequence[Epoch]] = field(default_factory=dict)  # of towers that have epochs
    variance_weights: Values | None = None  # of the errors of the first source, where a regression expects ratings


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

    @property
    def label_model(self) -> LabelRanker | None:
        """The first source, where it expects labels too."""
        expects = expects_labels(self.tuning.config.retrieval)
        return cast(LabelRanker, self.towers.model) if expects else None


def fit_first_stage(
    data: Data,
    history: Interactions,
    config: PipelineConfig,
    *,
    seed: int,
    tuning: Tuning | None = None,
    validate_on: Fold | None = None,
    work: Work | None = None,
    stage: str = "",
    part: str = "",
    has_time: Callable[[], bool] = lambda: True,
    earlier: Mapping[str, EarlierWeights] | None = None,
) -> FirstStage:
    """Every source trained on `history`, which is all of `data` or a part of it.

    Args:
        tuning: of an earlier first stage. Without it towers train to their end, or stop early by `validate_on`, and
            weights that the config leaves open are learned there, or are 1.
        validate_on: evaluates towers by recall@100, and weights, on what it holds back.
        work: what this is a part of; each source is a step.
        stage: what the seconds count to; without, each source has a stage of its own.
        part: which first stage of a whole training this is, for whoever looks on.
        earlier: by name of the source, weights that towers go on from; the others train from nothing.
        has_time: asked, where sources are chosen, once the cheap ones are there: whether to try the dear ones too.
    """
    work = work or Work()
    features = data.features(history)
    new_items = new_items_of(data, config, seed=seed)
    if tuning:
        config = tuning.config
    is_new = are_new(history, data.items) if config.places_new_items else None
    users, n_users = np.zeros(0, np.int32), _n_validation_users(len(history.items))
    judged = _of_known_items(validate_on, is_new) if validate_on else None
    if judged:
        users = sample_users(judged.users, n_users, seed=seed)
    validate = _recall_on(judged, features, users) if judged and len(users) else None
    named = config.named_sources
    fitted: dict[str, TrainedSource] = {}

    def place(name: str, towers: NewItemTowers) -> float:
        assert new_items is not None
        offset = tuning.new_item_offsets.get(name, 0.0) if tuning else 0.0
        if validate_on and len(validate_on.users):
            some = sample_users(validate_on.users, n_users, seed=seed)
            offset = new_items.learn_offset(towers, features, validate_on, some)
            log.info("source %r: items without a watch deserve %+.2f to their scores", name, offset)
        towers.shift_new_items(new_items.offsets(history, offset, is_whole=history is data.interactions))
        return offset

    def fit(names: Iterable[str]) -> None:
        for name in names:
            step = name_of_step(name)
            with work.step(stage or step, kind=step, text=f"{step}, {part}"):
                fitted[name] = fit_source(
                    named[name].model,
                    history,
                    features,
                    config.index.for_weight(tuning.weights[name] if tuning else named[name].weight),
                    seed=seed,
                    epochs=tuning.epochs.get(name) if tuning else None,
                    validate=validate,
                    progress=partial(work.report, name),
                    earlier=earlier.get(name) if earlier else None,
                    place_new_items=partial(place, name) if new_items else None,
                )

    choice, weights = None, {name: 1.0 if source.weight is None else source.weight for name, source in named.items()}
    if tuning:
        fit(named)
        choice, weights = tuning.choice, tuning.weights
    elif judged and len(users) and len(named) > 1:
        fit(name for name, source in named.items() if source.after is None)
        with work.step(CHOICE):
            choice = _choose(fitted, config, users, features, judged, is_new)
        dear = [name for name, source in named.items() if source.after and choice.weights.get(source.after)]
        if dear and has_time():
            fitted = {name: fitted[name] for name in choice.weights}
            fit(dear)
            with work.step(CHOICE):
                again = _choose(fitted, config, users, features, judged, is_new)
            choice = replace(again, alone={**choice.alone, **again.alone})
        config, fitted, weights = _keep(choice, config, fitted)
    else:
        fit(named)
    sources = _sources(fitted, config, weights)
    offsets = {name: source.new_item_offset for name, source in fitted.items()}
    epochs = {name: source.epochs for name, source in fitted.items() if source.epochs is not None}
    popularity = Popularity(config.popularity).fit(history, features, seed=seed)
    curves = tuning.curves if tuning else {name: source.curve for name, source in fitted.items() if source.curve}
    variance = tuning.variance_weights if tuning else None
    if validate_on and expects_labels(config.retrieval):
        variance = _variance_weights(config, next(iter(fitted.values())), features, validate_on, seed=seed)
    learned = Tuning(config, epochs, weights, offsets, choice, curves, variance)
    return FirstStage(features, fitted, learned, popularity, combine(sources, is_new))


def _variance_weights(
    config: PipelineConfig, source: TrainedSource, features: FeatureTables, fold: Fold, *, seed: int
) -> Values | None:
    """Of the errors of expected ratings, by those that a fold holds back; None where no regression expects them."""
    tasks = cast(MultitaskConfig, config.retrieval).tasks
    if not any(task.column == columns.RATING and task.kind == "regression" for task in tasks):
        return None
    labels = cast(LabelRanker, cast(SearchedTowers, source).model)
    is_asked = np.isin(fold.later.user_num, sample_users(fold.users, MAX_VALIDATION_USERS, seed=seed))
    return learned_weights(labels, features, fold.later.select(is_asked))


def _of_known_items(fold: Fold, is_new: Mask | None) -> Fold:
    """The fold without what was held back of new items: sources that know none are chosen and weighed by the others."""
    if is_new is None or not is_new.any():
        return fold
    new = np.flatnonzero(is_new).astype(np.int32)
    return replace(fold, later=fold.later.without_items(new), excluded=fold.exclude)


def new_items_of(data: Data, config: PipelineConfig, *, seed: int) -> NewItems | None:
    """None where there are none, or no source or no list has a place for them."""
    if not config.places_new_items:
        return None
    return NewItems.of(data.interactions, data.items, multiple=config.new_items, seed=seed)


def training_folds(data: Data, config: PipelineConfig, holdout: Holdout, *, seed: int) -> Iterator[Fold]:
    """The folds that first stages and the ranker learn on, made one by one; where they lie in time some items are new.

    A random part of the past holds no item that comes later: what is unwatched there is like what nobody watches, and
    those that vanish from a fold by chance tell what such items deserve.

    Raises:
        InputError: see `make_folds` and `with_repeats`.
    """
    folds = with_repeats(make_folds(data.interactions, holdout, n_folds=config.folds, seed=seed), config.repeats)
    new_items = new_items_of(data, config, seed=seed)
    return new_items.hide(folds) if new_items and holdout != "random" else folds


def _n_validation_users(n_items: int) -> int:
    """How many users towers and weights are evaluated on: fewer where every one of them costs much."""
    return int(np.clip(_VALIDATION_SCORES // n_items, _MIN_VALIDATION_USERS, MAX_VALIDATION_USERS))


def _sources(
    fitted: dict[str, TrainedSource], config: PipelineConfig, weights: dict[str, float] | None = None
) -> list[Source]:
    named = config.named_sources
    return [
        Source(name, source.retriever(name), named[name].quota, weights[name] if weights else 1.0)
        for name, source in fitted.items()
    ]


def _choose(
    fitted: dict[str, TrainedSource],
    config: PipelineConfig,
    users: UserNums,
    features: FeatureTables,
    fold: Fold,
    is_new: Mask | None,
) -> SourceChoice:
    """By what the fold holds back; a weight that the config gives counts beside a 1 of the first source."""
    named = config.named_sources
    first, *others = named
    fixed = {name: weight for name in others if (weight := named[name].weight) is not None}
    if fixed:
        fixed = {first: 1.0, **fixed}
    optional = frozenset(name for name in others if named[name].optional)
    retriever = CombinedRetriever(_sources(fitted, config), is_new)
    return choose_sources(retriever, fixed, optional, users, features, fold)


def _keep(
    choice: SourceChoice, config: PipelineConfig, fitted: dict[str, TrainedSource]
) -> tuple[PipelineConfig, dict[str, TrainedSource], dict[str, float]]:
    """Config, sources and weights of those that stay, under the names that they have among themselves."""
    named = config.named_sources
    kept = tuple(named[name] for name in choice.weights)
    config = config.model_copy(update={"sources": kept[1:]})
    names = list(config.named_sources)
    return (
        config,
        {new: fitted[old] for new, old in zip(names, choice.weights, strict=True)},
        dict(zip(names, choice.weights.values(), strict=True)),
    )


def measure(stage: FirstStage, *, top_k: int, seed: int) -> IndexMeasurement:
    """Recall and latency of the first source's index on queries of real users; logged, and noted in the run."""
    with_history = np.flatnonzero(np.diff(stage.features.history.by_user.starts)).astype(np.int32)
    users = sample_users(with_history, _n_validation_users(len(stage.features.history.items)), seed=seed)
    towers = stage.towers
    exact = ExactIndex.build(towers.vectors[1:], stage.features.history.items.all_numbers[1:])
    measurement = measure_index(towers.index, exact, towers.model.encode_queries(users, stage.features), top_k)
    log.info("index: %s", measurement)
    return measurement


def name_of_step(source: str) -> str:
    """What the training of a source is called, by the source's name."""
    return f"source {source}"


def _recall_on(fold: Fold, features: FeatureTables, users: UserNums) -> Callable[[Towers], float]:
    """recall@100 of towers on what a fold holds back, over all items that lists may hold; @10 of repeats alone."""
    later, depth = fold.later.seen_items, DEPTH_OF_REPEATS if fold.repeats == "only" else RECALL_DEPTH
    items = features.history.items.all_numbers[1:]

    def validate(towers: Towers) -> float:
        retriever = IndexedRetriever(towers, ExactIndex.build(towers.encode_candidates(items, features), items))
        found = retriever.retrieve(users, features, top_k=depth, exclude=fold.exclude)
        return float(recall(hits(lists_of(found, depth), users, later), later.count(users)).mean())

    return validate
