"""Train both stages: checks -> folds -> first stages -> examples -> ranker and gate -> first stage on everything."""

from dataclasses import dataclass
from functools import partial

from pipeline.config import Holdout, PipelineConfig, cold_weight_of
from pipeline.data import Data
from pipeline.first_stage import FirstStage, fit_first_stage, measure
from pipeline.holdout import make_folds
from pipeline.progress import Progress, silent
from pipeline.second_stage import ExampleCollector, Gate, SecondStage, train_ranker
from pipeline.sources import keep_usable
from pipeline.stages import Stages
from ranking.example_store import ExampleStore
from ranking.pair_features import PairFeatures
from retrieval.index.measure import IndexMeasurement

EXAMPLE_BYTES = 1 << 30  # of features of examples in memory; what is more waits on disk


@dataclass(frozen=True)
class Trained:
    """Both stages in training form, with what was decided and measured on the way."""

    first: FirstStage
    config: PipelineConfig  # without the sources that were left out
    left_out: dict[str, str]  # optional source -> why the data do not allow it
    measurement: IndexMeasurement
    pair_features: PairFeatures | None
    second: SecondStage | None
    gate: Gate
    stages: Stages


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
    second, gate, tuning = None, Gate(False, "the preset has no second stage"), None
    folds = []
    if config.ranker or any(source.weight is None for source in config.sources):
        folds = make_folds(data.interactions, holdout, n_folds=config.folds, seed=seed)
    if not config.ranker:
        folds = folds[:1]  # it teaches the weights
    with ExampleStore(limit_bytes=EXAMPLE_BYTES) as store:
        examples = (
            ExampleCollector(data, config, config.ranker, store, n_folds=len(folds), seed=seed)
            if config.ranker
            else None
        )
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
        if config.ranker and examples:
            second, gate = train_ranker(examples, config.ranker, data, seed=seed, progress=partial(progress, "ranking"))
    first = fit_first_stage(
        data, data.interactions, config, seed=seed, tuning=tuning, progress=progress, part="on everything"
    )
    pair_features = PairFeatures.fit(first.features, config.pair_features) if second else None
    stages = Stages(
        features=first.features,
        towers=first.towers.model,
        vectors=first.towers.vectors,
        retriever=first.retriever,
        popularity=first.popularity,
        cold_weight=cold_weight_of(config),
        ranker=second.on(pair_features) if second and pair_features and gate.is_open else None,
        n_candidates=config.n_candidates,
    )
    measurement = measure(first, top_k=config.n_candidates, seed=seed)
    return Trained(first, config, left_out, measurement, pair_features, second, gate, stages)
