"""Train both stages: checks -> folds -> first stages -> examples -> ranker and gate -> first stage on everything."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from belfry.dataset.folds import Fold, Holdout, make_folds
from belfry.dataset.prepare import Data
from belfry.pipeline.config import PipelineConfig, cold_weight_of
from belfry.pipeline.progress import Progress, silent
from belfry.pipeline.serving.two_stage import TwoStage
from belfry.pipeline.training.gate_evaluation import RankerJudge, ranker_of_stage
from belfry.pipeline.training.ranker_stage import ExampleCollector, Gate, SecondStage, train_ranker
from belfry.pipeline.training.retrieval_stage import FirstStage, Tuning, fit_first_stage, measure, users_to_ask
from belfry.pipeline.training.sources import keep_usable
from belfry.ranking.base import Ranker
from belfry.ranking.example_store import ExampleStore
from belfry.ranking.listwise.boosted import import_lightgbm
from belfry.ranking.listwise.config import LightGbmRankerConfig, ListConfig
from belfry.retrieval.index.measure import IndexMeasurement

EXAMPLE_BYTES = 1 << 30  # of features of examples in memory; what is more waits on disk


@dataclass(frozen=True)
class Trained:
    """Both stages in training form, with what was decided and measured on the way."""

    first: FirstStage
    config: PipelineConfig  # without the sources that were left out
    left_out: dict[str, str]  # optional source -> why the data do not allow it
    measurement: IndexMeasurement
    second: SecondStage | None  # of a ranker that learned from lists
    ranker: Ranker | None  # on everything, be the gate open or not
    gate: Gate
    stages: TwoStage


def train(data: Data, config: PipelineConfig, *, holdout: Holdout, seed: int, progress: Progress = silent) -> Trained:
    """Both stages, from nothing.

    Args:
        data: all that may be learned from; the test part of an evaluation is not in it.
        holdout: which part of the history stands in for the future.
        progress: told of every step.

    Raises:
        InputError: the data do not allow this holdout, or hold too little to learn from.
        DivergenceError: a loss or a feature is not finite.
    """
    config, left_out = keep_usable(config, data)
    if isinstance(config.ranker, LightGbmRankerConfig):
        import_lightgbm()  # says what to do where it is missing, before the long training
    second, gate = None, Gate(False, "the preset has no second stage")
    ranker_of: Callable[[FirstStage], Ranker] | None = None
    with ExampleStore(limit_bytes=EXAMPLE_BYTES) as store:
        tuning, examples = fit_folds(data, config, store, holdout=holdout, seed=seed, progress=progress)
        if isinstance(examples, RankerJudge):
            ranker_of, gate = examples.decide()
        elif examples and isinstance(config.ranker, ListConfig):
            second, gate = train_ranker(examples, config.ranker, data, seed=seed, progress=partial(progress, "ranking"))
            ranker_of = partial(second.after, config.pair_features) if second else None
    first = fit_first_stage(
        data, data.interactions, config, seed=seed, tuning=tuning, progress=progress, part="on everything"
    )
    ranker = ranker_of(first) if ranker_of else None
    stages = put_together(first, config, ranker if gate.is_open else None)
    measurement = measure(first, top_k=config.n_candidates, seed=seed)
    return Trained(first, config, left_out, measurement, second, ranker, gate, stages)


def fit_folds(
    data: Data, config: PipelineConfig, store: ExampleStore, *, holdout: Holdout, seed: int, progress: Progress = silent
) -> tuple[Tuning | None, ExampleCollector | RankerJudge | None]:
    """First stages on parts of the history: what they decide for the last one, and examples of what they held back.

    Args:
        config: its sources are usable.
        store: takes the examples; they are there as long as it is open.

    Returns:
        None where no part was needed; None where there is no ranker, and the judge of one that learns from no list.
    """
    ranker_of = ranker_of_stage(config, data, seed=seed, progress=progress)
    tuning, folds = None, []
    if config.ranker or any(source.weight is None for source in config.sources):
        folds = make_folds(data.interactions, holdout, n_folds=config.folds, seed=seed)
    folds = folds[: _n_needed(folds, config)]
    examples: ExampleCollector | RankerJudge | None = None
    if ranker_of:
        examples = RankerJudge(config, ranker_of, seed=seed)
    elif isinstance(config.ranker, ListConfig):
        examples = ExampleCollector(data, config, config.ranker, store, n_folds=len(folds), seed=seed)
    for number, fold in enumerate(folds):
        stage = fit_first_stage(
            data,
            fold.history,
            config,
            seed=seed,
            tuning=tuning,
            validate_on=None if tuning else fold,
            progress=progress,
            part=f"part {number + 1} of {len(folds)}",
        )
        tuning = stage.tuning
        if examples:
            examples.add(fold, stage)
    return tuning, examples


def _n_needed(folds: Sequence[Fold], config: PipelineConfig) -> int:
    """How many folds give the ranker its lists, two at least; without a ranker one teaches the weights.

    Two are enough for the gate of a ranker that learns nothing from lists.
    """
    if not config.ranker or not folds:
        return 1
    if not isinstance(config.ranker, ListConfig):
        return 2
    return max(2, -(-config.max_lists // max(1, len(users_to_ask(folds[0])))))


def put_together(first: FirstStage, config: PipelineConfig, ranker: Ranker | None) -> TwoStage:
    """Both stages in training form, ready to answer; without a ranker retrieval's order is the last word."""
    return TwoStage(
        features=first.features,
        towers=first.towers.model,
        vectors=first.towers.vectors,
        retriever=first.retriever,
        popularity=first.popularity,
        cold_weight=cold_weight_of(config),
        ranker=ranker,
        n_candidates=config.n_candidates,
    )
