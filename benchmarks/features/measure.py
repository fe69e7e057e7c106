"""What rankers lose without a group of pair features, by cross-validation, and the time and memory of each group."""

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from time import process_time

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from belfry.dataset.candidates import Candidates
from belfry.dataset.features import FeatureTables
from belfry.dataset.folds import Fold, Holdout, sample_users
from belfry.dataset.prepare import Data
from belfry.pipeline.config import PipelineConfig
from belfry.pipeline.progress import silent
from belfry.pipeline.runs.versions import installed_versions
from belfry.pipeline.training.list_trainer import ListRankerTrainer
from belfry.pipeline.training.ranker_trainer import Observed
from belfry.pipeline.training.retrieval_stage import FirstStage
from belfry.pipeline.training.train import observe_folds
from belfry.ranking.base import Matrix
from belfry.ranking.examples import Examples, concatenate
from belfry.ranking.features.base import Column, FeatureGroup, PairRequest, Values
from belfry.ranking.features.pair_features import PairFeatures
from belfry.ranking.listwise.config import DeepRankerConfig
from belfry.ranking.listwise.deep import DeepRanker
from benchmarks.features.sets import SETS, columns_of, first_alike

N_FOLDS = 3  # of users, of the cross-validation
VALIDATION_SHARE = 7  # one in so many of the users to learn from decides when training stops
MAX_LISTS = 5_000  # of a case, about: more would cost much
MAX_COST_USERS = 512
N_REPEATS = 5  # of what is timed
ALL, AGAIN = "all columns", "all columns, other random starts"  # the second shows what chance alone does
WHOLE = "the whole matrix"


class Cost(BaseModel):
    """Of a group; CPU time, medians of repeats."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    compute_us: float  # per user
    fit_s: float
    n_bytes: int  # of its arrays


class Result(BaseModel):
    """One case."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    users: list[int]  # of each list
    columns: dict[str, list[str]]  # of each group, standard scores among them
    costs: dict[str, Cost]  # of each group, and `WHOLE`
    n_cost_users: int
    n_candidates: float  # of such a user, mean
    threads: str
    versions: dict[str, str]
    measured_on: str
    ndcg: dict[str, list[list[float]]] = {}  # what was left out, or `ALL`, or `AGAIN` -> of each seed, @10 of each list


class WatchedTrainer(ListRankerTrainer):
    """Keeps the last fold and its first stage: costs are measured on them."""

    last: tuple[Fold, FirstStage]

    def observe(self, fold: Fold, stage: FirstStage, *, n_folds: int) -> Iterator[Observed]:
        self.last = fold, stage
        return super().observe(fold, stage, n_folds=n_folds)


class TimedGroup(FeatureGroup):
    """A group that adds up the CPU seconds of its `compute`."""

    name = "timed"

    def __init__(self, group: FeatureGroup) -> None:
        self.arrays, self.lengths = group.arrays, group.lengths
        self.group, self.cpu_s = group, 0.0

    def columns(self, features: FeatureTables, sources: tuple[str, ...]) -> Sequence[Column]:
        return self.group.columns(features, sources)

    def compute(self, request: PairRequest) -> Sequence[Values] | Matrix:
        started = process_time()
        values = self.group.compute(request)
        self.cpu_s += process_time() - started
        return values


def describe(data: Data, config: PipelineConfig, holdout: Holdout) -> tuple[Result, Examples]:
    """What columns of one case cost, and its lists; `data` is its train part."""
    with closing(WatchedTrainer(data, config, seed=0, progress=silent)) as trainer:
        observe_folds(data, config, trainer, holdout=holdout, seed=0)
        parts = list(trainer.learned.blocks(np.random.default_rng(0)))
        examples = concatenate([*parts, *([trainer.validation] if trainer.validation else [])])
        fold, stage = trainer.last
    users = sample_users(fold.users, MAX_COST_USERS, seed=0).astype(np.int32)
    candidates = stage.retriever.retrieve(
        users, stage.features, top_k=config.n_candidates, exclude=fold.history.seen_items
    )
    pair_features = PairFeatures.fit(stage.features, config.pair_features)
    costs = measure_costs(pair_features, stage.features, candidates)
    own = {group.name: names_of(group, stage.features, candidates.sources) for group in pair_features.groups}
    examples = sample_lists(examples, MAX_LISTS)
    result = Result(
        users=examples.lists.users.tolist(),
        columns={name: sorted(names & set(examples.names)) for name, names in own.items()},
        costs=costs,
        n_cost_users=len(users),
        n_candidates=len(candidates) / len(users),
        threads=os.environ.get("OMP_NUM_THREADS", "all"),
        versions=installed_versions(),
        measured_on=f"{datetime.now(UTC):%Y-%m-%d}",
    )
    return result, examples


