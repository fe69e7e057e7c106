"""A search for settings, judged on data that it never saw: `belfry tune` on the train part of MovieLens 100K.

Run as `python -m benchmarks.tuning [--time 30m] [--trials N] [--split random] [--data-folder DIR]`. Writes
docs/results/tuning.md. The preset that comes out and the default are trained on the whole train part with three seeds.
"""

import argparse
import shlex
import sys
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from belfry.dataset.prepare import Data, prepare
from belfry.dataset.sources.open import read_data
from belfry.dataset.split import Split, split_last_out, split_random, split_time
from belfry.dataset.tables import Tables
from belfry.dataset.validation.check import check
from belfry.evaluation.intervals import Interval, mean_intervals, paired_intervals
from belfry.evaluation.metrics import PerUser
from belfry.pipeline.cli.options import seconds_of
from belfry.pipeline.config import load_config
from belfry.pipeline.jobs.tuning.tune import tune_tables
from belfry.pipeline.jobs.tuning.validation import LENGTH
from belfry.pipeline.runs.versions import installed_versions
from belfry.pipeline.training.train import train
from benchmarks.judging import context_of, scores_of

RESULT = Path(__file__).parent.parent / "docs" / "results" / "tuning.md"
SEEDS = (0, 1, 2)
SPLITS = {"random": lambda data: split_random(data, seed=0), "last": split_last_out, "time": split_time}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--time", type=seconds_of, default=1800.0)
    parser.add_argument("--trials", type=int, default=1_000)
    parser.add_argument("--split", choices=SPLITS, default="random")
    parser.add_argument("--data-folder", type=Path, help="where ml-100k.zip lies [BELFRY_DATA]")
    asked = parser.parse_args()
    raw, _ = check(read_data("ml-100k", asked.data_folder))
    data = prepare(raw)
    split: Split = SPLITS[asked.split](data.interactions)
    with tempfile.TemporaryDirectory() as folder:
        found = tune_tables(
            lambda: _train_part(raw, split),
            out=Path(folder) / "search",
            n_trials=asked.trials,
            time_s=asked.time,
            holdout=asked.split,
        )
        of = {
            name: _scores(data, split, asked.split, preset)
            for name, preset in (("default", "default"), ("tuned", str(found.preset)))
        }
    [default, tuned] = (mean_intervals(of[name][:, None], seed=0)[0] for name in ("default", "tuned"))
    [difference] = paired_intervals(of["default"][:, None], of["tuned"][:, None], seed=0)
    versions = ", ".join(f"{name} {text}" for name, text in installed_versions(("tensorflow", "optuna")).items())
    command = shlex.join(["python", "-m", "benchmarks.tuning", *sys.argv[1:]])
    lines = [
        "# A search for settings",
        "",
        f"Written by `{command}` on {datetime.now(UTC):%Y-%m-%d}, {versions}.",
        f"`belfry tune` on the train part of the {asked.split} split of MovieLens 100K, for "
        f"{asked.time / 60:.0f} minutes: {found.n_trials} trials. Its verdict, on users that did not choose: "
        f"{found.lines()[0]}.",
        "",
        f"NDCG@{LENGTH} on the test part, which the search never saw; mean of {len(SEEDS)} seeds, 95% intervals over",
        "users:",
        "",
        "| preset | NDCG@10 |",
        "|---|---|",
        f"| default | {_said(default)} |",
        f"| tuned | {_said(tuned)} |",
        f"| tuned minus default | {_said(difference, signed=True)} |",
    ]
    RESULT.write_text("\n".join([*lines, ""]))


def _train_part(raw: Tables, split: Split) -> Tables:
    return replace(raw, interactions=split.train.to_table())


def _scores(data: Data, split: Split, holdout: str, preset: str) -> PerUser:
    """[n_users] NDCG@10 of each user's list, the mean over seeds."""
    config, context = load_config(preset, holdout=holdout), context_of(split)
    part = replace(data, interactions=split.train)
    found = []
    for seed in SEEDS:
        stages = train(part, config, holdout=holdout, seed=seed).two_stage
        lists = stages.lists(context.users, "final", n=LENGTH, exclude=context.seen, blocked=np.zeros(0, np.int32))
        found.append(scores_of(lists, context, depth=LENGTH).per_user[f"ndcg@{LENGTH}"])
    return np.mean(found, axis=0)


def _said(interval: Interval, signed: bool = False) -> str:
    form = "+.4f" if signed else ".4f"
    return f"{interval.mean:{form}} [{interval.low:{form}}, {interval.high:{form}}]"


if __name__ == "__main__":
    main()
