"""Everything that is measured, in the order in which it runs."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from belfry.pipeline.runs.manifest import CURRENT
from benchmarks.answering import COLD
from benchmarks.speed.cases import CASES, CaseFiles, write_case
from benchmarks.speed.contestants import BELFRY, CONTESTANTS, LISTS, Contestant, belfry_batch
from benchmarks.speed.floor import Run
from benchmarks.speed.process import Usage, run

N_COLD = 5


@dataclass(frozen=True)
class Measured:
    """One contestant in one repeat."""

    train: Usage
    table: Usage
    ndcg: float

    @property
    def n_users(self) -> int:
        return int(self.table.told["n_users"])

    @property
    def users_per_cpu_s(self) -> float:
        """Of the whole process, from its start."""
        return self.n_users / self.table.cpu_s

    @property
    def users_per_cpu_s_inside(self) -> float:
        """Once the model is loaded."""
        return self.n_users / float(self.table.told["inside_cpu_s"])


@dataclass(frozen=True)
class Answers:
    """Single calls, and cold processes."""

    p50_ms: float
    p99_ms: float
    cpu_ms: float  # on average
    cold: Sequence[Usage]


@dataclass
class Results:
    """Of one case."""

    case: str
    contestants: dict[str, list[Measured]] = field(default_factory=dict)  # name -> repeats
    workers: dict[int, list[Usage]] | None = None  # number of workers -> repeats; None where `batch` has no such option
    answers: Answers | None = None
    run: Run | None = None  # Belfry's, of the last repeat
    machine: dict[str, float] = field(default_factory=dict)


def measure_case(
    case: str, names: Sequence[str], *, n_repeats: int, n: int, data_folder: Path | None, folder: Path
) -> Results:
    """All contestants, one after the other in each repeat, then what concerns Belfry alone.

    Args:
        names: of contestants.
        folder: keeps models and tables; the run in the result lies there.
    """
    results = Results(case)
    files = write_case(CASES[case], folder / case, data_folder)
    chosen = [one for one in CONTESTANTS if one.name in names and case in one.cases]
    for repeat in range(n_repeats):
        for contestant in chosen:
            place = folder / case / f"{contestant.name}-{repeat}"
            place.mkdir()
            found = _measure(contestant, files, place, seed=repeat, n=n)
            results.contestants.setdefault(contestant.name, []).append(found)
            print(
                f"{case} {repeat} {contestant.name}: training {found.train.cpu_s:.1f} CPU s, "
                f"{found.users_per_cpu_s:,.0f} users per CPU s, NDCG@10 {found.ndcg:.4f}",
                flush=True,
            )
    if BELFRY in results.contestants:
        artifacts = folder / case / f"{BELFRY}-{n_repeats - 1}" / "model"
        results.run = Run.open(artifacts / (artifacts / CURRENT).read_text().strip())
        results.machine = run(
            ["-m", "benchmarks.speed.child", "machine", "--floats", str(results.run.largest_table)]
        ).told
        results.answers = _answers(artifacts)
        results.workers = _workers(artifacts, n_repeats, n)
    return results


def _measure(contestant: Contestant, files: CaseFiles, place: Path, *, seed: int, n: int) -> Measured:
    model, lists = place / "model", place / "lists"
    trained = run(contestant.train(files, model, seed))
    table = run(contestant.table(files, model, lists, n))
    return Measured(trained, table, files.ndcg(lists / LISTS))


def _answers(artifacts: Path) -> Answers:
    from belfry import Recommender

    user = Recommender.load(artifacts).users.ids[0].as_py()
    calls = run(["-m", "benchmarks.speed.child", "calls", artifacts]).told
    cold = [run(["-c", COLD.format(user=user)], BELFRY_ARTIFACTS=str(artifacts)) for _ in range(N_COLD)]
    return Answers(calls["p50_ms"], calls["p99_ms"], calls["cpu_ms"], cold)


def _workers(artifacts: Path, n_repeats: int, n: int) -> dict[int, list[Usage]] | None:
    """The verb `batch` with one worker and with two, alternating."""
    from typer.testing import CliRunner

    from belfry.pipeline.cli.commands import app

    if "--workers" not in CliRunner().invoke(app, ["batch", "--help"], env={"COLUMNS": "200"}).stdout:
        return None
    found: dict[int, list[Usage]] = {1: [], 2: []}
    for _ in range(n_repeats):
        for workers, repeats in found.items():
            with tempfile.TemporaryDirectory() as folder:
                repeats.append(run(belfry_batch(artifacts, Path(folder) / "lists", n, workers)))
    return found