def sample_lists(examples: Examples, max_lists: int) -> Examples:
    """All lists of some users drawn at random, about `max_lists` in sum; in the same order."""
    users, counts = np.unique(examples.lists.users, return_counts=True)
    drawn = np.random.default_rng(0).permutation(len(users))
    kept = users[drawn[np.cumsum(counts[drawn]) <= max_lists]]
    return examples.select(np.flatnonzero(np.isin(examples.lists.users, kept)))


def measure_missing(result: Result, examples: Examples, names: Iterable[str], n_seeds: int) -> Iterator[str]:
    """Add to `result.ndcg` what it does not hold yet, and name each: first of rankers that nothing is kept from."""
    ndcg, left_out = result.ndcg, {ALL: frozenset[str](), AGAIN: frozenset[str]()}
    alike = [first_alike(name, result.columns) for name in names]
    left_out |= {name: columns_of(SETS[name], result.columns) for name in alike if name}
    for name, columns in left_out.items():
        for seed in range(len(ndcg.get(name, ())), n_seeds):
            start = 1_000 * (name == AGAIN)
            scores = cross_validated(without(examples, columns), seed=seed, start=start)
            ndcg.setdefault(name, []).append(scores.round(6).tolist())
            yield f"{name}, seed {seed}: {scores.mean():.4f}"


def names_of(group: FeatureGroup, features: FeatureTables, sources: tuple[str, ...]) -> set[str]:
    """Of the columns that are gone without a group: its own and their standard scores, where there are any."""
    names = [column.name for column in group.columns(features, sources)]
    return {*names, *(f"standard_{name}" for name in names)}


def without(examples: Examples, names: Collection[str]) -> Examples:
    """The same lists without some columns."""
    lists = examples.lists
    kept = [place for place, name in enumerate(lists.names) if name not in names]
    pairs = np.ascontiguousarray(lists.pairs[:, kept])
    return replace(examples, lists=replace(lists, pairs=pairs, names=tuple(lists.names[place] for place in kept)))


def cross_validated(
    examples: Examples, *, seed: int, start: int = 0, config: DeepRankerConfig | None = None
) -> npt.NDArray[np.float64]:
    """[n_lists] NDCG@10 of each list by a ranker that learned from lists of other users.

    Args:
        seed: of the folds, and of the rankers.
        start: rankers of another one differ by their random starts alone.
        config: of the ranker; by default that of the default preset.
    """
    users = examples.lists.users
    place = np.random.default_rng(seed).permutation(int(users.max()) + 1)[users]
    fold, decides = place % N_FOLDS, place // N_FOLDS % VALIDATION_SHARE == 0
    scores = np.zeros(len(examples))
    for judged in range(N_FOLDS):
        ranker = DeepRanker(config or DeepRankerConfig()).fit(
            examples.select(np.flatnonzero((fold != judged) & ~decides)),
            seed=start + N_FOLDS * seed + judged,
            validation=examples.select(np.flatnonzero((fold != judged) & decides)),
            n_users=int(users.max()),
            n_items=int(examples.lists.items.max()),
        )
        own = np.flatnonzero(fold == judged)
        of_fold = examples.select(own)
        scores[own] = of_fold.ndcg(ranker.score_lists(of_fold.lists))
    return scores


def measure_costs(pair_features: PairFeatures, features: FeatureTables, candidates: Candidates) -> dict[str, Cost]:
    """Of each group, and of the whole."""
    n_users, computed, fitted = len(candidates.users), [], []
    for _ in range(N_REPEATS):
        timed = PairFeatures(pair_features.config, pair_features.arrays)
        groups = tuple(TimedGroup(group) for group in timed.groups)
        timed.groups = groups  # in the blocks of `matrix`
        started = process_time()
        timed.matrix(candidates, features)
        whole = process_time() - started
        computed.append([*(group.cpu_s for group in groups), whole])
        seconds = []
        for group in pair_features.groups:
            started = process_time()
            type(group).fit(features, pair_features.config)
            seconds.append(process_time() - started)
        fitted.append([*seconds, sum(seconds)])
    n_bytes = [sum(array.nbytes for array in group.arrays.values()) for group in pair_features.groups]
    names = [*(group.name for group in pair_features.groups), WHOLE]
    figures = zip(names, np.median(computed, axis=0), np.median(fitted, axis=0), [*n_bytes, sum(n_bytes)], strict=True)
    return {
        name: Cost(compute_us=float(cpu_s) / n_users * 1e6, fit_s=float(fit_s), n_bytes=size)
        for name, cpu_s, fit_s, size in figures
    }
