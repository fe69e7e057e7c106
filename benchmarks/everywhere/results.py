"""What is kept of a case under a seed, and how `default` stands beside the rules there."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, JsonValue

from belfry.evaluation.intervals import Interval, paired_intervals
from benchmarks.everywhere.systems import LISTS, RETRIEVAL
from benchmarks.leaderboard.results import CODE_FOLDERS, code_state

Metric: TypeAlias = Literal["ndcg@10", "recall@10", "recall@100"]
METRICS: tuple[Metric, ...] = ("ndcg@10", "recall@10", "recall@100")
JUDGED: dict[Metric, str] = {"ndcg@10": LISTS, "recall@10": LISTS, "recall@100": RETRIEVAL}  # what stands for `default`


class Judged(BaseModel):
    """One system."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    per_user: dict[Metric, list[float]]  # as `Result.users`
    cpu_s: float  # of training; of both stages of `default`


class Result(BaseModel):
    """One case under one seed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    case: str
    seed: int
    users: list[int]  # who is judged, rising numbers
    n_items: int
    systems: dict[str, Judged]  # `LISTS`, `RETRIEVAL` and rules, by name
    left_out: dict[str, str]  # rules that the data do not allow -> why
    notes: dict[str, JsonValue]  # of the run's manifest
    gate: str
    versions: dict[str, str]
    code: str
    measured_on: str  # UTC date


def code_now() -> str:
    """Changes with any source file that figures depend on; those of another state are measured again."""
    return code_state((*CODE_FOLDERS, "ranking", "pipeline"))


def keep(result: Result, folder: Path) -> None:
    """Whole or not at all."""
    path = _path(folder, result.case, result.seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(".part")
    aside.write_text(result.model_dump_json())
    aside.replace(path)


def stored(folder: Path, case: str, n_seeds: int) -> list[Result]:
    """Of the first seeds, whatever the code was."""
    paths = [_path(folder, case, seed) for seed in range(n_seeds)]
    return [Result.model_validate_json(path.read_text()) for path in paths if path.exists()]


def _path(folder: Path, case: str, seed: int) -> Path:
    return folder / f"{case}.seed{seed}.json"


@dataclass(frozen=True)
class Comparison:
    """`default` beside the rule that is best by this metric on the test part, which is hindsight in its favour."""

    metric: Metric
    ours: float
    rule: str
    theirs: float
    difference: Interval  # over users

    @property
    def holds(self) -> bool:
        """Lists must be better by an interval off zero, candidates no worse."""
        return self.ours >= self.theirs if self.metric == "recall@100" else self.difference.low > 0


def compare(results: Sequence[Result]) -> list[Comparison]:
    """One for each metric; `results` are seeds of one case."""
    found = []
    for metric, system in JUDGED.items():
        means = {rule: mean(results, rule, metric) for rule in rules_of(results)}
        best = max(means, key=means.__getitem__)
        ours = mean(results, system, metric)
        found.append(Comparison(metric, ours, best, means[best], difference(results, best, results, system, metric)))
    return found


def difference(
    baselines: Sequence[Result], baseline: str, results: Sequence[Result], system: str, metric: Metric
) -> Interval:
    """`system - baseline`, paired by user; both are over the same splits."""
    before, after = per_user(baselines, baseline, metric), per_user(results, system, metric)
    both = np.isfinite(before) & np.isfinite(after)
    return paired_intervals(before[both, None], after[both, None], seed=0)[0]


def mean(results: Sequence[Result], system: str, metric: Metric) -> float:
    """Over users."""
    return float(np.nanmean(per_user(results, system, metric)))


def per_user(results: Sequence[Result], system: str, metric: Metric) -> npt.NDArray[np.float64]:
    """[highest user number + 1] mean over the seeds under which a user is judged; NaN for one who never is."""
    users = np.concatenate([result.users for result in results])
    values = np.concatenate([result.systems[system].per_user[metric] for result in results])
    with np.errstate(invalid="ignore"):
        return np.asarray(np.bincount(users, values) / np.bincount(users), np.float64)


def cpu_s(results: Sequence[Result], system: str) -> float:
    return float(np.mean([result.systems[system].cpu_s for result in results]))


def rules_of(results: Sequence[Result]) -> list[str]:
    return [name for name in results[0].systems if name not in (LISTS, RETRIEVAL)]
