"""Train both stages: checks -> folds -> first stages -> ranker trainer -> first stage on everything -> gate."""

import logging
from contextlib import closing
from dataclasses import dataclass

from belfry.dataset.folds import Holdout, make_folds, with_repeats
from belfry.dataset.prepare import Data
from belfry.pipeline.config import PipelineConfig
from belfry.pipeline.kinds import ranker_kind, source_kind
from belfry.pipeline.progress import Work
from belfry.pipeline.runs.gate import Gate
from belfry.pipeline.serving.two_stage import TwoStage
from belfry.pipeline.training.ranker_trainer import RankerTrainer
from belfry.pipeline.training.retrieval_stage import FirstStage, Tuning, fit_first_stage, measure, name_of_step
from belfry.pipeline.training.sources import keep_usable
from belfry.pipeline.training.trainer_registry import make_trainer
from belfry.ranking.base import Ranker, TrainedRanker
from belfry.retrieval.index.measure import IndexMeasurement

# Stages of the table that says where the time went; beside them each source has one.
EXAMPLES = "candidates and pair features"
LIBRARIES = "loading libraries"  # those of the first source
RANKER = "ranker"
LAST_FIRST_STAGE = "first stage on everything"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trained:
    """Both stages in training form, with what was decided and measured on the way."""

    first: FirstStage
    config: PipelineConfig  # without the sources that were left out
    left_out: dict[str, str]  # optional source -> why: the data do not allow it, or it adds nothing
    measurement: IndexMeasurement
    ranker: TrainedRanker | None  # on everything, be the gate open or not
    gate: Gate
    two_stage: TwoStage


def train(data: Data, config: PipelineConfig, *, holdout: Holdout, seed: int, work: Work | None = None) -> Trained:
    """Both stages, from nothing.

    Args:
        data: all that may be learned from; the test part of an evaluation is not in it.
        holdout: which part of the history stands in for the future.
        work: what this is a part of; told of every step.

    Raises:
        InputError: the data do not allow this holdout, or hold too little to learn from.
        DivergenceError: a loss or a feature is not finite.
    """
    work = work or Work()
    with work.step(LIBRARIES):
        config, left_out = keep_usable(config, data)
        source_kind(config.retrieval).make_towers(config.retrieval)
    if data.interactions.weight is not None:
        _tell_who_reads_no_weights(config)
    _expect_first_stages(work, config, 1)
    with closing(make_trainer(data, config, seed=seed, progress=work.report)) as trainer:
        tuning = observe_folds(data, config, trainer, holdout=holdout, seed=seed, work=work)
        with work.step(RANKER):
            ranker_of, gate = trainer.finish()
    if tuning:
        left_out |= _not_chosen(config, tuning)
        config = tuning.config
    first = fit_first_stage(
        data, data.interactions, config, seed=seed, tuning=tuning, work=work, stage=LAST_FIRST_STAGE, part="everything"
    )
    with work.step(LAST_FIRST_STAGE, text="index"):
        ranker = ranker_of(first) if ranker_of else None
        two_stage = put_together(first, config, ranker if gate.is_open else None)
        measurement = measure(first, top_k=config.n_candidates, seed=seed)
    return Trained(first, config, left_out, measurement, ranker, gate, two_stage)


def observe_folds(
    data: Data,
    config: PipelineConfig,
    trainer: RankerTrainer,
    *,
    holdout: Holdout,
    seed: int,
    work: Work | None = None,
) -> Tuning | None:
    """Show a trainer first stages on parts of the history, and give what they decide for the last one.

    Returns:
        None where no part is needed: there is no ranker, and no weight to learn.
    """
    if config.ranker is None and all(source.weight is not None for source in config.sources):
        return None
    work = work or Work()
    made = with_repeats(make_folds(data.interactions, holdout, n_folds=config.folds, seed=seed), config.repeats)
    folds = trainer.choose(made)
    _expect_first_stages(work, config, len(folds))
    if config.ranker:
        work.expect(EXAMPLES, len(folds), weight=2)
        work.expect(RANKER, weight=4)
    tuning = None
    for number, fold in enumerate(folds):
        stage = fit_first_stage(
            data,
            fold.history,
            config,
            seed=seed,
            tuning=tuning,
            validate_on=None if tuning else fold,
            work=work,
            part=(part := f"part {number + 1} of {len(folds)}"),
        )
        tuning = stage.tuning
        with work.step(EXAMPLES, text=f"{EXAMPLES}, {part}"):
            trainer.observe(fold, stage)
    return tuning


def _not_chosen(config: PipelineConfig, tuning: Tuning) -> dict[str, str]:
    """Sources that were tried on the first fold and are left out, by name, with the reason."""
    if tuning.choice is None:
        return {}
    left_out = {}
    for name, source in config.named_sources.items():
        if name not in tuning.choice.weights:
            is_tried = name in tuning.choice.alone
            nothing = "adds nothing clear to the other sources on validation users"
            left_out[name] = nothing if is_tried else f"not tried, for {source.after} does not stay"
    return left_out


def put_together(first: FirstStage, config: PipelineConfig, ranker: Ranker | None) -> TwoStage:
    """Both stages in training form, ready to answer; without a ranker retrieval's order is the last word."""
    return TwoStage(
        features=first.features,
        towers=first.towers.model,
        vectors=first.towers.vectors,
        retriever=first.retriever,
        popularity=first.popularity,
        cold_weight=config.tower_weight_for_cold_users,
        ranker=ranker,
        n_candidates=config.n_candidates,
    )


def _tell_who_reads_no_weights(config: PipelineConfig) -> None:
    sources = [name for name, source in config.named_sources.items() if not source_kind(source.model).reads_weight]
    unread = [f"source {name!r}" for name in sources]
    if config.ranker and not ranker_kind(config.ranker).reads_weight:
        unread.append(f"ranker {config.ranker.kind!r}")
    if unread:
        log.warning("weights of watches are not read by %s: there all watches count alike", ", ".join(unread))


def _expect_first_stages(work: Work, config: PipelineConfig, n_stages: int) -> None:
    for name, source in config.named_sources.items():
        work.expect(name_of_step(name), n_stages, weight=4 if source_kind(source.model).has_vectors else 1)
