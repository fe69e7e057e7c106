"""The main job: from data to lists and their evaluation."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from belfry.dataset import columns
from belfry.dataset.errors import printable
from belfry.dataset.folds import Holdout
from belfry.dataset.history.repeats import Repeats
from belfry.dataset.sources.open import read_data
from belfry.dataset.sources.reading import AS_IT_IS, Reading
from belfry.dataset.sources.web.objects import place_of
from belfry.dataset.split import save_split
from belfry.evaluation.reports.evaluation import EvaluationReport, to_json
from belfry.pipeline.jobs.batch import BatchResult, write_batch
from belfry.pipeline.jobs.evaluate import evaluate_stages, save_report
from belfry.pipeline.jobs.train import READING, name_of_preset
from belfry.pipeline.jobs.training_data import prepare_tables, split_by
from belfry.pipeline.progress import Work
from belfry.pipeline.runs.disk import check_writable
from belfry.pipeline.runs.manifest import MANIFEST, read_manifest
from belfry.pipeline.runs.remote.store import address_of_runs
from belfry.pipeline.runs.signature import signer
from belfry.pipeline.runs.writer import check_place
from belfry.pipeline.serving.recommender import Recommender
from belfry.pipeline.training.curves import write_test_accuracy
from belfry.pipeline.training.publish import train_and_publish

if TYPE_CHECKING:
    from belfry.pipeline.training.train import Trained

TABLES = "recommendations"  # folder beside the runs
TEST_SHARE = 0.2
N_EXAMPLES = 3
LONGEST_TITLE = 100  # signs of one in an example
EVALUATION, TABLE = "evaluation", "recommendation table"  # stages of the work


@dataclass(frozen=True)
class MainJob:
    """What the main job leaves behind."""

    run: Path  # on this machine
    place: str  # where it lies: the folder, or its address
    table: BatchResult
    report: EvaluationReport
    examples: pa.Table  # user_id, rank, title (or item_id) of a few users

    def lines(self) -> list[str]:
        """A few lists by title, what the gate decided, then where everything is."""
        lines = []
        for row in self.examples.to_pylist():
            if row[columns.RANK] == 1:
                lines += ["", f"user {row[columns.USER_ID]}"]
            lines.append(f"{row[columns.RANK]:4}  {printable(row[columns.TITLE], LONGEST_TITLE)}")
        return [
            *lines,
            "",
            read_manifest(self.run / MANIFEST).gate.line,
            f"run         {self.place}",
            f"table       {self.table.place}",
            f"evaluation  {self.place}/evaluation.md",
        ]

    def to_json(self) -> dict[str, object]:
        """For programs; the evaluation as in evaluation.json."""
        gate = read_manifest(self.run / MANIFEST).gate
        told = {"run": self.run.name, "folder": self.place, "gate": gate, "table": self.table}
        return {**told, "evaluation": json.loads(to_json(self.report))}


def run_main_job(
    data: str,
    *,
    data_folder: Path | None,
    reading: Reading = AS_IT_IS,
    preset: str,
    split: Holdout | None,
    settings: Iterable[str],
    repeats: Repeats | None = None,
    seed: int,
    n: int,
    artifacts: Path,
    work: Work | None = None,
    sign: Path | None = None,
) -> MainJob:
    """Data -> split -> both stages -> run folder with its evaluation -> recommendation table.

    The models see the train part only, so that the evaluation is honest about the very lists in the table; `belfry
    train` learns from everything.
    """
    tables = artifacts / TABLES
    check_place(artifacts)
    if artifacts.exists():
        check_writable(tables)
    who = signer(sign)
    work = work or Work()
    work.expect(EVALUATION)
    work.expect(TABLE)
    with work.step(READING):
        raw = read_data(data, data_folder, reading)
        prepared, config, holdout = prepare_tables(raw, preset, split, settings, repeats)
        parts = split_by(prepared.interactions, holdout, test_share=TEST_SHARE, seed=seed)

    reports = []

    def evaluate(trained: "Trained", folder: Path) -> None:
        with work.step(EVALUATION):
            save_split(parts, folder / "split")
            reports.append(
                evaluate_stages(
                    trained.two_stage,
                    parts.test,
                    run=preset,
                    split=holdout,
                    n=n,
                    repeats=config.repeats,
                    seed=seed,
                )
            )
            save_report(reports[0], folder)
            write_test_accuracy(trained.first.towers.model, parts.test, folder)

    published = train_and_publish(
        replace(prepared, interactions=parts.train),
        config,
        preset=name_of_preset(preset),
        holdout=holdout,
        seed=seed,
        artifacts=artifacts,
        work=work,
        before_publishing=evaluate,
        signer=who,
    )
    with work.step(TABLE):
        place = artifacts / published.name
        recommender = Recommender.load(place)
        lists: str | Path | None = address_of_runs(tables / published.name)
        if lists is None:
            tables.mkdir(exist_ok=True)
            lists = tables / published.name
        table = write_batch(recommender, lists, n=n, progress=partial(work.report, TABLE))
    return MainJob(published, place_of(place), table, reports[0], _examples(recommender, n))


def _examples(recommender: Recommender, n: int) -> pa.Table:
    """Lists of the users with most events, by title where there are titles."""
    counts = np.diff(recommender.features.history.by_user.starts)
    users = np.sort(np.argsort(-counts, kind="stable")[:N_EXAMPLES]).astype(np.int32)
    rows = [
        {columns.USER_ID: user, columns.RANK: result.rank, columns.TITLE: result.title or str(result.item_id)}
        for user in recommender.users.take(users).to_pylist()
        for result in recommender.recommend(user, n)
    ]
    return pa.Table.from_pylist(rows)
