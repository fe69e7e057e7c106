"""Train `default` and the rules on the train part of a case, and judge all lists by its test part."""

import gc
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from belfry.dataset.candidates import Candidates
from belfry.dataset.errors import InputError
from belfry.dataset.features import FeatureTables
from belfry.dataset.prepare import Data
from belfry.dataset.split import Split
from belfry.dataset.vocabulary import UserNums
from belfry.evaluation.context import EvaluationContext
from belfry.evaluation.engine import evaluate
from belfry.evaluation.lists import CandidateLists
from belfry.evaluation.plan import Plan
from belfry.evaluation.registry import ACCURACY
from belfry.layers.backend import keras
from belfry.layers.config import ModelConfig
from belfry.pipeline.config import load_config
from belfry.pipeline.progress import Work
from belfry.pipeline.runs.versions import installed_versions
from belfry.pipeline.serving.recommender import Recommender
from belfry.pipeline.serving.two_stage import Stage
from belfry.pipeline.stopwatch import Stopwatch
from belfry.pipeline.training.publish import train_and_publish
from belfry.retrieval.base import Retriever
from belfry.retrieval.registry import KINDS
from benchmarks.everywhere.results import METRICS, Judged, Result, code_now
from benchmarks.everywhere.systems import HOLDOUTS, LISTS, RETRIEVAL, RULES
from benchmarks.judging import context_of
from benchmarks.leaderboard.measure import fit
from benchmarks.leaderboard.splits import Case

DEPTH = 100  # of all lists
PLAN = Plan(10, tuple((ACCURACY[name.partition("@")[0]], int(name.partition("@")[2])) for name in METRICS), of_all=())
NOTED = ("sources", "source_choice", "left_out")  # of a run's manifest, whatever it has of them
USERS_AT_ONCE = 320
NOBODY = np.zeros(0, np.int32)


def measure(case: Case, data: Data, seed: int, settings: tuple[str, ...] = ()) -> Result:
    """`settings` change the preset, which is for tests."""
    split = case.split(data.interactions, seed)
    context = context_of(split, min_history=case.min_history)
    systems, notes, gate = _default(case, replace(data, interactions=split.train), context, seed, settings)
    left_out = {}
    features = data.features(split.train)
    for name, config in RULES.items():
        try:
            systems[name] = _rule(config, split, features, context, seed)
        except InputError as error:
            left_out[name] = str(error)
    return Result(
        case=case.name,
        seed=seed,
        users=context.users.tolist(),
        n_items=len(data.interactions.items),
        systems=systems,
        left_out=left_out,
        notes=notes,
        gate=gate,
        versions=installed_versions(),
        code=code_now(),
        measured_on=f"{datetime.now(UTC):%Y-%m-%d}",
    )


def _default(
    case: Case, train: Data, context: EvaluationContext, seed: int, settings: tuple[str, ...]
) -> tuple[dict[str, Judged], dict[str, object], str]:
    """Published and answered from as a user's run is: its judged stages, notes of its manifest, and its gate."""
    keras.backend.clear_session()  # the graphs of the case before would stay in memory
    gc.collect()
    holdout = HOLDOUTS[case.name]
    config = load_config("default", holdout=holdout, settings=settings)
    with TemporaryDirectory() as folder:
        work, artifacts = Work(), Path(folder) / "artifacts"
        run = train_and_publish(
            train, config, preset="default", holdout=holdout, seed=seed, artifacts=artifacts, work=work
        )
        cpu_s = work.stopwatch.total.cpu
        recommender = Recommender.load(run)
        manifest = recommender.run.manifest
        two_stage, seen = recommender.two_stage, context.seen

        def lists_of(stage: Stage) -> Callable[[UserNums], Candidates]:
            return lambda users: two_stage.lists(users, stage, n=DEPTH, exclude=seen, blocked=NOBODY)

        stages: dict[str, Stage] = {LISTS: "final", RETRIEVAL: "retrieval"}
        judged = {name: _judged(lists_of(stage), context, cpu_s) for name, stage in stages.items()}
    notes: dict[str, object] = {name: manifest.notes[name] for name in NOTED if name in manifest.notes}
    return judged, notes, manifest.gate.line


def _rule(config: ModelConfig, split: Split, features: FeatureTables, context: EvaluationContext, seed: int) -> Judged:
    """Raises InputError where the data do not allow it."""
    kind = KINDS[config.kind]
    (kind.make_towers if kind.has_vectors else kind.make_retriever)(config).check(split.train, features)
    stopwatch = Stopwatch()
    retriever: Retriever = fit(config, split.train, features, seed=seed).retriever
    cpu_s = stopwatch.total.cpu
    return _judged(lambda users: retriever.retrieve(users, features, top_k=DEPTH, exclude=context.seen), context, cpu_s)


def _judged(lists_of: Callable[[UserNums], Candidates], context: EvaluationContext, cpu_s: float) -> Judged:
    def parts() -> Iterator[Candidates]:
        for start in range(0, len(context.users), USERS_AT_ONCE):
            yield lists_of(context.users[start : start + USERS_AT_ONCE])

    found = evaluate(CandidateLists(parts(), context.users), context, PLAN).per_user
    return Judged(per_user={name: found[name].round(6).tolist() for name in METRICS}, cpu_s=cpu_s)
