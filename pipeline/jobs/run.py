"""The verbs that chain other parts: train from tables, and the main job from data to lists and their evaluation."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from belfry.dataset import columns
from belfry.dataset.folds import Holdout, default_holdout
from belfry.dataset.interactions import Interactions
from belfry.dataset.prepare import Data, prepare
from belfry.dataset.sources.open import read_data
from belfry.dataset.split import Split, save_split, split_last_out, split_random, split_time
from belfry.dataset.tables import Tables
from belfry.dataset.validation.check import check
from belfry.evaluation.reports.evaluation import EvaluationReport
from belfry.pipeline.config import PipelineConfig, load_config
from belfry.pipeline.jobs.batch import BatchResult, write_batch
from belfry.pipeline.jobs.evaluate import evaluate_stages, save_report
from belfry.pipeline.progress import Progress, silent
from belfry.pipeline.runs.disk import check_writable
from belfry.pipeline.runs.gate import gate_line
from belfry.pipeline.runs.manifest import MANIFEST, read_manifest
from belfry.pipeline.serving.recommender import Recommender
from belfry.pipeline.training.curves import write_test_accuracy
from belfry.pipeline.training.publish import train_and_publish

if TYPE_CHECKING:
    from belfry.pipeline.training.train import Trained

TABLES = "recommendations"  # folder beside the runs
N_SHOWN_USERS = 3

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MainJob:
    """What the main job leaves behind."""

    run: Path
    table: BatchResult
    report: EvaluationReport
    examples: pa.Table  # user_id, rank, title (or item_id) of a few users

    def lines(self) -> list[str]:
        """A few lists by title, what the gate decided, then where everything is."""
        lines = []
        for row in self.examples.to_pylist():
            if row[columns.RANK] == 1:
                lines += ["", f"user {row[columns.USER_ID]}"]
            lines.append(f"{row[columns.RANK]:4}  {row[columns.TITLE]}")
        return [
            *lines,
            "",
            gate_line(read_manifest(self.run / MANIFEST)),
            f"run         {self.run}",
            f"table       {self.table.path}",
            f"evaluation  {self.run / 'evaluation.md'}",
        ]


def run_main_job(
    data: str,
    *,
    data_folder: Path | None,
    preset: str,
    split: Holdout | None,
    settings: Iterable[str],
    seed: int,
    n: int,
    artifacts: Path,
    progress: Progress = silent,
) -> MainJob:
    """Data -> split -> both stages -> run folder with its evaluation -> recommendation table.

    The models see the train part only, so that the evaluation is honest about the very lists in the table; `belfry
    train` learns from everything.
    """
    check_writable(artifacts)
    prepared, config, holdout = _prepare(read_data(data, data_folder), preset, split, settings)
    parts = _split(prepared.interactions, holdout, seed)

    reports = []

    def evaluate(trained: "Trained", folder: Path) -> None:
        save_split(parts, folder / "split")
        reports.append(evaluate_stages(trained.stages, parts.test, run=preset, split=holdout, n=n, seed=seed))
        save_report(reports[0], folder)
        write_test_accuracy(trained.first.towers.model, parts.test, folder)

    published = train_and_publish(
        replace(prepared, interactions=parts.train),
        config,
        preset=_name_of(preset),
        holdout=holdout,
        seed=seed,
        artifacts=artifacts,
        progress=progress,
        before_publishing=evaluate,
    )
    recommender = Recommender.load(published)
    tables = artifacts / TABLES
    tables.mkdir(exist_ok=True)
    table = write_batch(
        recommender,
        tables / published.name,
        n=n,
        progress=lambda done, total: progress("recommendation table", done, total),
    )
    return MainJob(published, table, reports[0], _examples(recommender, n))


def train_tables(
    tables: Tables,
    *,
    preset: str,
    holdout: Holdout | None,
    settings: Iterable[str],
    seed: int,
    artifacts: Path,
    progress: Progress = silent,
) -> Path:
    """Train on all of the tables and publish; returns the run's folder."""
    check_writable(artifacts)
    data, config, holdout = _prepare(tables, preset, holdout, settings)
    return train_and_publish(
        data,
        config,
        preset=_name_of(preset),
        holdout=holdout,
        seed=seed,
        artifacts=artifacts,
        progress=progress,
    )


def _prepare(
    tables: Tables, preset: str, holdout: Holdout | None, settings: Iterable[str]
) -> tuple[Data, PipelineConfig, Holdout]:
    """Checked, numbered data, the config, and the holdout that was asked for or suits the data."""
    settings = list(settings)
    config = load_config(preset, holdout=holdout or "random", settings=settings)
    text_columns = tuple(dict.fromkeys((*tables.text_columns, *config.text_columns)))
    named = replace(
        tables, text_columns=text_columns, usage_columns=config.usage_columns, label_columns=config.label_columns
    )
    checked, report = check(named, config.data)
    for line in report.lines():
        log.warning("%s", line)
    data = prepare(checked, config.event_weights)
    if holdout is None:
        holdout = "random" if config.ranker is None else default_holdout(data.interactions)
    return data, load_config(preset, holdout=holdout, settings=settings), holdout


def _name_of(preset: str) -> str:
    return Path(preset).stem if preset.endswith(".toml") else preset


def _split(interactions: Interactions, holdout: Holdout, seed: int) -> Split:
    if holdout == "random":
        return split_random(interactions, seed=seed)
    return split_last_out(interactions) if holdout == "last" else split_time(interactions)


def _examples(recommender: Recommender, n: int) -> pa.Table:
    """Lists of the users with most events, by title where there are titles."""
    counts = np.diff(recommender.features.history.by_user.starts)
    users = np.sort(np.argsort(-counts, kind="stable")[:N_SHOWN_USERS]).astype(np.int32)
    rows = [
        {columns.USER_ID: user, columns.RANK: answer.rank, columns.TITLE: answer.title or str(answer.item_id)}
        for user in recommender.users.take(users).to_pylist()
        for answer in recommender.recommend(user, n)
    ]
    return pa.Table.from_pylist(rows)
