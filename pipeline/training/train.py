"""Train both stages: checks -> folds -> first stages -> first stage on everything -> ranker trainer -> gate."""

import logging
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial

from belfry.dataset.folds import Fold, Holdout
from belfry.dataset.prepare import Data
from belfry.pipeline.config import PipelineConfig
from belfry.pipeline.kinds import ranker_kind, source_kind
from belfry.pipeline.progress import Work
from belfry.pipeline.runs.gate import Gate
from belfry.pipeline.serving.two_stage import TwoStage
from belfry.pipeline.training.fold_workers import FoldTask, Submit, fold_workers
from belfry.pipeline.training.ranker_trainer import Observed, RankerTrainer
from belfry.pipeline.training.retrieval_stage import (
    FirstStage,
    Tuning,
    fit_first_stage,
    measure,
    name_of_step,
    training_folds,
)
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


def train(
    data: Data,
    config: PipelineConfig,
    *,
    holdout: Holdout,
    seed: int,
    work: Work | None = None,
    workers: int = 1,
    address: str | None = None,
    budget_s: float | None = None,
    on_first_stage: Callable[[Tuning], None] = lambda tuning: None,
) -> Trained:
    """Both stages, from nothing.

    Args:
        data: all that may be learned from; the test part of an evaluation is not in it.
        holdout: which part of the history stands in for the future.
        work: what this is a part of; told of every step.
        workers: processes at work on folds, this one among them; the result is the same.
        address: of a cluster that works on folds instead, see `belfry.pipeline.cluster.joined`.
        budget_s: dear sources are not tried where the training would take longer by the clock; None for no end.
        on_first_stage: told what the first fold decided as soon as it has; may raise to end the training there.

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
    if data.interactions.context:
        _warn_of_context(data, config, holdout)
    _expect_first_stages(work, config, 1)
    with (
        closing(make_trainer(data, config, seed=seed, progress=work.report)) as trainer,
        fold_workers(data, workers, address) as submit,
    ):
        folds = observe_folds(
            data,
            config,
            trainer,
            holdout=holdout,
            seed=seed,
            work=work,
            submit=submit,
            budget_s=budget_s,
            on_first_stage=on_first_stage,
        )
        if folds.tuning:
            left_out |= _not_chosen(config, folds.tuning)
            config = folds.tuning.config
        first = fit_first_stage(
            data,
            data.interactions,
            config,
            seed=seed,
            tuning=folds.tuning,
            work=work,
            stage=LAST_FIRST_STAGE,
            part="everything",
        )
        for elsewhere in folds.elsewhere:
            with work.step(EXAMPLES, text="waiting for the other parts"):
                for observed in elsewhere():
                    trainer.add(observed)
        with work.step(RANKER):
            ranker_of, gate = trainer.finish()
    with work.step(LAST_FIRST_STAGE, text="index"):
        ranker = ranker_of(first) if ranker_of else None
        two_stage = put_together(first, config, ranker if gate.is_open else None)
        measurement = measure(first, top_k=config.n_candidates, seed=seed)
    return Trained(first, config, left_out, measurement, ranker, gate, two_stage)


@dataclass(frozen=True)
class Folds:
    """What folds decide for the last first stage, and those that are still under way in other processes."""

    tuning: Tuning | None  # none where no part was needed: there is no ranker, and no weight to learn
    elsewhere: Sequence[Callable[[], list[Observed]]] = ()


def observe_folds(
    data: Data,
    config: PipelineConfig,
    trainer: RankerTrainer,
    *,
    holdout: Holdout,
    seed: int,
    work: Work | None = None,
    submit: Submit | None = None,
    budget_s: float | None = None,
    on_first_stage: Callable[[Tuning], None] = lambda tuning: None,
) -> Folds:
    """Show a trainer first stages on parts of the history; all but the first by `submit`, where it is given."""
    if not config.needs_folds:
        return Folds(None)
    work = work or Work()
    folds = training_folds(data, config, holdout, seed=seed)
    fold = next(folds)
    n_folds = min(config.folds, trainer.n_folds(fold))
    _expect_folds(work, config, 1 if submit else n_folds)
    observe = partial(_observe, data, config, trainer, n_folds=n_folds, seed=seed, work=work)
    tuning = observe(fold, None, number=0, has_time=partial(_has_time, work, n_folds, budget_s))
    on_first_stage(tuning)
    if submit:
        tasks = [FoldTask(config, holdout, number, n_folds, tuning, seed) for number in range(1, n_folds)]
        work.expect(EXAMPLES, len(tasks), weight=2)
        return Folds(tuning, [submit(task) for task in tasks])
    del fold  # and all that was computed of it, before the next one is made
    for number in range(1, n_folds):
        if other := next(folds, None):
            observe(other, tuning, number=number)
        del other
    return Folds(tuning)


def _observe(
    data: Data,
    config: PipelineConfig,
    trainer: RankerTrainer,
    fold: Fold,
    tuning: Tuning | None,
    *,
    number: int,
    n_folds: int,
    seed: int,
    work: Work,
    has_time: Callable[[], bool] = lambda: True,
) -> Tuning:
    """Show a trainer the first stage on the history of one fold; the first one decides, without a `tuning`."""
    part = f"part {number + 1} of {n_folds}"
    stage = fit_first_stage(
        data,
        fold.history,
        config,
        seed=seed,
        tuning=tuning,
        validate_on=None if tuning else fold,
        work=work,
        part=part,
        has_time=has_time,
    )
    with work.step(EXAMPLES, text=f"{EXAMPLES}, {part}"):
        for observed in trainer.observe(fold, stage, n_folds=n_folds):
            trainer.add(observed)
    return stage.tuning


def _has_time(work: Work, n_folds: int, budget_s: float | None) -> bool:
    """Whether dear sources fit into what is left of a budget; asked when the cheap ones of the first fold are there.

    By then about one of `n_folds` + 2 equal parts is done (the folds, everything, the ranker), and dear sources take as
    long as the rest together.
    """
    if budget_s is None:
        return True
    expected_s = 2 * (n_folds + 2) * work.stopwatch.total.wall
    if expected_s > budget_s:
        log.warning(
            "dear sources are not tried: with them training is expected to take %.0f s, the budget is %.0f s",
            expected_s,
            budget_s,
        )
    return expected_s <= budget_s


def _expect_folds(work: Work, config: PipelineConfig, n_folds: int) -> None:
    _expect_first_stages(work, config, n_folds)
    if config.ranker:
        work.expect(EXAMPLES, n_folds, weight=2)
        work.expect(RANKER, weight=4)


def _not_chosen(config: PipelineConfig, tuning: Tuning) -> dict[str, str]:
    """Sources that were tried on the first fold and are left out, by name, with the reason."""
    if tuning.choice is None:
        return {}
    left_out = {}
    for name, source in config.named_sources.items():
        if name not in tuning.choice.weights:
            is_tried = name in tuning.choice.alone
            nothing = "adds nothing clear to the other sources on validation users"
            has_its_place = source.after in tuning.choice.weights
            untried = "for want of time" if has_its_place else f"for {source.after} does not stay"
            left_out[name] = nothing if is_tried else f"not tried, {untried}"
    return left_out


def put_together(first: FirstStage, config: PipelineConfig, ranker: Ranker | None) -> TwoStage:
    """Both stages in training form, ready to answer; without a ranker retrieval's order is the last word."""
    return TwoStage(
        features=first.features,
        towers=first.towers.model,
        vectors=first.towers.vectors,
        retriever=first.retriever,
        popularity=first.popularity,
        cold_weight=config.tower_weight_for_cold_users(first.features.users),
        ranker=ranker,
        n_candidates=config.n_candidates,
        context=getattr(ranker, "context", None),
    )


def _tell_who_reads_no_weights(config: PipelineConfig) -> None:
    sources = [name for name, source in config.named_sources.items() if not source_kind(source.model).reads_weight]
    unread = [f"source {name!r}" for name in sources]
    if config.ranker and not ranker_kind(config.ranker).reads_weight:
        unread.append(f"ranker {config.ranker.kind!r}")
    if unread:
        log.warning("weights of watches are not read by %s: there all watches count alike", ", ".join(unread))


def _warn_of_context(data: Data, config: PipelineConfig, holdout: Holdout) -> None:
    if not (config.ranker and ranker_kind(config.ranker).family == "listwise"):
        log.warning("data.context_columns: a context is learned behind a ranker of lists, and here there is none")
    elif holdout == "random" and data.interactions.timestamp_s is not None:
        log.warning(
            "data.context_columns under holdout random: events of one sitting share their context, so one that is held "
            "back is told by those that are not, and the context seems to say more than it will; use holdout time"
        )


def _expect_first_stages(work: Work, config: PipelineConfig, n_stages: int) -> None:
    for name, source in config.named_sources.items():
        work.expect(name_of_step(name), n_stages, weight=4 if source_kind(source.model).has_vectors else 1)
